//! A brand's choices about invoices.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use sqlx::postgres::PgTransaction;

use super::unreadable;
use crate::domain::rules::{InvoiceRules, UnpaidAtEnd};

/// What the brand chose; the defaults when it never did.
pub async fn get(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<InvoiceRules> {
    let row = sqlx::query!(
        "SELECT unpaid_at_end, bills_time_off, proforma, consolidated, version FROM invoice_rules WHERE brand_id = $1",
        brand.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(InvoiceRules::default()) };
    let unpaid_at_end = UnpaidAtEnd::from_text(&row.unpaid_at_end)
        .ok_or_else(|| unreadable("invoice_rules", "unpaid_at_end", &row.unpaid_at_end))?;
    Ok(InvoiceRules {
        unpaid_at_end,
        bills_time_off: row.bills_time_off,
        proforma: row.proforma,
        consolidated: row.consolidated,
        version: row.version,
    })
}

/// Keeps them, when the stored version is still the one before; false when somebody else was faster.
pub async fn put(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    rules: &InvoiceRules,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let put = sqlx::query!(
        "INSERT INTO invoice_rules AS known (brand_id, unpaid_at_end, bills_time_off, proforma, version, updated_at, consolidated)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (brand_id) DO UPDATE
            SET unpaid_at_end = EXCLUDED.unpaid_at_end, bills_time_off = EXCLUDED.bills_time_off,
                proforma = EXCLUDED.proforma, consolidated = EXCLUDED.consolidated,
                version = EXCLUDED.version, updated_at = EXCLUDED.updated_at
          WHERE known.version = EXCLUDED.version - 1",
        brand.as_uuid(),
        rules.unpaid_at_end.as_str(),
        rules.bills_time_off,
        rules.proforma,
        rules.version,
        now,
        rules.consolidated,
    )
    .execute(&mut **tx)
    .await?;
    Ok(put.rows_affected() == 1)
}
