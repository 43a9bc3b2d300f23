//! Tax rules. The row is the transaction's brand's only.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::domain::tax::Rule;

/// All rules of a brand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTable {
    /// Whose.
    pub brand: BrandId,
    /// In their order.
    pub rules: Vec<Rule>,
    /// Grows with every change; 0 when nothing was ever written.
    pub version: i64,
    /// Last change.
    pub updated_at: Option<DateTime<Utc>>,
}

/// The table, empty when nothing was ever written.
pub async fn get(tx: &mut PgConnection, brand: BrandId) -> sqlx::Result<StoredTable> {
    let row = sqlx::query!(
        r#"SELECT rules AS "rules: Json<Vec<Rule>>", version, updated_at FROM tax_table WHERE brand_id = $1"#,
        brand.as_uuid()
    )
    .fetch_optional(tx)
    .await?;
    Ok(match row {
        Some(row) => StoredTable { brand, rules: row.rules.0, version: row.version, updated_at: Some(row.updated_at) },
        None => StoredTable { brand, rules: Vec::new(), version: 0, updated_at: None },
    })
}

/// Writes the next version of a table; the caller holds the brand's lock.
pub async fn put(tx: &mut PgConnection, table: &StoredTable) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO tax_table (brand_id, rules, version, updated_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (brand_id) DO UPDATE
            SET rules = EXCLUDED.rules, version = EXCLUDED.version, updated_at = EXCLUDED.updated_at",
        table.brand.as_uuid(),
        Json(&table.rules) as _,
        table.version,
        table.updated_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}
