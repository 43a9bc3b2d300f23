//! What happens when money arrives, or does not.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, InvoiceId, Money, PaymentId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::unit::Unit;
use super::{Billing, broken, profile, schedule};
use crate::domain::invoice::{self, Invoice};
use crate::domain::ledger::{Account, Booking};
use crate::domain::subscription::{Method, Subscription};
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
        let subscription = match store::invoice::subscription_of(tx, id).await? {
            Some(subscription) => store::subscription::lock(tx, subscription).await?,
            None => None,
        };
        let invoice = store::invoice::lock(tx, id).await?.ok_or_else(|| {
            Problem::not_found("INVOICE_NOT_FOUND", format!("there is no invoice {id}")).on_field("invoice_id")
        })?;
        Ok(Self { subscription, invoice })
    }
}

/// Applies a confirmed payment to what it pays: ledger, allocation, invoice, order, subscription, entitlement and events.
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
    let Owed { subscription, mut invoice } = owed;
    if store::ledger::is_booked(tx, SETTLED, settled.payment).await? {
        return Ok((Settled::AlreadyApplied, invoice.state));
    }
    let mut unit = Unit::new(brand, profile(tx, brand).await?, now);
    unit.lock_customers(tx, &[settled.account]).await?;
    if let Some(order) = invoice.order {
        unit.lock_orders(tx, &[order]).await?;
    }
    let provider = Account::Provider(settled.provider.clone());
    let mut booking = unit.booking(&invoice, SETTLED, settled.payment);
    if settled.received != settled.requested || settled.received.currency != invoice.totals.total.currency {
        let booking =
            booking.post(provider.clone(), Account::Unapplied(settled.account), settled.received).map_err(broken)?;
        unit.book(booking);
        book_fee(&mut unit, &invoice, settled)?;
        unit.flush(tx).await?;
        let summary = format!(
            "{} came for invoice {}, {} was asked for; it is booked as unapplied: refund it or credit the customer",
            settled.received,
            invoice.number_text(),
            settled.requested
        );
        store::task::open(tx, brand, "payment_mismatch", settled.payment, &summary, now).await?;
        return Ok((Settled::Mismatch, invoice.state));
    }
    // Taken back, given up or paid already: the customer's money is kept for the next invoice, never lost.
    let remaining =
        if invoice.is_claim() { invoice.remaining().map_err(broken)? } else { Money::zero(settled.received.currency) };
    let applied = Money::new(settled.received.minor.min(remaining.minor), remaining.currency);
    let excess = settled.received.checked_sub(applied).map_err(broken)?;
    let was_given_up = invoice.state == invoice::State::Uncollectible;
    if was_given_up {
        recover(tx, &mut unit, &invoice, applied, settled.payment).await?;
    }
    booking = booking.post(provider.clone(), Account::Receivable(settled.account), applied).map_err(broken)?;
    booking = booking.post(provider, Account::Wallet(settled.account), excess).map_err(broken)?;
    unit.book(booking);
    book_fee(&mut unit, &invoice, settled)?;
    if excess.is_positive() {
        let summary =
            format!("{excess} more than invoice {} needed went to the wallet; offer a refund", invoice.number_text());
        store::task::open(tx, brand, "overpayment", settled.payment, &summary, now).await?;
    }
    let before = subscription.clone();
    let mut subscription = subscription;
    save_method(subscription.as_mut(), settled);
    let (mut state, mut is_settled) = (invoice.state, false);
    if applied.is_positive() {
        unit.allocate(&mut invoice, "payment", settled.payment.to_string(), applied).map_err(broken)?;
        // What was given up was given up with its subscription; paying the claim does not bring that back.
        let served = subscription.as_mut().filter(|_| !was_given_up);
        is_settled = unit.settle_if_paid(&mut invoice, served, Some(settled.payment)).map_err(broken)?;
        state = invoice.state;
        unit.keep_invoice(invoice);
    }
    // Settling has told the saved method along with everything else.
    if let (false, Some(before), Some(subscription)) = (is_settled, &before, &mut subscription) {
        unit.touch(before, subscription, "method_saved").map_err(broken)?;
    }
    finish(tx, billing, unit, subscription).await?;
    Ok((if applied.is_positive() { Settled::Applied } else { Settled::ToWallet }, state))
}

/// What was written off comes in after all: the loss shrinks by it, and staff is told.
async fn recover(
    tx: &mut PgTransaction<'_>,
    unit: &mut Unit,
    invoice: &Invoice,
    amount: Money,
    payment: PaymentId,
) -> Result<(), Problem> {
    let booking = unit.booking(invoice, "invoice.recovered", payment);
    let booking = booking.post(Account::Receivable(invoice.account), Account::BadDebt, amount).map_err(broken)?;
    unit.book(booking);
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

/// A payment failed for good (the state is already stored): see [`reopen_plan`].
///
/// # Errors
/// When the database fails.
pub async fn apply_failure(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    invoice: InvoiceId,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    reopen_plan(tx, billing, brand, invoice, now).await
}

fn book_fee(unit: &mut Unit, invoice: &Invoice, settled: &SettledPayment) -> Result<(), Problem> {
    let Some(fee) = settled.fee.filter(|fee| fee.is_positive()) else { return Ok(()) };
    let booking = Booking::new(invoice.snapshot.seller.id, "payment.fee", settled.payment, unit.now)
        .post(Account::ProviderFees(settled.provider.clone()), Account::Provider(settled.provider.clone()), fee)
        .map_err(broken)?;
    unit.book(booking);
    Ok(())
}

fn save_method(subscription: Option<&mut Subscription>, settled: &SettledPayment) {
    if let (Some(subscription), Some(method)) = (subscription, &settled.method)
        && !subscription.state.has_ended()
    {
        subscription.method = Some(method.clone());
    }
}

/// Writes the unit and plans its subscription anew.
pub(super) async fn finish(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    mut unit: Unit,
    subscription: Option<Subscription>,
) -> Result<Vec<PaymentId>, Problem> {
    let (brand, now) = (unit.brand, unit.now);
    let settings = billing.config.dunning(&unit.profile);
    if let Some(subscription) = &subscription {
        unit.keep(subscription.clone());
    }
    let attempts = unit.flush(tx).await?;
    if let Some(subscription) = subscription {
        schedule::replan(tx, brand, subscription, &settings, now).await?;
    }
    Ok(attempts)
}
