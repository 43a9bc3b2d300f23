//! What other services hear.

use chrono::{DateTime, Utc};
use ottery_kit::outbox::{Event, append};
use ottery_proto::notification::v1::DeliveryChanged;
use sqlx::postgres::PgTransaction;

use crate::domain::profile::outside;
use crate::grpc::convert;
use crate::store::delivery::Delivery;

/// `notification.delivery.changed.v1`; nobody has to listen.
pub async fn changed(tx: &mut PgTransaction<'_>, delivery: &Delivery, now: DateTime<Utc>) -> sqlx::Result<()> {
    let payload = DeliveryChanged { delivery: Some(convert::delivery(delivery)) };
    let brand = outside(delivery.brand);
    let event = Event::new("notification.delivery.changed.v1", delivery.id, delivery.version, brand, now, &payload);
    append(tx, event.optional()).await?;
    Ok(())
}
