//! Every service follows the test clocks that `catalog` moves.

use async_trait::async_trait;
use ottery_kernel::BrandId;
use ottery_proto::catalog::v1::ClockAdvanced;
use sqlx::postgres::PgTransaction;

use crate::broker::ConsumerGroup;
use crate::clock::{CLOCK_ADVANCED, set_brand_clock};
use crate::consume::{Delivery, HandleError, Handler};

pub fn group(service: &str) -> ConsumerGroup {
    ConsumerGroup::new(format!("{service}.clock"), &[CLOCK_ADVANCED]).newest_wins()
}

/// Writes the brand's time down; an older one changes nothing.
pub struct Follow;

#[async_trait]
impl Handler for Follow {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        let event: ClockAdvanced = delivery.payload()?;
        let brand: BrandId = event.brand_id.parse().map_err(HandleError::permanent)?;
        let now = event
            .now
            .and_then(|at| chrono::DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?))
            .ok_or_else(|| HandleError::permanent("`now` is missing or out of range"))?;
        Ok(set_brand_clock(tx, brand, now).await?)
    }
}
