//! Top-ups that are not over, and what of them is on its way back.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, Currency, InvoiceId, RefundId};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::due_brands::due_brands;

/// Plans when a top-up nobody has paid expires.
pub async fn plan(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    invoice: InvoiceId,
    due_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO top_up_due (invoice_id, brand_id, due_at) VALUES ($1, $2, $3)",
        invoice.as_uuid(),
        brand.as_uuid(),
        due_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The open top-ups of a customer in a currency, in the order in which invoices are locked.
pub async fn open_of(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    currency: Currency,
) -> sqlx::Result<Vec<InvoiceId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM invoice WHERE brand_id = ottery_brand() AND account_id = $1 AND currency = $2
            AND purpose = 'top_up' AND state = 'open' ORDER BY id",
        account.as_uuid(),
        currency.code()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(InvoiceId::from_uuid).collect())
}

/// Brands with top-ups that expire by their clock; `now` is the time of brands without a test clock.
pub async fn due_brands(pool: &PgPool, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<BrandId>> {
    let brands = due_brands!("top_up_due", pool, now, limit).await?;
    Ok(brands.into_iter().map(BrandId::from_uuid).collect())
}

/// How many top-ups of the brand are due.
pub async fn due_count(pool: &PgPool, brand: BrandId, now: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM top_up_due WHERE brand_id = $1 AND due_at <= $2"#,
        brand.as_uuid(),
        now
    )
    .fetch_one(pool)
    .await
}

/// Top-ups that are due, in the order in which invoices are locked; locks nothing.
pub async fn due(tx: &mut PgTransaction<'_>, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<InvoiceId>> {
    let ids = sqlx::query_scalar!(
        "SELECT invoice_id FROM top_up_due WHERE brand_id = ottery_brand() AND due_at <= $1 ORDER BY invoice_id LIMIT $2",
        now,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(InvoiceId::from_uuid).collect())
}

/// These are over.
pub async fn done(tx: &mut PgTransaction<'_>, invoices: &[InvoiceId]) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = invoices.iter().map(InvoiceId::as_uuid).collect();
    sqlx::query!("DELETE FROM top_up_due WHERE brand_id = ottery_brand() AND invoice_id = ANY($1)", &ids)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// These are looked at again later.
pub async fn put_off(tx: &mut PgTransaction<'_>, invoices: &[InvoiceId], due_at: DateTime<Utc>) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = invoices.iter().map(InvoiceId::as_uuid).collect();
    sqlx::query!(
        "UPDATE top_up_due SET due_at = $2 WHERE brand_id = ottery_brand() AND invoice_id = ANY($1)",
        &ids,
        due_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What a refund has taken out of the wallet and not given back, in minor units of its currency.
pub async fn reserved(tx: &mut PgTransaction<'_>, refund: RefundId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(sum(CASE kind WHEN 'refund.reserved' THEN amount_minor ELSE -amount_minor END), 0)::bigint AS "sum!"
             FROM transfer WHERE brand_id = ottery_brand() AND reference_id = $1 AND kind IN ('refund.reserved', 'refund.released')"#,
        refund.to_string()
    )
    .fetch_one(&mut **tx)
    .await
}
