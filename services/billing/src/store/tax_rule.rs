//! Tax rules as the catalogue last told them: one row per country, so that a customer's tax reads one row.

use ottery_kernel::BrandId;
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;

use crate::domain::tax::Rule;

/// Keeps all rules of a brand when they are newer than what is known; false when they are not.
pub async fn put(tx: &mut PgTransaction<'_>, brand: BrandId, version: i64, rules: &[Rule]) -> sqlx::Result<bool> {
    let put = sqlx::query!(
        "INSERT INTO tax_table AS known (brand_id, version) VALUES ($1, $2)
         ON CONFLICT (brand_id) DO UPDATE SET version = EXCLUDED.version WHERE known.version < EXCLUDED.version",
        brand.as_uuid(),
        version,
    )
    .execute(&mut **tx)
    .await?;
    if put.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!("DELETE FROM tax_rule WHERE brand_id = $1", brand.as_uuid()).execute(&mut **tx).await?;
    sqlx::query!(
        r#"INSERT INTO tax_rule (brand_id, country, rules)
           SELECT $1, rule ->> 'country', jsonb_agg(rule) FROM jsonb_array_elements($2::jsonb) AS rule GROUP BY 2"#,
        brand.as_uuid(),
        Json(rules) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(true)
}

/// The rules of these countries.
pub async fn of(tx: &mut PgTransaction<'_>, brand: BrandId, countries: &[String]) -> sqlx::Result<Vec<Rule>> {
    let rows = sqlx::query_scalar!(
        r#"SELECT rules AS "rules: Json<Vec<Rule>>" FROM tax_rule WHERE brand_id = $1 AND country = ANY ($2)"#,
        brand.as_uuid(),
        countries,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().flat_map(|rules| rules.0).collect())
}
