//! Credit notes: issued once, never changed.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, CreditNoteId, EntityId, InvoiceId, Money};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::money;
use crate::domain::invoice::Number;

/// Takes an invoice back, in whole or in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditNote {
    /// Its id.
    pub id: CreditNoteId,
    /// The invoice it credits.
    pub invoice: InvoiceId,
    /// Who was billed.
    pub account: AccountId,
    /// Whose series.
    pub entity: EntityId,
    /// Its printed number.
    pub number: Number,
    /// Gross amount.
    pub amount: Money,
    /// The tax contained.
    pub tax: Money,
    /// Why.
    pub reason: String,
    /// The invoice's lines it takes back, counted from 1; empty: a share of all of them.
    pub lines: Vec<u32>,
    /// When.
    pub issued_at: DateTime<Utc>,
}

/// Keeps a new credit note.
pub async fn insert(tx: &mut PgTransaction<'_>, brand: BrandId, note: &CreditNote) -> sqlx::Result<()> {
    let lines: Vec<i32> = note.lines.iter().map(|line| i32::try_from(*line).unwrap_or(i32::MAX)).collect();
    sqlx::query!(
        "INSERT INTO credit_note (id, brand_id, invoice_id, account_id, entity_id, series, number_year, number_seq,
                                  amount_minor, tax_minor, currency, reason, issued_at, lines)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        note.id.as_uuid(),
        brand.as_uuid(),
        note.invoice.as_uuid(),
        note.account.as_uuid(),
        note.entity.as_uuid(),
        note.number.series,
        note.number.year,
        note.number.sequence,
        note.amount.minor,
        note.tax.minor,
        note.amount.currency.code(),
        note.reason,
        note.issued_at,
        &lines,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The credit notes of these invoices, oldest first.
pub async fn of_invoices(tx: &mut PgTransaction<'_>, invoices: &[InvoiceId]) -> sqlx::Result<Vec<CreditNote>> {
    let ids: Vec<Uuid> = invoices.iter().map(InvoiceId::as_uuid).collect();
    let rows = sqlx::query!(
        "SELECT id, invoice_id, account_id, entity_id, series, number_year, number_seq, amount_minor, tax_minor, currency,
                reason, issued_at, lines
           FROM credit_note WHERE invoice_id = ANY($1) ORDER BY id",
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(CreditNote {
                id: CreditNoteId::from_uuid(row.id),
                invoice: InvoiceId::from_uuid(row.invoice_id),
                account: AccountId::from_uuid(row.account_id),
                entity: EntityId::from_uuid(row.entity_id),
                number: Number { series: row.series, year: row.number_year, sequence: row.number_seq },
                amount: money("credit_note", row.amount_minor, &row.currency)?,
                tax: money("credit_note", row.tax_minor, &row.currency)?,
                reason: row.reason,
                lines: row.lines.into_iter().map(i32::unsigned_abs).collect(),
                issued_at: row.issued_at,
            })
        })
        .collect()
}
