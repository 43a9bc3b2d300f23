//! What other services hear.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_kit::outbox::{Event, append};
use ottery_proto::affiliate::v1::{CommissionChanged, commission::State};
use sqlx::postgres::PgTransaction;

use crate::domain::{Commission, CommissionState};
use crate::grpc::convert;

/// `affiliate.commission.changed.v1`
pub async fn changed(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    commission: &Commission,
    before: Option<CommissionState>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let previous_state = before.map_or(State::Unspecified, convert::state);
    let payload =
        CommissionChanged { commission: Some(convert::commission(commission)), previous_state: previous_state.into() };
    // A hint for pages; nobody keeps a copy yet.
    let event = Event::new("affiliate.commission.changed.v1", commission.id, commission.version, brand, now, &payload);
    append(tx, event.optional()).await?;
    Ok(())
}
