//! What other services hear.

use chrono::{DateTime, Utc};
use ottery_kit::outbox::{Event, append_all};
use ottery_proto::notification::v1::DeliveryChanged;
use sqlx::postgres::PgTransaction;

use crate::domain::profile::outside;
use crate::grpc::convert;
use crate::store::delivery::Delivery;

/// `notification.delivery.changed.v1` of each mail; nobody has to listen.
pub async fn changed<'a>(
    tx: &mut PgTransaction<'_>,
    deliveries: impl Iterator<Item = (&'a Delivery, DateTime<Utc>)>,
) -> sqlx::Result<()> {
    let events = deliveries.map(|(delivery, now)| {
        let payload = DeliveryChanged { delivery: Some(convert::delivery(delivery)) };
        let brand = outside(delivery.brand);
        Event::new("notification.delivery.changed.v1", delivery.id, delivery.version, brand, now, &payload).optional()
    });
    append_all(tx, events.collect()).await?;
    Ok(())
}
