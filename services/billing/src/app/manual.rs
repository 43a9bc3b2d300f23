//! Invoices staff write: a draft can be changed until it gets its number, and nothing of it afterwards.

use chrono::TimeDelta;
use ottery_kernel::{AccountId, BrandId, Currency, InvoiceId, Money};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::outbox;
use serde_json::{Value, json};
use sqlx::postgres::PgTransaction;

use super::consolidated::known;
use super::merge::refuse_merged;
use super::order::{Idempotency, issue_now, purse_of};
use super::settlement::Owed;
use super::unit::Unit;
use super::{Billing, broken, once, profile};
use crate::domain::address::Source;
use crate::domain::coupon::Applied;
use crate::domain::invoice::{Buyer, Invoice, Purpose, Snapshot, State};
use crate::domain::manual::{self, DraftLine, Invalid};
use crate::domain::profile::Profile;
use crate::events::publish;
use crate::store;
use crate::store::customer::Customer;

/// Longest time to pay, in days.
pub const DUE_DAYS_MAX: u32 = 365;

/// What staff writes down first.
#[derive(Clone, Debug)]
pub struct NewDraft {
    /// Who is billed.
    pub account: AccountId,
    /// As the invoice will show them.
    pub buyer: Buyer,
    /// Of every line.
    pub currency: Currency,
    /// What is billed.
    pub lines: Vec<DraftLine>,
}

fn invalid(why: &Invalid) -> Problem {
    Problem::invalid(why.field(), "LINES_INVALID", why.to_string())
}

fn shown(invoice: &Invoice) -> Value {
    json!({ "number": invoice.number_text(), "state": invoice.state.as_str(), "total": invoice.totals.total.to_string(),
            "account": invoice.account.to_string() })
}

impl Billing {
    /// Writes a draft. Sent twice with the same key it is written once.
    ///
    /// # Errors
    /// When the brand does not sell in that currency, or a line cannot be printed.
    pub async fn draft_invoice(
        &self,
        actor: &Actor,
        brand: BrandId,
        new: NewDraft,
        call: Option<Idempotency>,
    ) -> Result<Invoice, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        if let Some(id) = once::made(&mut tx, call.as_ref()).await? {
            return there(&mut tx, id).await;
        }
        let profile = profile(&mut tx, brand).await?;
        if !profile.currencies.contains(&new.currency) {
            let known: Vec<_> = profile.currencies.iter().map(ToString::to_string).collect();
            let message = format!("currency: the brand sells in {}, not in {}", known.join(", "), new.currency);
            return Err(Problem::invalid("currency", "CURRENCY_UNKNOWN", message));
        }
        let (lines, totals) = manual::lines(new.currency, &new.lines).map_err(|why| invalid(&why))?;
        let customer = Customer {
            account: new.account,
            buyer: new.buyer.clone(),
            source: Source::Order,
            standing: None,
            referral_code: String::new(),
            first_settled_at: None,
            consolidated: None,
        };
        store::customer::put(&mut tx, brand, &customer).await?;
        refuse_merged(&mut tx, new.account, "account_id").await?;
        let kept = store::address::get(&mut tx, brand, new.account).await?;
        let buyer = new.buyer.at(kept.map(|kept| kept.address));
        let nothing = Money::zero(new.currency);
        let invoice = Invoice {
            id: InvoiceId::new(now),
            account: new.account,
            subscription: None,
            order: None,
            purpose: Purpose::Manual,
            state: State::Draft,
            number: None,
            proforma: None,
            lines,
            totals,
            snapshot: snapshot(&profile, buyer),
            period: None,
            issued_at: None,
            due_at: None,
            closed_at: None,
            reminders_done: 0,
            charges_made: 0,
            carried_at: None,
            paid: nothing,
            from_wallet: nothing,
            refunded: nothing,
            part: None,
            parts: Vec::new(),
        };
        store::invoice::insert_all(&mut tx, brand, std::slice::from_ref(&invoice)).await?;
        audit::append(&mut tx, actor, "invoice.draft", invoice.id, None, Some(shown(&invoice))).await?;
        once::keep(&mut tx, call.as_ref(), invoice.id).await?;
        tx.commit().await?;
        Ok(invoice)
    }

    /// Writes a draft's lines anew.
    ///
    /// # Errors
    /// When it was issued meanwhile, or a line cannot be printed.
    pub async fn edit_draft(
        &self,
        actor: &Actor,
        brand: BrandId,
        id: InvoiceId,
        lines: &[DraftLine],
    ) -> Result<Invoice, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let mut invoice = lock_draft(&mut tx, id).await?;
        let before = shown(&invoice);
        (invoice.lines, invoice.totals) =
            manual::lines(invoice.totals.total.currency, lines).map_err(|why| invalid(&why))?;
        store::invoice::write_draft(&mut tx, &invoice).await?;
        audit::append(&mut tx, actor, "invoice.edit", id, Some(before), Some(shown(&invoice))).await?;
        tx.commit().await?;
        Ok(invoice)
    }

    /// Throws a draft away: it had no number, so none is missing.
    ///
    /// # Errors
    /// When it was issued meanwhile.
    pub async fn discard_draft(&self, actor: &Actor, brand: BrandId, id: InvoiceId) -> Result<(), Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let invoice = lock_draft(&mut tx, id).await?;
        store::invoice::delete_draft(&mut tx, id).await?;
        audit::append(&mut tx, actor, "invoice.discard", id, Some(shown(&invoice)), None).await?;
        Ok(tx.commit().await?)
    }

    /// Issues a draft: its number, what the customer owes, and as much of that from the wallet as there is. One over nothing
    /// settles itself. Sent twice with the same key it is issued once.
    ///
    /// # Errors
    /// When it was issued before.
    pub async fn finalise_draft(
        &self,
        actor: &Actor,
        brand: BrandId,
        id: InvoiceId,
        due_days: u32,
        call: Option<Idempotency>,
    ) -> Result<Invoice, Problem> {
        if due_days > DUE_DAYS_MAX {
            let message = format!("due_days: give the customer 0 to {DUE_DAYS_MAX} days, got {due_days}");
            return Err(Problem::invalid("due_days", "DUE_DAYS", message));
        }
        let (mut tx, now) = self.begin(brand).await?;
        if let Some(id) = once::made(&mut tx, call.as_ref()).await? {
            return there(&mut tx, id).await;
        }
        let mut invoice = lock_draft(&mut tx, id).await?;
        let mut unit = Unit::new(brand, profile(&mut tx, brand).await?, now);
        unit.lock_customers(&mut tx, &[invoice.account]).await?;
        // Who sells is as on the day of issue, who buys as it was written.
        invoice.snapshot = snapshot(&unit.profile, invoice.snapshot.buyer);
        invoice.due_at = Some(now + TimeDelta::days(due_days.into()));
        let purse = purse_of(&mut tx, &invoice).await?;
        issue_now(&mut tx, &mut unit, &mut invoice, &purse).await?;
        unit.settle_if_paid(&mut invoice, None, None).map_err(broken)?;
        store::invoice::write_draft(&mut tx, &invoice).await?;
        unit.flush(&mut tx).await?;
        audit::append(&mut tx, actor, "invoice.finalise", id, None, Some(shown(&invoice))).await?;
        once::keep(&mut tx, call.as_ref(), id).await?;
        tx.commit().await?;
        Ok(invoice)
    }

    /// Has an issued invoice mailed to its customer, as often as staff asks.
    ///
    /// # Errors
    /// When it is a draft or void.
    pub async fn send_invoice(&self, actor: &Actor, brand: BrandId, id: InvoiceId) -> Result<Invoice, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let invoice = known(&mut tx, id).await?.ok_or_else(|| not_there(id))?;
        match invoice.state {
            State::Open | State::Uncollectible | State::Closed => {}
            State::Draft | State::Void => {
                let message = format!("an invoice that is {} is not sent; issue one first", invoice.state);
                return Err(Problem::refused("INVOICE_STATE", message).on_field("invoice_id"));
            }
        }
        outbox::append(&mut tx, publish::invoice_sent(brand, &invoice, now)).await?;
        audit::append(&mut tx, actor, "invoice.send", id, None, Some(shown(&invoice))).await?;
        tx.commit().await?;
        Ok(invoice)
    }
}

pub(super) fn snapshot(profile: &Profile, buyer: Buyer) -> Snapshot {
    Snapshot {
        seller: profile.entity.clone(),
        buyer,
        brand_name: profile.name.clone(),
        tax_name: profile.tax_name.clone(),
        offer: None,
        applied: Applied::default(),
        tax: None,
    }
}

async fn there(tx: &mut PgTransaction<'_>, id: InvoiceId) -> Result<Invoice, Problem> {
    store::invoice::get(tx, id).await?.ok_or_else(|| not_there(id))
}

fn not_there(id: InvoiceId) -> Problem {
    Problem::not_found("INVOICE_NOT_FOUND", format!("there is no invoice {id}")).on_field("invoice_id")
}

async fn lock_draft(tx: &mut PgTransaction<'_>, id: InvoiceId) -> Result<Invoice, Problem> {
    let Owed { invoice, .. } = Owed::lock(tx, id).await?;
    if invoice.state == State::Draft {
        return Ok(invoice);
    }
    let message =
        format!("invoice {} is issued and never changes; credit it and issue another one", invoice.number_text());
    Err(Problem::refused("INVOICE_ISSUED", message).on_field("invoice_id"))
}
