//! What amounts a brand takes.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;

use crate::domain::amount_rules::{AmountRule, AmountRules};

/// What the brand chose; nothing of its own when it never did.
pub async fn get(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<AmountRules> {
    let row = sqlx::query!(
        r#"SELECT content AS "content: Json<Vec<AmountRule>>", version FROM amount_rules WHERE brand_id = $1"#,
        brand.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| AmountRules { rules: row.content.0, version: row.version }).unwrap_or_default())
}

/// Keeps them, when the stored version is still the one before; false when somebody else was faster.
pub async fn put(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    rules: &AmountRules,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let put = sqlx::query!(
        "INSERT INTO amount_rules AS known (brand_id, content, version, updated_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (brand_id) DO UPDATE
            SET content = EXCLUDED.content, version = EXCLUDED.version, updated_at = EXCLUDED.updated_at
          WHERE known.version = EXCLUDED.version - 1",
        brand.as_uuid(),
        Json(&rules.rules) as _,
        rules.version,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(put.rows_affected() == 1)
}
