//! Credit notes: an issued invoice is never changed, it is credited.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, CreditNoteId, Money, Rounding};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::broken;
use crate::domain::invoice::{Invoice, number_year};
use crate::domain::ledger::{self, Booking};
use crate::store;
use crate::store::credit_note::CreditNote;

/// What follows the entity's prefix in the series of credit notes.
const SERIES_SUFFIX: &str = "CN";

/// Credits `amount` of an invoice the caller has locked: number, credit note, and revenue and tax taken back at the rates
/// the invoice was issued with. Paying it out is the caller's.
///
/// # Errors
/// When more than the invoice's total would be credited.
pub async fn issue(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    invoice: &Invoice,
    amount: Money,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<CreditNote, Problem> {
    let notes = store::credit_note::of_invoices(tx, &[invoice.id]).await?;
    let currency = invoice.totals.total.currency;
    let credited = Money::sum(currency, notes.iter().map(|note| note.amount)).map_err(broken)?;
    let left = invoice.totals.total.checked_sub(credited).map_err(broken)?;
    if !amount.is_positive() || amount.checked_cmp(left).map_err(broken)?.is_gt() {
        return Err(Problem::refused(
            "CREDIT_TOO_LARGE",
            format!("{left} of invoice {} can still be credited", invoice.number_text()),
        )
        .on_field("amount"));
    }
    // The last credit takes exactly the tax that is left, so that repeated partial credits never drift.
    let tax_credited = Money::sum(currency, notes.iter().map(|note| note.tax)).map_err(broken)?;
    let tax = if amount == left {
        invoice.totals.tax.checked_sub(tax_credited).map_err(broken)?
    } else {
        let through = credited.checked_add(amount).map_err(broken)?;
        let due = invoice
            .totals
            .tax
            .mul_ratio(through.minor, invoice.totals.total.minor, Rounding::HalfUp)
            .map_err(broken)?;
        due.checked_sub(tax_credited).map_err(broken)?
    };
    let seller = &invoice.snapshot.seller;
    let series = format!("{}-{SERIES_SUFFIX}", seller.series);
    let number = store::number::take(tx, seller.id, &series, number_year(now, seller.zone), 1)
        .await?
        .pop()
        .expect("one number was asked for");
    let note = CreditNote {
        id: CreditNoteId::new(now),
        invoice: invoice.id,
        account: invoice.account,
        entity: seller.id,
        number,
        amount,
        tax,
        reason: reason.to_owned(),
        issued_at: now,
    };
    store::credit_note::insert(tx, brand, &note).await?;
    let net = amount.checked_sub(tax).map_err(broken)?;
    let booking = Booking::new(seller.id, "credit_note.issued", note.id, now);
    let booking = ledger::credit_note_issued(booking, invoice.account, net, tax).map_err(broken)?;
    store::ledger::book(tx, brand, booking).await?;
    Ok(note)
}
