//! What an attempt for several invoices is meant to pay of each.

use ottery_kernel::{BrandId, InvoiceId, Money, PaymentId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

/// What one attempt pays of one invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// What it pays.
    pub invoice: InvoiceId,
    /// How much of it.
    pub amount: Money,
}

/// Writes down what an attempt pays, in the order in which it does.
pub async fn insert(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    payment: PaymentId,
    shares: &[Share],
) -> sqlx::Result<()> {
    let invoices: Vec<Uuid> = shares.iter().map(|share| share.invoice.as_uuid()).collect();
    let amounts: Vec<i64> = shares.iter().map(|share| share.amount.minor).collect();
    sqlx::query!(
        "INSERT INTO payment_share (brand_id, payment_id, invoice_id, position, amount_minor)
         SELECT $1, $2, invoice_id, position::integer, amount_minor
           FROM UNNEST($3::uuid[], $4::bigint[]) WITH ORDINALITY AS r (invoice_id, amount_minor, position)",
        brand.as_uuid(),
        payment.as_uuid(),
        &invoices,
        &amounts,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The invoices an attempt is for, in the order in which it pays them; empty for one that is for a single invoice.
pub async fn of(tx: &mut PgTransaction<'_>, payment: PaymentId) -> sqlx::Result<Vec<InvoiceId>> {
    let ids = sqlx::query_scalar!(
        "SELECT invoice_id FROM payment_share WHERE brand_id = ottery_brand() AND payment_id = $1 ORDER BY position",
        payment.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(InvoiceId::from_uuid).collect())
}

/// Locks everything that paying these invoices changes, in the order everybody does: all their subscriptions, then them.
pub async fn lock(tx: &mut PgTransaction<'_>, invoices: &[InvoiceId]) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = invoices.iter().map(InvoiceId::as_uuid).collect();
    sqlx::query!(
        "SELECT id FROM subscription
          WHERE id IN (SELECT subscription_id FROM invoice WHERE brand_id = ottery_brand() AND id = ANY($1)) ORDER BY id FOR UPDATE",
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query!(
        "SELECT id FROM invoice WHERE brand_id = ottery_brand() AND id = ANY($1) ORDER BY id FOR UPDATE",
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(())
}

/// What a payment has really paid of each invoice, the first one first.
pub async fn allocated(tx: &mut PgTransaction<'_>, payment: PaymentId) -> sqlx::Result<Vec<(InvoiceId, i64)>> {
    let rows = sqlx::query!(
        "SELECT invoice_id, amount_minor FROM allocation
          WHERE brand_id = ottery_brand() AND source = 'payment' AND source_id = $1 ORDER BY id",
        payment.to_string()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (InvoiceId::from_uuid(row.invoice_id), row.amount_minor)).collect())
}
