//! Replacing and reading tax rules.

use ottery_kernel::BrandId;
use ottery_kit::audit;
use ottery_kit::db::{Scope, begin};
use ottery_kit::grpc::Actor;
use serde_json::json;

use super::error::check_version;
use super::{App, AppError};
use crate::domain::tax::{RuleDraft, validate};
use crate::events;
use crate::store;
use crate::store::tax::StoredTable;

impl App {
    /// Replaces the brand's tax rules; saying the same again changes nothing.
    pub async fn put_tax_table(
        &self,
        actor: &Actor,
        brand: BrandId,
        rules: Vec<RuleDraft>,
        expected_version: u64,
    ) -> Result<StoredTable, AppError> {
        let now = self.now();
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        // Whoever writes the table or the brand waits here, so that versions follow each other.
        store::brand::lock(&mut tx, brand).await?.ok_or(AppError::missing("brand"))?;
        let before = store::tax::get(&mut tx, brand).await?;
        check_version(expected_version, before.version)?;
        let rules = validate(rules)?;
        if rules == before.rules {
            return Ok(before);
        }
        let table = StoredTable { brand, rules, version: before.version + 1, updated_at: Some(now) };
        store::tax::put(&mut tx, &table).await?;
        let summary = |table: &StoredTable| json!({ "version": table.version, "rules": table.rules });
        audit::append(&mut tx, actor, "tax_table.update", brand, Some(summary(&before)), Some(summary(&table))).await?;
        events::taxes_changed(&mut tx, &table, now).await?;
        self.finish(tx).await?;
        Ok(table)
    }

    /// The brand's tax rules.
    pub async fn get_tax_table(&self, brand: BrandId) -> Result<StoredTable, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        Ok(store::tax::get(&mut tx, brand).await?)
    }
}
