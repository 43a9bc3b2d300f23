//! Credit notes staff writes: for an amount, or for single lines, of an issued invoice.

use ottery_kernel::{BrandId, CreditNoteId, InvoiceId, Money};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;
use sqlx::postgres::PgTransaction;

use super::collection::{not_charging, not_proforma, not_top_up, reason};
use super::consolidated::known;
use super::order::Idempotency;
use super::settlement::{self, Owed};
use super::unit::Unit;
use super::{Billing, broken, credit, once, profile};
use crate::domain::invoice::State;
use crate::domain::ledger::{Account, Booking};
use crate::domain::portion::Wanted;
use crate::store;
use crate::store::credit_note::CreditNote;

impl Billing {
    /// Credits a part of an invoice; of a consolidated one the invoice of a part, or lines of one part counted over the whole. What is still owed on it shrinks first; what was paid goes to the wallet. An invoice
    /// that owes nothing any more is settled, and gives what it was for. Sent twice with the same key it is made once.
    ///
    /// # Errors
    /// When the invoice is neither open nor closed, more would be credited than is left, or a charge is under way.
    pub async fn credit_invoice(
        &self,
        actor: &Actor,
        brand: BrandId,
        id: InvoiceId,
        wanted: Wanted,
        why: &str,
        call: Option<Idempotency>,
    ) -> Result<CreditNote, Problem> {
        let why = reason(why)?;
        let (mut tx, now) = self.begin(brand).await?;
        if let Some(note) = once::made::<CreditNoteId>(&mut tx, call.as_ref()).await? {
            return of(&mut tx, id, note).await;
        }
        let (id, wanted) = of_part(&mut tx, id, wanted).await?;
        let Owed { mut subscription, mut invoice } = Owed::lock(&mut tx, id).await?;
        match invoice.state {
            State::Open | State::Closed => {}
            State::Draft | State::Void | State::Uncollectible => {
                let message = format!("an invoice that is {} is not credited", invoice.state);
                return Err(Problem::refused("INVOICE_STATE", message).on_field("invoice_id"));
            }
        }
        not_top_up(&invoice)?;
        not_proforma(&invoice)?;
        not_charging(&mut tx, id).await?;
        let mut unit = Unit::new(brand, profile(&mut tx, brand).await?, now);
        unit.lock_customers(&mut tx, &[invoice.account]).await?;
        if let Some(order) = invoice.order {
            unit.lock_orders(&mut tx, &[order]).await?;
        }
        let note = credit::issue_portion(&mut tx, brand, &invoice, &wanted, why, now).await?;
        let owed = invoice.remaining().map_err(broken)?;
        let lowered = Money::new(note.amount.minor.min(owed.minor), owed.currency);
        let given = note.amount.checked_sub(lowered).map_err(broken)?;
        let booking = Booking::new(note.entity, "credit.to_wallet", note.id, now)
            .post(Account::Receivable(invoice.account), Account::Wallet(invoice.account), given)
            .map_err(broken)?;
        unit.book(booking);
        if lowered.is_positive() {
            unit.allocate(&mut invoice, "credit_note", note.id.to_string(), lowered).map_err(broken)?;
            // An open page asks for what was owed before.
            store::payment::withdraw(&mut tx, brand, &[id], None, now).await?;
            unit.settle_if_paid(&mut invoice, subscription.as_mut(), None).map_err(broken)?;
            unit.keep_invoice(invoice);
        }
        settlement::finish(&mut tx, self, unit, subscription).await?;
        let after = json!({ "invoice": id.to_string(), "number": note.number.to_string(), "amount": note.amount.to_string(),
                            "lines": note.lines, "reason": why });
        audit::append(&mut tx, actor, "invoice.credit", note.id, None, Some(after)).await?;
        once::keep(&mut tx, call.as_ref(), note.id).await?;
        tx.commit().await?;
        Ok(note)
    }
}

/// Lines of a consolidated invoice, counted over all of it, as lines of the part they are of.
async fn of_part(tx: &mut PgTransaction<'_>, id: InvoiceId, wanted: Wanted) -> Result<(InvoiceId, Wanted), Problem> {
    let Wanted::Lines(numbers) = &wanted else { return Ok((id, wanted)) };
    let Some(whole) = known(tx, id).await?.filter(|known| known.id == id && !known.parts.is_empty()) else {
        return Ok((id, wanted));
    };
    let mut before = 0;
    for part in &whole.parts {
        let count = u32::try_from(part.lines.len()).unwrap_or(u32::MAX);
        let lines = before + 1..=before + count;
        if numbers.iter().all(|number| lines.contains(number)) {
            let numbers = numbers.iter().map(|number| number - before).collect();
            return Ok((part.id, Wanted::Lines(numbers)));
        }
        before += count;
    }
    let message = format!("line_numbers: credit the lines of one subscription of {} at a time", whole.number_text());
    Err(Problem::invalid("line_numbers", "LINES_OF_SEVERAL_PARTS", message))
}

async fn of(tx: &mut PgTransaction<'_>, invoice: InvoiceId, id: CreditNoteId) -> Result<CreditNote, Problem> {
    let rows = known(tx, invoice).await?.map_or(vec![invoice], |known| known.rows());
    let notes = store::credit_note::of_invoices(tx, &rows).await?;
    notes.into_iter().find(|note| note.id == id).ok_or_else(|| {
        Problem::not_found("CREDIT_NOTE_NOT_FOUND", format!("the invoice has no credit note {id}"))
            .on_field("credit_note_id")
    })
}
