//! The scheduler: claims due subscriptions, decides for the whole batch, writes in sets.
//!
//! Any number of schedulers run at once. A claim is a lease with a fence; the fence is checked when the batch is written,
//! so one that was paused past its lease writes nothing. Dying halfway loses nothing: the batch is one transaction, and
//! its claims lapse.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, Currency, Money, OrderId, SubscriptionId};
use ottery_kit::clock::brand_now;
use ottery_kit::db::{self, Scope};
use ottery_kit::grpc::Problem;
use ottery_kit::{WorkerContext, crash};
use sqlx::postgres::PgTransaction;

use super::order::{draft, number_draft};
use super::schedule::{Case, cases};
use super::subscription::{close, open};
use super::unit::{Unit, UnitError};
use super::{Billing, broken, profile};
use crate::domain::dunning::{Settings, Step};
use crate::domain::invoice::{Invoice, Number, Purpose, number_year};
use crate::domain::line::Totals;
use crate::domain::quote::{Billed, stretch_lines};
use crate::domain::subscription::{Command, State, Subscription, SuspendCause};
use crate::events::publish;
use crate::store;
use crate::store::due::Claim;
use crate::store::payment::{AttemptKind, AttemptRequest};

/// Brands looked at in one round; the others come in the next.
const BRANDS_MAX: i64 = 64;
/// When a subscription whose step fails is tried again, by the brand's clock.
const RETRY_DEFECT: TimeDelta = TimeDelta::hours(1);

/// Works off due subscriptions until the process stops.
///
/// # Errors
/// When the database is away; kit starts the worker again.
pub async fn run(billing: Arc<Billing>, context: WorkerContext) -> anyhow::Result<()> {
    let lag = billing.host.metrics.gauge(
        "ottery_billing_renewal_lag_seconds",
        "How long the first due subscription has been waiting for a scheduler; brands on test clocks do not count",
    );
    loop {
        let mut worked = 0;
        let now = billing.clock.now();
        let due = store::due::brands(&billing.pool, now, BRANDS_MAX).await?;
        let oldest = due.iter().filter_map(|due| due.waiting_since).min();
        lag.set(&[], oldest.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0)));
        for brand in due.into_iter().map(|due| due.brand) {
            if context.shutdown.is_cancelled() {
                return Ok(());
            }
            // One brand's defect must not keep the others from their renewals.
            match billing.run_batch(brand).await {
                Ok(count) => worked += count,
                Err(error) => {
                    tracing::error!(brand.id = %brand, error = format!("{error:#}"), "a renewal batch failed")
                }
            }
        }
        if worked == 0 {
            tokio::select! {
                () = context.shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(billing.config.renewals.poll()) => {}
            }
        }
    }
}

impl Billing {
    /// One batch of one brand: one step of each claimed subscription. Returns how many were worked on.
    ///
    /// # Errors
    /// When the database fails or something stored contradicts itself.
    pub async fn run_batch(&self, brand: BrandId) -> anyhow::Result<usize> {
        let claims = self.claim_batch(brand).await?;
        if claims.is_empty() {
            return Ok(0);
        }
        crash::point("renewal.claimed");
        match self.work_off(brand, &claims).await {
            Err(error) if is_defect(&error) => self.one_by_one(brand, &claims).await,
            done => done,
        }
    }

    /// One subscription whose data contradicts itself must not keep its neighbours from their renewals: each is worked off
    /// alone, and the broken one waits for a person.
    async fn one_by_one(&self, brand: BrandId, claims: &[Claim]) -> anyhow::Result<usize> {
        let mut worked = 0;
        for claim in claims {
            let Err(error) = self.work_off(brand, std::slice::from_ref(claim)).await else {
                worked += 1;
                continue;
            };
            if !is_defect(&error) {
                return Err(error);
            }
            tracing::error!(subscription.id = %claim.subscription, error = format!("{error:#}"), "a renewal step failed");
            let (mut tx, now) = self.begin(brand).await?;
            let summary = "its next billing step fails; the log says why; it is tried again every hour";
            store::task::open(&mut tx, brand, "renewal_failed", claim.subscription, summary, now).await?;
            store::due::finish(&mut tx, &[(*claim, Some(now + RETRY_DEFECT))]).await?;
            tx.commit().await?;
        }
        Ok(worked)
    }

    /// What is still due in the brand at `now`, in words; none when nothing is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn still_due(&self, brand: BrandId, now: DateTime<Utc>) -> anyhow::Result<Option<String>> {
        let count = store::due::count(&self.pool, brand, now).await?;
        if count > 0 {
            return Ok(Some(format!("{count} due subscriptions")));
        }
        let mut tx = db::begin(&self.pool, Scope::Brand(brand)).await?;
        Ok(super::payment::waiting(&mut tx, brand).await?)
    }

    /// Claims what is due in the brand.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_batch(&self, brand: BrandId) -> anyhow::Result<Vec<Claim>> {
        let mut tx = db::begin(&self.pool, Scope::Platform).await?;
        let now = brand_now(&mut tx, brand, &*self.clock).await?;
        drop(tx);
        let renewals = &self.config.renewals;
        Ok(store::due::claim(&self.pool, brand, now, renewals.batch_size.into(), renewals.lease()).await?)
    }

    /// Decides and writes claimed subscriptions, in one transaction. Claims that were lost meanwhile are left alone.
    ///
    /// # Errors
    /// When the database fails or something stored contradicts itself.
    pub async fn work_off(&self, brand: BrandId, claims: &[Claim]) -> anyhow::Result<usize> {
        let (mut tx, now) = self.begin(brand).await?;
        let wanted: Vec<SubscriptionId> = claims.iter().map(|claim| claim.subscription).collect();
        // Subscriptions before due rows, as everybody locks them.
        let locked = store::subscription::lock_all(&mut tx, &wanted).await?;
        let mine = store::due::still_mine(&mut tx, claims).await?;
        let fences: HashMap<SubscriptionId, Claim> = mine.iter().map(|claim| (claim.subscription, *claim)).collect();
        let subscriptions = locked.into_iter().filter(|subscription| fences.contains_key(&subscription.id)).collect();
        let mut batch = cases(&mut tx, brand, subscriptions).await?;

        let profile = profile(&mut tx, brand).await?;
        let settings = self.config.dunning(&profile);
        let mut unit = Unit::new(brand, profile, now);
        let steps: Vec<Option<Step>> = batch
            .iter()
            .map(|case| case.next(&settings, now).filter(|(at, _)| *at <= now).map(|(_, step)| step))
            .collect();
        let mut means = Means::gather(&mut tx, &mut unit, &batch, &steps).await?;
        for (case, step) in batch.iter_mut().zip(&steps) {
            if let Some(step) = step {
                perform(&mut unit, case, *step, &mut means)?;
            }
        }
        for case in &batch {
            unit.keep(case.subscription.clone());
            for invoice in &case.open {
                unit.keep_invoice(invoice.clone());
            }
        }
        unit.flush(&mut tx).await?;
        crash::point("renewal.mid");
        plan_on(&mut tx, brand, batch, &settings, now, &fences).await?;
        tx.commit().await?;
        let done = self.host.metrics.counter("ottery_billing_renewal_steps", "Steps of dunning that were carried out");
        for step in steps.iter().flatten() {
            done.inc(&[("step", step.name())]);
        }
        Ok(fences.len())
    }
}

/// How far ahead somebody may pay.
const AHEAD_MAX: TimeDelta = TimeDelta::days(3 * 366);

impl Billing {
    /// Bills the next period now instead of when its time comes; it extends from the end of what is paid. An invoice that
    /// waits already is the answer.
    ///
    /// # Errors
    /// When nothing will be renewed, or too much is paid already.
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
        if case.subscription.paid_through.is_some_and(|end| end > now + AHEAD_MAX) {
            return Err(Problem::refused("PAID_FAR_AHEAD", "more than three years are paid already; renew it later"));
        }
        let steps = [Some(Step::IssueInvoice)];
        let mut means = Means::gather(&mut tx, &mut unit, std::slice::from_ref(&case), &steps).await?;
        issue(&mut unit, &mut case, &mut means).map_err(broken)?;
        let subscription = close(&mut tx, self, unit, case).await?;
        tx.commit().await?;
        Ok(subscription)
    }
}

/// Whether trying again at once cannot help: contradicting data, not a database that is away or a lost race.
fn is_defect(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<sqlx::Error>() {
        None => error.downcast_ref::<UnitError>().is_some(),
        Some(error) => error.as_database_error().is_some_and(|database| {
            database.is_unique_violation() || database.is_check_violation() || database.is_foreign_key_violation()
        }),
    }
}

/// Reads what was written, plans the next steps and gives the claims back, if all of them still stand.
async fn plan_on(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    batch: Vec<Case>,
    settings: &Settings,
    now: DateTime<Utc>,
    fences: &HashMap<SubscriptionId, Claim>,
) -> anyhow::Result<()> {
    let written = cases(tx, brand, batch.into_iter().map(|case| case.subscription).collect()).await?;
    let planned: Vec<_> = written
        .iter()
        .filter_map(|case| {
            let next = case.next(settings, now).map(|(at, _)| at);
            Some((*fences.get(&case.subscription.id)?, next))
        })
        .collect();
    let done = store::due::finish(tx, &planned).await?;
    anyhow::ensure!(
        done == planned.len() as u64,
        "{} of {} claims were taken over by another scheduler; nothing was written",
        planned.len() as u64 - done,
        planned.len()
    );
    Ok(())
}

/// What the decisions of a batch draw on: numbers for new invoices and money in wallets.
#[derive(Debug, Default)]
struct Means {
    numbers: std::vec::IntoIter<Number>,
    wallets: HashMap<(AccountId, Currency), Money>,
}

impl Means {
    /// Locks customers and orders, takes the numbers the batch needs and reads the wallets.
    async fn gather(
        tx: &mut PgTransaction<'_>,
        unit: &mut Unit,
        batch: &[Case],
        steps: &[Option<Step>],
    ) -> sqlx::Result<Self> {
        let mut accounts: Vec<AccountId> = batch.iter().map(|case| case.subscription.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        unit.lock_customers(tx, &accounts).await?;
        let ending = |(case, step): (&Case, &Option<Step>)| {
            (case.subscription.state == State::Pending && matches!(step, Some(Step::End(_))))
                .then_some(case.subscription.order)
        };
        let orders: Vec<OrderId> = batch.iter().zip(steps).filter_map(ending).collect();
        unit.lock_orders(tx, &orders).await?;
        let issuing = steps.iter().filter(|step| matches!(step, Some(Step::IssueInvoice))).count();
        if issuing == 0 {
            return Ok(Self::default());
        }
        let wallets = store::ledger::wallets(tx, &accounts).await?;
        let entity = &unit.profile.entity;
        let year = number_year(unit.now, entity.zone);
        let numbers = store::number::take(tx, entity.id, &entity.series, year, issuing).await?.into_iter();
        Ok(Self { numbers, wallets })
    }
}

fn perform(unit: &mut Unit, case: &mut Case, step: Step, means: &mut Means) -> Result<(), UnitError> {
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
            let method = subscription.method.as_ref().map(|method| method.id);
            if let (Some(invoice), Some(method)) = (case.invoice(id), method) {
                invoice.charges_made += 1;
                unit.attempts.push(AttemptRequest {
                    invoice: invoice.id,
                    account: invoice.account,
                    subscription: invoice.subscription,
                    amount: invoice.remaining()?,
                    kind: AttemptKind::OffSession { method },
                });
            }
        }
        Step::Remind { invoice: id, step } => {
            if let Some(invoice) = case.invoice(id) {
                invoice.reminders_done = step;
                let event = publish::reminder_due(unit.brand, invoice, step, unit.now);
                unit.tell(event);
            }
        }
        Step::MissPayment { grace_until } => {
            subscription.apply(Command::MissPayment { grace_until }, unit.now)?;
            unit.touch(&before, subscription, "payment_missed")?;
        }
        Step::Suspend => {
            subscription.apply(Command::Suspend(SuspendCause::Unpaid), unit.now)?;
            unit.touch(&before, subscription, "unpaid")?;
        }
        Step::TakeUp => {
            subscription.apply(Command::Unpause, unit.now)?;
            subscription.take_up(unit.now)?;
            unit.touch(&before, subscription, "unpaused")?;
        }
    }
    Ok(())
}

/// Issues the invoice of the next period (the first one after a trial), paid from the wallet as far as that goes.
fn issue(unit: &mut Unit, case: &mut Case, means: &mut Means) -> Result<(), UnitError> {
    let subscription = &mut case.subscription;
    // An error, not a way out: a number was taken for it, and none may be lost.
    let (Some(next), Some(customer)) = (subscription.next_stretch()?, unit.customer(subscription.account)) else {
        return Err(UnitError::Incomplete(subscription.id));
    };
    let period = next.stretch.period;
    let buyer = customer.buyer.clone();
    let is_first = subscription.state == State::Trialing;
    let purpose = if is_first { Purpose::First } else { Purpose::Renewal };
    let offer = subscription.renewal_offer().clone();
    let mut invoice: Invoice = draft(&unit.profile, buyer, subscription, purpose, unit.now);
    let (coupon, rate) = (subscription.discounts.coupon.as_ref(), unit.profile.tax_rate_bp);
    let Billed { lines, applied } = stretch_lines(&offer, &next.stretch, rate, subscription.is_setup_due, coupon)?;
    (invoice.lines, invoice.snapshot.applied) = (lines, applied);
    if let Some(line) = invoice.lines.first_mut() {
        line.period = Some(period);
    }
    // The next price may be in another currency than the one of now.
    let currency = offer.price.currency;
    (invoice.paid, invoice.refunded) = (Money::zero(currency), Money::zero(currency));
    invoice.totals = Totals::of(currency, &invoice.lines)?;
    invoice.snapshot.offer = offer;
    invoice.period = Some(period);
    // Issued late (after an outage), it is due now: nobody is late for what they never saw.
    invoice.due_at = Some(period.start().max(unit.now));
    number_draft(&mut invoice, means.numbers.next(), unit.now)?;
    unit.issue(&invoice)?;
    let wallet = (invoice.account, invoice.totals.total.currency);
    if let Some(available) = means.wallets.get_mut(&wallet) {
        let taken = unit.pay_from_wallet(&mut invoice, *available)?;
        *available = available.checked_sub(taken)?;
    }
    unit.settle_if_paid(&mut invoice, Some(subscription), None)?;
    unit.keep_new(invoice);
    Ok(())
}
