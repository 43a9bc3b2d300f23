//! "How was this computed": reads, derives again, and changes nothing.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, InvoiceId, Money, SubscriptionId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::consolidated::known;
use super::subscription::not_found;
use super::tax::Taxes;
use super::{Billing, broken, profile};
use crate::domain::explain::{self, Credit, Figure};
use crate::domain::invoice::{self, Invoice};
use crate::domain::next_bill::next_bill;
use crate::domain::portion::Credited;
use crate::domain::subscription::{State, Subscription};
use crate::store;
use crate::store::ledger::Shown;

/// The figures of something, and what they did to the books.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// What it is: a number, or in words.
    pub title: String,
    /// The invoice it is about; none when there is none yet.
    pub invoice: Option<InvoiceId>,
    /// When it is due; none when it was, or will not be.
    pub at: Option<DateTime<Utc>>,
    /// Why there is nothing to explain, or what else to know; empty for nothing.
    pub note: String,
    /// The figures.
    pub figures: Vec<Figure>,
    /// Rows of the books, oldest first.
    pub postings: Vec<Shown>,
}

impl Billing {
    /// How an invoice was computed, settled and booked.
    ///
    /// # Errors
    /// When there is no such invoice of `owner`.
    pub async fn explain_invoice(
        &self,
        brand: BrandId,
        id: InvoiceId,
        owner: Option<AccountId>,
    ) -> Result<Explanation, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let found = known(&mut tx, id).await?;
        // What staff is still writing is nobody's yet.
        let is_theirs = |invoice: &Invoice, owner| owner == invoice.account && invoice.state != invoice::State::Draft;
        let invoice = found.filter(|invoice| owner.is_none_or(|owner| is_theirs(invoice, owner))).ok_or_else(|| {
            Problem::not_found("INVOICE_NOT_FOUND", format!("there is no invoice {id}")).on_field("invoice_id")
        })?;
        of_invoice(&mut tx, &invoice, owner).await
    }

    /// How a quote was computed; `account` is who asks, nobody in particular for a visitor.
    ///
    /// # Errors
    /// When there is no such quote for them.
    pub async fn explain_quote(
        &self,
        brand: BrandId,
        id: Uuid,
        account: Option<AccountId>,
    ) -> Result<Explanation, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let tax_name = profile(&mut tx, brand).await?.tax_name;
        let found = store::quote::get(&mut tx, id).await?;
        let found =
            found.filter(|stored| stored.account.is_none_or(|owner| Some(owner) == account)).ok_or_else(|| {
                Problem::not_found("QUOTE_NOT_FOUND", "there is no such quote; ask for a new one").on_field("quote_id")
            })?;
        let quote = found.quote;
        Ok(Explanation {
            title: found.offer.plan_name,
            note: if quote.is_trial {
                "Nothing is due now: this is what is charged after the trial.".into()
            } else {
                String::new()
            },
            figures: explain::lines(&quote.lines, &quote.totals, &tax_name).map_err(broken)?,
            ..Explanation::default()
        })
    }

    /// How the next charge of a subscription is computed: of the invoice that waits, or of the one that will be issued.
    ///
    /// # Errors
    /// When there is no such subscription of `owner`.
    pub async fn explain_subscription(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        owner: Option<AccountId>,
    ) -> Result<Explanation, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let found = store::subscription::get(&mut tx, id).await?;
        let subscription =
            found.filter(|found| owner.is_none_or(|owner| owner == found.account)).ok_or_else(|| not_found(id))?;
        let open = store::invoice::open_of(&mut tx, &[id]).await?;
        if let Some(invoice) = open.iter().find(|invoice| invoice.holds_period()) {
            return of_invoice(&mut tx, invoice, owner).await;
        }
        let title = "Next charge".to_owned();
        if let Some(note) = no_charge(&subscription) {
            return Ok(Explanation { title, note, ..Explanation::default() });
        }
        let taxes = Taxes::of(&mut tx, brand, &[subscription.account], now).await?;
        let taxed = taxes.decide(subscription.account, &subscription.renewal_offer());
        let Some(bill) = next_bill(&subscription, &taxed.tax).map_err(broken)? else {
            let note = "Nothing is counted before the first payment.".to_owned();
            return Ok(Explanation { title, note, ..Explanation::default() });
        };
        let currency = bill.totals.total.currency;
        let purses = store::wallet::purses(&mut tx, &[subscription.account]).await?;
        let wallet = match purses.get(&(subscription.account, currency)) {
            Some(purse) => purse.available(now).map_err(broken)?,
            None => Money::zero(currency),
        };
        let mut figures = explain::lines(&bill.lines, &bill.totals, &taxed.name).map_err(broken)?;
        figures.push(explain::charge(bill.totals.total, bill.from(wallet)).map_err(broken)?);
        Ok(Explanation {
            title,
            at: Some(bill.period.start()),
            note: "As it is today: another plan, coupon or rate of tax until then changes it.".into(),
            figures,
            ..Explanation::default()
        })
    }
}

/// Why nothing will be charged; none when something will.
fn no_charge(subscription: &Subscription) -> Option<String> {
    match subscription.state {
        State::Ended { .. } => Some("The subscription is over; nothing is charged any more.".into()),
        State::Paused => Some("The subscription is paused; nothing is charged before it goes on.".into()),
        State::Pending | State::Trialing | State::Active | State::PastDue { .. } | State::Suspended { .. } => {
            let end = subscription.cancel_at?;
            Some(format!("The subscription ends on {}; nothing is charged any more.", end.format("%Y-%m-%d")))
        }
    }
}

/// What is still asked for.
fn asked_for(invoice: &Invoice) -> Result<Money, Problem> {
    match invoice.state {
        invoice::State::Draft | invoice::State::Open => invoice.remaining().map_err(broken),
        invoice::State::Void | invoice::State::Uncollectible | invoice::State::Closed => {
            Ok(Money::zero(invoice.totals.total.currency))
        }
    }
}

/// The figures of an invoice's credit notes, oldest first; each is a cause of rows of the books, too.
async fn credited(
    tx: &mut PgTransaction<'_>,
    invoice: &Invoice,
    tax_name: &str,
    references: &mut Vec<String>,
) -> Result<Vec<Figure>, Problem> {
    let mut figures = Vec::new();
    let nothing = Money::zero(invoice.totals.total.currency);
    let mut before = Credited { amount: nothing, tax: nothing, lines: Vec::new() };
    for note in store::credit_note::of_invoices(tx, &[invoice.id]).await? {
        let credit = Credit {
            number: note.number.to_string(),
            reference: note.id.to_string(),
            amount: note.amount,
            tax: note.tax,
            lines: note.lines.clone(),
            before: before.clone(),
        };
        figures.extend(explain::credit_note(&credit, &invoice.lines, &invoice.totals, tax_name).map_err(broken)?);
        before.amount = before.amount.checked_add(note.amount).map_err(broken)?;
        before.tax = before.tax.checked_add(note.tax).map_err(broken)?;
        before.lines.extend(&note.lines);
        references.push(note.id.to_string());
    }
    Ok(figures)
}

async fn of_invoice(
    tx: &mut PgTransaction<'_>,
    invoice: &Invoice,
    owner: Option<AccountId>,
) -> Result<Explanation, Problem> {
    let tax_name = &invoice.snapshot.tax_name;
    let parts = if invoice.parts.is_empty() { std::slice::from_ref(invoice) } else { &invoice.parts };
    let mut settlements = Vec::new();
    for part in parts {
        settlements.extend(store::explain::settlements(tx, part.id).await?);
    }
    let mut figures = explain::lines(&invoice.lines, &invoice.totals, tax_name).map_err(broken)?;
    let remaining = asked_for(invoice)?;
    figures.extend(explain::settlement(invoice.totals.total, remaining, &settlements).map_err(broken)?);
    let mut references: Vec<String> = parts.iter().map(|part| part.id.to_string()).collect();
    references.extend(settlements.into_iter().map(|settlement| settlement.reference));
    for part in parts {
        figures.extend(credited(tx, part, tax_name, &mut references).await?);
        references.extend(store::explain::refunds(tx, part.id).await?.iter().map(ToString::to_string));
    }
    let mut postings = store::explain::postings(tx, &references).await?;
    // A customer's own rows: what the provider keeps for itself is between it and the seller.
    if let Some(owner) = owner.map(|owner| format!(":{owner}")) {
        postings.retain(|row| row.debit.ends_with(&owner) || row.credit.ends_with(&owner));
    }
    let number = invoice.number_text();
    Ok(Explanation {
        title: if number.is_empty() { "Draft".to_owned() } else { number },
        invoice: Some(invoice.id),
        at: invoice.due_at.filter(|_| remaining.is_positive()),
        note: String::new(),
        figures,
        postings,
    })
}
