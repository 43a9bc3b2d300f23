//! What an explanation reads beside the invoice: what settles it, and its rows in the books.

use ottery_kernel::InvoiceId;
use sqlx::postgres::PgTransaction;

use super::ledger::Shown;
use super::money;
use crate::domain::explain::Settlement;

/// What settles an invoice, oldest first.
pub async fn settlements(tx: &mut PgTransaction<'_>, invoice: InvoiceId) -> sqlx::Result<Vec<Settlement>> {
    let rows = sqlx::query!(
        "SELECT source, source_id, amount_minor, currency, created_at FROM allocation
          WHERE brand_id = ottery_brand() AND invoice_id = $1 ORDER BY id",
        invoice.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Settlement {
                source: row.source,
                reference: row.source_id,
                amount: money("allocation", row.amount_minor, &row.currency)?,
                at: row.created_at,
            })
        })
        .collect()
}

/// Refunds of what was paid on an invoice, by their prefixed ids, oldest first.
pub async fn refunds(tx: &mut PgTransaction<'_>, invoice: InvoiceId) -> sqlx::Result<Vec<ottery_kernel::RefundId>> {
    let found = sqlx::query_scalar!(
        "SELECT id FROM refund WHERE brand_id = ottery_brand() AND invoice_id = $1 ORDER BY id",
        invoice.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(found.into_iter().map(ottery_kernel::RefundId::from_uuid).collect())
}

/// Rows of the books that these caused, oldest first.
pub async fn postings(tx: &mut PgTransaction<'_>, references: &[String]) -> sqlx::Result<Vec<Shown>> {
    let rows = sqlx::query!(
        "SELECT id, debit, credit, amount_minor, currency, state, kind, reference_id, booked_at FROM transfer
          WHERE brand_id = ottery_brand() AND reference_id = ANY($1) ORDER BY id",
        references
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Shown {
                id: row.id,
                debit: row.debit,
                credit: row.credit,
                amount: money("transfer", row.amount_minor, &row.currency)?,
                state: row.state,
                kind: row.kind,
                reference: row.reference_id,
                booked_at: row.booked_at,
            })
        })
        .collect()
}
