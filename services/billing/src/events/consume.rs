//! What billing hears: the catalogue's brands and their taxes.

use std::sync::Arc;

use async_trait::async_trait;
use ottery_kernel::Clock;
use ottery_kit::broker::ConsumerGroup;
use ottery_kit::consume::{Delivery, HandleError, Handler};
use ottery_proto::catalog::v1::{BrandChanged, TaxesChanged};
use sqlx::postgres::PgTransaction;

use crate::contract;
use crate::store;

/// Type of the event that tells a brand.
pub const BRAND_CHANGED: &str = "catalog.brand.changed.v1";

/// Type of the event that tells a brand's taxes.
pub const TAXES_CHANGED: &str = "catalog.taxes.changed.v1";

/// The group that keeps taxes; an older version changes nothing, so no event waits for another.
#[must_use]
pub fn taxes() -> ConsumerGroup {
    ConsumerGroup::new("billing.taxes", &[TAXES_CHANGED]).newest_wins()
}

/// Keeps the newest tax rules of every brand.
#[derive(Debug)]
pub struct KeepTaxes;

#[async_trait]
impl Handler for KeepTaxes {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        let changed: TaxesChanged = delivery.payload()?;
        let table = changed.table.ok_or_else(|| HandleError::permanent("the event holds no table"))?;
        let brand = table.brand_id.parse().map_err(HandleError::permanent)?;
        let version = i64::try_from(table.version).map_err(HandleError::permanent)?;
        let rules: anyhow::Result<Vec<_>> = table.rules.iter().map(contract::tax::rule_from).collect();
        store::tax_rule::put(tx, brand, version, &rules.map_err(HandleError::Permanent)?).await?;
        Ok(())
    }
}

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
