//! What happens when money arrives, or does not.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, InvoiceId, Money, OrderId, PaymentId, SubscriptionId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::unit::Unit;
use super::{Billing, broken, profile, schedule};
use crate::domain::consolidated;
use crate::domain::invoice::{self, Invoice, Purpose};
use crate::domain::ledger::{Account, Booking};
use crate::domain::subscription::{Method, Subscription};
use crate::events::publish;
use crate::store;

/// A payment the provider has confirmed.
#[derive(Clone, Debug)]
pub struct SettledPayment {
    /// The attempt.
    pub payment: PaymentId,
    /// What it was for.
    pub invoice: InvoiceId,
    /// Whose it is.
    pub account: AccountId,
    /// What was asked for.
    pub requested: Money,
    /// What came.
    pub received: Money,
    /// Customers of that provider send what they like: it pays what it can.
    pub is_any_amount: bool,
    /// What the provider kept for itself.
    pub fee: Option<Money>,
    /// The provider's ledger name.
    pub provider: String,
    /// A method the provider saved for renewals.
    pub method: Option<Method>,
}

/// What became of the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was booked before; nothing happened.
    AlreadyApplied,
    /// It went to the invoice (and what was too much to the wallet).
    Applied,
    /// It is not what was asked for: booked as unapplied, staff decides.
    Mismatch,
    /// The invoice needed none of it: all of it is in the wallet.
    ToWallet,
}

/// Kind of the booking that says a payment was settled.
pub const SETTLED: &str = "payment.settled";

/// An invoice and what it is for, both locked.
#[derive(Debug)]
pub struct Owed {
    /// What is paid for; none for an invoice of its own.
    pub subscription: Option<Subscription>,
    /// What is to be paid.
    pub invoice: Invoice,
}

impl Owed {
    /// Subscription, then invoice: the order in which everybody locks.
    ///
    /// # Errors
    /// When there is no such invoice, or the database fails.
    pub async fn lock(tx: &mut PgTransaction<'_>, id: InvoiceId) -> Result<Self, Problem> {
        let Some((subscription, group)) = store::invoice::belongs_to(tx, id).await? else {
            return Err(no_such(id, &store::invoice::part_ids(tx, id).await?));
        };
        // Parts of one whole are paid together, so they are locked together.
        if let Some(group) = group {
            let parts = store::invoice::part_ids(tx, group).await?;
            store::share::lock(tx, &parts).await?;
        }
        let subscription = match subscription {
            Some(subscription) => store::subscription::lock(tx, subscription).await?,
            None => None,
        };
        let invoice = store::invoice::lock(tx, id).await?.ok_or_else(|| no_such(id, &[]))?;
        Ok(Self { subscription, invoice })
    }
}

/// Nothing has this id, or only a consolidated invoice as a whole, with these parts.
fn no_such(id: InvoiceId, parts: &[InvoiceId]) -> Problem {
    if parts.is_empty() {
        return Problem::not_found("INVOICE_NOT_FOUND", format!("there is no invoice {id}")).on_field("invoice_id");
    }
    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    let message = format!("{id} is a consolidated invoice; name the part that is meant: {}", parts.join(", "));
    Problem::refused("INVOICE_CONSOLIDATED", message).on_field("invoice_id")
}

/// Applies a confirmed payment to what it pays: ledger, allocations, invoices, orders, subscriptions, entitlements and events.
/// `owed` is the first (mostly the only) invoice it is for; the others were locked with it.
/// Exactly once per payment, however often it is called. Returns also the state of the invoice afterwards. The caller commits.
///
/// # Errors
/// When the database fails.
pub async fn apply_success(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    owed: Owed,
    settled: &SettledPayment,
    now: DateTime<Utc>,
) -> Result<(Settled, invoice::State), Problem> {
    let Owed { subscription, invoice } = owed;
    if store::ledger::is_booked(tx, SETTLED, settled.payment).await? {
        return Ok((Settled::AlreadyApplied, invoice.state));
    }
    let mut unit = Unit::new(brand, profile(tx, brand).await?, now);
    unit.lock_customers(tx, &[settled.account]).await?;
    let is_asked_for = settled.is_any_amount || is_asked_for(billing, settled);
    if !is_asked_for || settled.received.currency != invoice.totals.total.currency {
        book_mismatch(tx, unit, &invoice, settled).await?;
        return Ok((Settled::Mismatch, invoice.state));
    }
    let lead = invoice.clone();
    let mut claims = Claims::gather(tx, Owed { subscription, invoice }, settled.payment).await?;
    let orders: Vec<OrderId> = claims.invoices.iter().filter_map(|invoice| invoice.order).collect();
    unit.lock_orders(tx, &orders).await?;
    let before = claims.subscriptions.clone();
    claims.save_method(&lead, settled);
    let nothing = Money::zero(settled.received.currency);
    let (mut left, mut recovered) = (settled.received, nothing);
    let (mut told, mut paid) = (Vec::new(), Vec::new());
    let mut state = lead.state;
    for mut invoice in std::mem::take(&mut claims.invoices) {
        // Taken back, given up or paid already: the customer's money is kept for the next invoice, never lost.
        let remaining = if invoice.is_claim() { invoice.remaining().map_err(broken)? } else { nothing };
        let applied = Money::new(left.minor.min(remaining.minor), left.currency);
        // A part of a top-up is money in the wallet at once: nothing waits for the rest.
        let is_part_of_top_up = invoice.purpose == Purpose::TopUp && applied.minor < remaining.minor;
        if !applied.is_positive() || is_part_of_top_up {
            continue;
        }
        left = left.checked_sub(applied).map_err(broken)?;
        unit.make_invoice(tx, &mut invoice).await?;
        let was_given_up = invoice.state == invoice::State::Uncollectible;
        if was_given_up {
            recovered = recovered.checked_add(applied).map_err(broken)?;
            tell_recovered(tx, &unit, &invoice, applied).await?;
        }
        unit.allocate(&mut invoice, "payment", settled.payment.to_string(), applied).map_err(broken)?;
        // What was given up was given up with its subscription; paying the claim does not bring that back.
        let served = invoice.subscription.filter(|_| !was_given_up);
        let subscription = served.and_then(|id| claims.subscriptions.get_mut(&id));
        if unit.settle_if_paid(&mut invoice, subscription, Some(settled.payment)).map_err(broken)? {
            told.extend(served);
        }
        if invoice.id == lead.id {
            state = invoice.state;
        }
        paid.push(invoice.clone());
        unit.keep_invoice(invoice);
    }
    tell_wholes(tx, &mut unit, &paid).await?;
    let applied = settled.received.checked_sub(left).map_err(broken)?;
    book_received(&mut unit, &lead, settled, applied, recovered)?;
    // Who pays for a top-up that had expired wanted the money in the wallet, and it is there.
    let is_late_top_up = lead.purpose == Purpose::TopUp && lead.state == invoice::State::Void;
    if left.is_positive() && !is_late_top_up {
        let summary =
            format!("{left} more than invoice {} needed went to the wallet; offer a refund", lead.number_text());
        store::task::open(tx, brand, "overpayment", settled.payment, &summary, now).await?;
    }
    for (id, subscription) in &mut claims.subscriptions {
        // Settling has told the saved method along with everything else.
        if !told.contains(id) {
            unit.touch(&before[id], subscription, "method_saved").map_err(broken)?;
        }
    }
    Box::pin(finish_all(tx, billing, unit, claims.subscriptions.into_values().collect())).await?;
    Ok((if applied.is_positive() { Settled::Applied } else { Settled::ToWallet }, state))
}

/// Whether it is what was asked for. Nobody can be kept from sending more coins than that: what is too much is the customer's.
fn is_asked_for(billing: &Billing, settled: &SettledPayment) -> bool {
    let is_sent = || billing.providers.get(&settled.provider).is_some_and(|provider| provider.coins().is_some());
    let is_more =
        settled.received.currency == settled.requested.currency && settled.received.minor > settled.requested.minor;
    settled.received == settled.requested || (is_more && is_sent())
}

/// What a payment pays: its invoices in order, and their subscriptions, each once.
struct Claims {
    invoices: Vec<Invoice>,
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
}

impl Claims {
    /// The rest of what the payment is for; everything was locked with its first invoice. Money for one part of a whole pays
    /// the others, too.
    async fn gather(tx: &mut PgTransaction<'_>, first: Owed, payment: PaymentId) -> Result<Self, Problem> {
        let mut claims = Self { invoices: Vec::new(), subscriptions: BTreeMap::new() };
        let mut shares = store::share::of(tx, payment).await?;
        if shares.is_empty() && first.invoice.part.is_some() {
            shares = store::invoice::part_ids(tx, first.invoice.id).await?;
        }
        if shares.is_empty() {
            claims.add(first);
        }
        for id in shares {
            claims.add(Owed::lock(tx, id).await?);
        }
        Ok(claims)
    }

    fn add(&mut self, owed: Owed) {
        self.invoices.push(owed.invoice);
        if let Some(subscription) = owed.subscription {
            self.subscriptions.entry(subscription.id).or_insert(subscription);
        }
    }
}

impl Claims {
    /// What paid is what renewals are charged to from now on: of the subscription that asked, and of those that are billed, and
    /// so charged, with it.
    fn save_method(&mut self, lead: &Invoice, settled: &SettledPayment) {
        let Some(lead_id) = lead.subscription else { return };
        for (id, subscription) in &mut self.subscriptions {
            if *id == lead_id || (lead.part.is_some() && subscription.method.is_some()) {
                save_method(subscription, settled);
            }
        }
    }
}

/// Tells of consolidated invoices on which nothing is left to pay now, for the receipt.
async fn tell_wholes(tx: &mut PgTransaction<'_>, unit: &mut Unit, paid: &[Invoice]) -> Result<(), Problem> {
    let mut groups: Vec<InvoiceId> = paid.iter().filter_map(|invoice| Some(invoice.part?.group)).collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let mut parts = store::invoice::parts_of(tx, &[group]).await?;
        for part in &mut parts {
            if let Some(now) = paid.iter().find(|paid| paid.id == part.id) {
                part.clone_from(now);
            }
        }
        if let Some(whole) = consolidated::view(parts).map_err(broken)?
            && whole.state == invoice::State::Closed
        {
            let event = publish::consolidated_settled(unit.brand, &whole, unit.now);
            unit.tell(event);
        }
    }
    Ok(())
}

/// Something else came than was asked for: kept apart, and a person decides.
async fn book_mismatch(
    tx: &mut PgTransaction<'_>,
    mut unit: Unit,
    invoice: &Invoice,
    settled: &SettledPayment,
) -> Result<(), Problem> {
    let (brand, now) = (unit.brand, unit.now);
    let provider = Account::Provider(settled.provider.clone());
    let booking = unit
        .booking(invoice, SETTLED, settled.payment)
        .post(provider, Account::Unapplied(settled.account), settled.received)
        .map_err(broken)?;
    unit.book(booking);
    book_fee(&mut unit, invoice, settled)?;
    unit.flush(tx).await?;
    let summary = format!(
        "{} came for invoice {}, {} was asked for; it is booked as unapplied: refund it or credit the customer",
        settled.received,
        invoice.number_text(),
        settled.requested
    );
    Ok(store::task::open(tx, brand, "payment_mismatch", settled.payment, &summary, now).await?)
}

/// The money is at the provider: `applied` of it pays what was owed, the rest is the customer's. What had been written off
/// and comes in after all makes the loss smaller.
fn book_received(
    unit: &mut Unit,
    invoice: &Invoice,
    settled: &SettledPayment,
    applied: Money,
    recovered: Money,
) -> Result<(), Problem> {
    let provider = || Account::Provider(settled.provider.clone());
    let receivable = || Account::Receivable(settled.account);
    let excess = settled.received.checked_sub(applied).map_err(broken)?;
    let booking = unit
        .booking(invoice, SETTLED, settled.payment)
        .post(provider(), receivable(), applied)
        .and_then(|booking| booking.post(provider(), Account::Wallet(settled.account), excess))
        .map_err(broken)?;
    unit.book(booking);
    let booking = unit.booking(invoice, "invoice.recovered", settled.payment);
    unit.book(booking.post(receivable(), Account::BadDebt, recovered).map_err(broken)?);
    book_fee(unit, invoice, settled)
}

/// Staff hears that somebody pays for what was given up.
async fn tell_recovered(
    tx: &mut PgTransaction<'_>,
    unit: &Unit,
    invoice: &Invoice,
    amount: Money,
) -> Result<(), Problem> {
    let summary = format!(
        "{amount} came for invoice {}, which had been given up; the customer may expect to be served again",
        invoice.number_text()
    );
    Ok(store::task::open(tx, unit.brand, "invoice_recovered", invoice.id, &summary, unit.now).await?)
}

/// A payment failed, or its standing changed otherwise: the subscription's plan is made anew, and the scheduler does what
/// is due.
///
/// # Errors
/// When the database fails.
pub async fn reopen_plan(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    invoice: InvoiceId,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let Some(id) = store::invoice::subscription_of(tx, invoice).await? else { return Ok(()) };
    let Some(subscription) = store::subscription::lock(tx, id).await? else { return Ok(()) };
    let settings = billing.config.dunning(&profile(tx, brand).await?);
    Ok(schedule::replan(tx, brand, subscription, &settings, now).await?)
}

fn book_fee(unit: &mut Unit, invoice: &Invoice, settled: &SettledPayment) -> Result<(), Problem> {
    let Some(fee) = settled.fee.filter(|fee| fee.is_positive()) else { return Ok(()) };
    let booking = Booking::new(invoice.snapshot.seller.id, "payment.fee", settled.payment, unit.now)
        .post(Account::ProviderFees(settled.provider.clone()), Account::Provider(settled.provider.clone()), fee)
        .map_err(broken)?;
    unit.book(booking);
    Ok(())
}

fn save_method(subscription: &mut Subscription, settled: &SettledPayment) {
    if let Some(method) = &settled.method
        && !subscription.state.has_ended()
    {
        subscription.method = Some(method.clone());
    }
}

/// Writes the unit and plans its subscription anew.
pub(super) async fn finish(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    unit: Unit,
    subscription: Option<Subscription>,
) -> Result<Vec<PaymentId>, Problem> {
    finish_all(tx, billing, unit, subscription.into_iter().collect()).await
}

/// As [`finish`], with all its subscriptions.
pub(super) async fn finish_all(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    mut unit: Unit,
    subscriptions: Vec<Subscription>,
) -> Result<Vec<PaymentId>, Problem> {
    let (brand, now) = (unit.brand, unit.now);
    let settings = billing.config.dunning(&unit.profile);
    for subscription in &subscriptions {
        unit.keep(subscription.clone());
    }
    let attempts = unit.flush(tx).await?;
    for subscription in subscriptions {
        schedule::replan(tx, brand, subscription, &settings, now).await?;
    }
    Ok(attempts)
}
