//! The scheduler: claims due subscriptions, decides for the whole batch, writes in sets.
//!
//! `worker` looks for work, `batch` claims, reads, writes and hands back; what is decided is here, purely, one
//! subscription after the other, by the rules that quotes, changes and settlements use, too.
//!
//! Any number of schedulers run at once. A claim is a lease with a fence; the fence is checked when the batch is written,
//! so one that was paused past its lease writes nothing. Dying halfway loses nothing: the batch is one transaction, and
//! its claims lapse.

mod batch;
#[cfg(test)]
mod lives;
mod phases;
mod together;
mod worker;

use std::collections::HashMap;

use chrono::TimeDelta;
use ottery_kernel::{AccountId, BrandId, Currency, InvoiceId, Money, OrderId, PaymentMethodId, SubscriptionId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::order::{ask_first, draft, number_draft};
use super::schedule::Case;
use super::subscription::{close, open};
use super::unit::{Unit, UnitError};
use super::{Billing, broken, vat};
use crate::domain::dunning::campaign::Channel;
use crate::domain::dunning::{Standing, Step};
use crate::domain::invoice::{self, Invoice, Purpose};
use crate::domain::next_bill::{NextBill, next_bill};
use crate::domain::subscription::{Command, State, Subscription, SuspendCause};
use crate::domain::wallet::Purse;
use crate::events::{self, publish};
use crate::store;
use crate::store::notice::Notice;
use crate::store::payment::{AttemptKind, AttemptRequest};
use crate::store::share::Share;

pub use worker::run;

/// How far ahead somebody may pay.
const AHEAD_MAX: TimeDelta = TimeDelta::days(3 * 366);

impl Billing {
    /// Bills the next period now instead of when its time comes; it extends from the end of what is paid. An invoice that
    /// waits already is the answer.
    ///
    /// # Errors
    /// When nothing will be renewed, too much is paid already, or a change waits to be paid.
    pub async fn renew(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        owner: Option<AccountId>,
    ) -> Result<Subscription, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let (mut unit, mut case) = open(&mut tx, brand, id, owner, now).await?;
        if case.period_invoice().is_some() {
            return Ok(case.subscription);
        }
        match case.subscription.state {
            State::Active if case.subscription.cancel_at.is_none() => {}
            State::Active => {
                return Err(Problem::refused("CANCEL_SCHEDULED", "the subscription is about to end; resume it first"));
            }
            State::Pending
            | State::Trialing
            | State::PastDue { .. }
            | State::Suspended { .. }
            | State::Paused
            | State::Ended { .. } => {
                let message = format!("a subscription that is {} cannot be renewed early", case.subscription.state);
                return Err(Problem::refused("SUBSCRIPTION_STATE", message));
            }
        }
        // It was priced for the time that is paid now; the renewal would make that longer.
        if let Some(change) = case.open.iter().find(|invoice| invoice.purpose == Purpose::Upgrade) {
            let message = format!(
                "a change waits to be paid ({}); pay it, or take it back by choosing what the subscription has now, and renew then",
                change.number_text()
            );
            return Err(Problem::refused("CHANGE_OPEN", message));
        }
        if case.subscription.paid_through.is_some_and(|end| end > now + AHEAD_MAX) {
            return Err(Problem::refused("PAID_FAR_AHEAD", "more than three years are paid already; renew it later"));
        }
        let held =
            self.hold_for_vat(&mut tx, &unit, std::slice::from_ref(&case), &mut [Some(Step::IssueInvoice)]).await?;
        if let Some(until) = held.get(&id) {
            // The question stays asked.
            tx.commit().await?;
            return Err(vat::waits(*until));
        }
        let waiting = case.open.len();
        let currencies = unit.profile.currencies.clone();
        unit.profile.minimums = self.minimums(&mut tx, brand, &currencies).await?;
        let mut means = Means::gather(&mut tx, &mut unit, &[(&case, Step::IssueInvoice)]).await?;
        issue(&mut unit, &mut case, &mut means).map_err(broken)?;
        // The new one is the unit's to write.
        case.open.truncate(waiting);
        let subscription = close(&mut tx, self, unit, case).await?;
        tx.commit().await?;
        Ok(subscription)
    }
}

/// What the decisions of a batch draw on: the money in wallets.
#[derive(Clone, Debug, Default)]
struct Means {
    wallets: HashMap<(AccountId, Currency), Purse>,
}

impl Means {
    /// Locks customers and orders of what is to be done, and reads the wallets.
    async fn gather(tx: &mut PgTransaction<'_>, unit: &mut Unit, due: &[(&Case, Step)]) -> sqlx::Result<Self> {
        let mut accounts: Vec<AccountId> = due.iter().map(|(case, _)| case.subscription.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        unit.lock_customers(tx, &accounts).await?;
        let ending = |(case, step): &(&Case, Step)| {
            let is_ordered = case.subscription.state == State::Pending && matches!(step, Step::End(_));
            is_ordered.then_some(case.subscription.order)
        };
        let orders: Vec<OrderId> = due.iter().filter_map(ending).collect();
        if !orders.is_empty() {
            unit.lock_orders(tx, &orders).await?;
        }
        let spends = |(case, step): &(&Case, Step)| {
            matches!(step, Step::IssueInvoice) || asks(*step) && case.is_small(&unit.profile.minimums)
        };
        let wallets = if due.iter().any(spends) { store::wallet::purses(tx, &accounts).await? } else { HashMap::new() };
        Ok(Self { wallets })
    }
}

/// Decides one step of one subscription. Afterwards the case is as it will be stored.
fn perform(unit: &mut Unit, case: &mut Case, step: Step, means: &mut Means) -> Result<(), UnitError> {
    if asks(step) && case.is_small(&unit.profile.minimums) {
        return put_off(unit, case, means);
    }
    let before = case.subscription.clone();
    let subscription = &mut case.subscription;
    match step {
        Step::Roll => {
            subscription.roll(unit.now);
            unit.touch(&before, subscription, "period_started")?;
        }
        Step::End(cause) => {
            unit.end(subscription, cause, &mut case.open)?;
        }
        Step::DropChange(id) => {
            if let Some(invoice) = case.invoice(id) {
                unit.withdraw(invoice)?;
            }
        }
        Step::IssueInvoice => issue(unit, case, means)?,
        Step::Charge(id) => {
            if let Some(method) = subscription.method.as_ref().map(|method| method.id) {
                charge(unit, case, id, method)?;
            }
        }
        Step::ChargeOther { invoice, method } => charge(unit, case, invoice, method)?,
        Step::Remind { invoice: id, step } => remind(unit, case, id, step),
        Step::MissPayment { grace_until } => {
            subscription.apply(Command::MissPayment { grace_until }, unit.now)?;
            unit.touch(&before, subscription, "payment_missed")?;
        }
        Step::Prolong { grace_until } => {
            subscription.apply(Command::Prolong { grace_until }, unit.now)?;
            unit.touch(&before, subscription, "grace_prolonged")?;
        }
        Step::Suspend => {
            subscription.apply(Command::Suspend(SuspendCause::Unpaid), unit.now)?;
            unit.touch(&before, subscription, "unpaid")?;
            let suspended = subscription.clone();
            case.facts.contacted_at = Some(unit.now);
            if let Some(invoice) = case.period_invoice() {
                unit.tell(events::dunning::suspended(unit.brand, &suspended, invoice, unit.now));
            }
        }
        Step::TakeUp => {
            subscription.apply(Command::Unpause, unit.now)?;
            subscription.take_up(unit.now)?;
            unit.touch(&before, subscription, "unpaused")?;
        }
    }
    Ok(())
}

/// Whether a step wants money of a customer, or makes them feel that none came.
const fn asks(step: Step) -> bool {
    match step {
        Step::Charge(_)
        | Step::ChargeOther { .. }
        | Step::Remind { .. }
        | Step::MissPayment { .. }
        | Step::Prolong { .. }
        | Step::Suspend => true,
        Step::Roll | Step::End(_) | Step::DropChange(_) | Step::IssueInvoice | Step::TakeUp => false,
    }
}

/// What is left of a renewal cannot be asked for by itself: the wallet pays it, or it is carried forward, and nobody is dunned.
fn put_off(unit: &mut Unit, case: &mut Case, means: &mut Means) -> Result<(), UnitError> {
    let Case { subscription, open, .. } = case;
    let Some(invoice) = open.iter_mut().find(|invoice| invoice.holds_period()) else { return Ok(()) };
    let wallet = (invoice.account, invoice.totals.total.currency);
    let purse = means.wallets.get(&wallet).cloned().unwrap_or(Purse::empty(wallet.1));
    let left = unit.pay_from_wallet(invoice, &purse)?;
    if !unit.settle_if_paid(invoice, Some(&mut *subscription), None)? {
        unit.carry(invoice, subscription)?;
    }
    means.wallets.insert(wallet, left);
    Ok(())
}

/// A customer hears of what they owe, by the channels of the step.
fn remind(unit: &mut Unit, case: &mut Case, id: InvoiceId, step: u32) {
    let by = |channel| case.channels_of(step).contains(&channel);
    let (is_mailed, is_shown) = (by(Channel::Mail), by(Channel::InApp));
    let subscription = case.subscription.id;
    let plan_name = case.subscription.offer.plan_name.clone();
    if let Some(invoice) = case.invoice(id) {
        invoice.reminders_done = step;
        if is_shown {
            unit.notices.push(Notice { invoice: id, step, subscription, plan_name, shown_from: unit.now });
        }
        let event = publish::reminder_due(unit.brand, invoice, step, is_mailed, unit.now);
        unit.tell(event);
    }
    case.facts.contacted_at = Some(unit.now);
}

/// Asks for a charge of a saved method, together with what was carried forward.
fn charge(unit: &mut Unit, case: &mut Case, id: InvoiceId, method: PaymentMethodId) -> Result<(), UnitError> {
    let Some(invoice) = case.invoice(id) else { return Ok(()) };
    invoice.charges_made += 1;
    let own = Share { invoice: invoice.id, amount: invoice.remaining()? };
    let invoice = invoice.clone();
    let carried = case.carried(&invoice)?;
    let amounts = carried.iter().chain([&own]).map(|share| share.amount);
    let amount = Money::sum(own.amount.currency, amounts)?;
    unit.attempts.push(AttemptRequest {
        invoice: invoice.id,
        account: invoice.account,
        subscription: invoice.subscription,
        amount,
        kind: AttemptKind::OffSession { method },
        shares: if carried.is_empty() { Vec::new() } else { [own].into_iter().chain(carried).collect() },
    });
    case.standings.insert(id, Standing::InFlight);
    case.facts.notes.entry(id).or_default().charged_at = Some(unit.now);
    Ok(())
}

/// Issues the invoice of the next period (the first one after a trial), paid from the wallet as far as that goes. Its number
/// is given when the unit is written.
fn issue(unit: &mut Unit, case: &mut Case, means: &mut Means) -> Result<(), UnitError> {
    let invoice = drafted(unit, case)?;
    let is_small = leaves_too_little(unit, std::slice::from_ref(&invoice), &case.open, means)?;
    issued(unit, case, invoice, is_small, means)
}

/// The invoice of the next period, not issued yet.
fn drafted(unit: &Unit, case: &Case) -> Result<Invoice, UnitError> {
    let subscription = &case.subscription;
    let taxed = unit.tax(subscription.account, &subscription.renewal_offer());
    let bill = next_bill(subscription, &taxed.tax)?;
    let (Some(bill), Some(customer)) = (bill, unit.customer(subscription.account)) else {
        return Err(UnitError::Incomplete(subscription.id));
    };
    let NextBill { purpose, period, offer, lines, totals, applied } = bill;
    let buyer = customer.buyer.clone();
    let mut invoice: Invoice = draft(&unit.profile, buyer, subscription, purpose, unit.now);
    (invoice.lines, invoice.snapshot.applied) = (lines, applied);
    invoice.snapshot.tax_as(taxed);
    // The next price may be in another currency than the one of now.
    let currency = offer.price.currency;
    (invoice.paid, invoice.refunded) = (Money::zero(currency), Money::zero(currency));
    invoice.from_wallet = Money::zero(currency);
    invoice.totals = totals;
    invoice.snapshot.offer = Some(offer);
    invoice.period = Some(period);
    // Issued late (after an outage), it is due now: nobody is late for what they never saw.
    invoice.due_at = Some(period.start().max(unit.now));
    Ok(invoice)
}

/// Whether what a wallet leaves of new renewals of one customer, and of what was carried forward, is too little for a payment.
fn leaves_too_little<'a>(
    unit: &Unit,
    renewals: &[Invoice],
    open: impl IntoIterator<Item = &'a Invoice>,
    means: &Means,
) -> Result<bool, UnitError> {
    let Some(first) = renewals.first().filter(|first| first.purpose == invoice::Purpose::Renewal) else {
        return Ok(false);
    };
    let currency = first.totals.total.currency;
    let mut owed = Money::sum(currency, renewals.iter().map(|renewal| renewal.totals.total))?;
    for old in open.into_iter().filter(|old| old.is_carried() && old.totals.total.currency == currency) {
        owed = owed.checked_add(old.remaining()?)?;
    }
    let available = match means.wallets.get(&(first.account, currency)) {
        Some(purse) => purse.available(unit.now)?,
        None => Money::zero(currency),
    };
    let rest = Money::new(owed.minor - available.minor, currency);
    Ok(rest.is_positive() && unit.profile.minimums.is_too_small(rest))
}

/// Issues what was drafted. What is too little to be asked for by itself (`is_small`) is carried forward, unless the wallet pays it.
fn issued(
    unit: &mut Unit,
    case: &mut Case,
    mut invoice: Invoice,
    is_small: bool,
    means: &mut Means,
) -> Result<(), UnitError> {
    let currency = invoice.totals.total.currency;
    let wallet = (invoice.account, currency);
    let mut purse = means.wallets.get(&wallet).cloned().unwrap_or(Purse::empty(currency));
    // What was carried forward is older.
    for old in case.open.iter_mut().filter(|old| old.is_carried() && old.totals.total.currency == currency) {
        purse = unit.pay_from_wallet(old, &purse)?;
        unit.settle_if_paid(old, None, None)?;
    }
    // What is carried forward was sold, so it is an invoice at once.
    if !is_small && unit.profile.rules.asks_first(invoice.totals.total, purse.available(unit.now)?) {
        ask_first(&mut invoice, unit.now)?;
    } else {
        number_draft(&mut invoice, None, unit.now)?;
    }
    unit.issue(&invoice)?;
    let left = unit.pay_from_wallet(&mut invoice, &purse)?;
    let is_settled = unit.settle_if_paid(&mut invoice, Some(&mut case.subscription), None)?;
    if is_small && !is_settled {
        unit.carry(&mut invoice, &mut case.subscription)?;
    }
    unit.keep_new(invoice.clone());
    if invoice.state == invoice::State::Open {
        case.open.push(invoice);
    }
    // Last, when nothing can fail any more: what failed takes nothing out.
    means.wallets.insert(wallet, left);
    Ok(())
}
