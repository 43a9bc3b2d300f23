//! What billing hears: the catalogue's brands.

use std::sync::Arc;

use async_trait::async_trait;
use ottery_kernel::Clock;
use ottery_kit::broker::ConsumerGroup;
use ottery_kit::consume::{Delivery, HandleError, Handler};
use ottery_proto::catalog::v1::BrandChanged;
use sqlx::postgres::PgTransaction;

use crate::contract;
use crate::store;

/// Type of the event that tells a brand.
pub const BRAND_CHANGED: &str = "catalog.brand.changed.v1";

/// The group that keeps brands; an older version changes nothing, so no event waits for another.
#[must_use]
pub fn brands() -> ConsumerGroup {
    ConsumerGroup::new("billing.brands", &[BRAND_CHANGED]).newest_wins()
}

/// Keeps the newest version of every brand.
#[derive(Debug)]
pub struct KeepBrand {
    /// For the time of the change.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Handler for KeepBrand {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        let changed: BrandChanged = delivery.payload()?;
        let brand = changed.brand.ok_or_else(|| HandleError::permanent("the event holds no brand"))?;
        let profile = contract::profile_from(&brand).map_err(HandleError::Permanent)?;
        let version = i64::try_from(brand.version).map_err(HandleError::permanent)?;
        store::profile::put(tx, &profile, version, self.clock.now()).await?;
        Ok(())
    }
}
