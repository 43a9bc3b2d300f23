//! Deferred revenue: put aside when a term is paid, released day by day, and taken out when something ends before its time.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use ottery_kernel::{BrandId, Currency, EntityId, InvoiceId, Money, Period, SubscriptionId};
use ottery_kit::WorkerContext;
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::{Billing, profile};
use crate::domain::deferral::{Deferral, Spread, local};
use crate::domain::export::Day;
use crate::domain::ledger::{Account, Booking, Transfer};
use crate::store;
use crate::store::deferral::Recognised;

/// Deferrals of one transaction.
const BATCH: i64 = 5_000;
/// Brands looked at in one round; the others come in the next.
const BRANDS_MAX: i64 = 64;
/// How long a brand without anything due rests at most: a term that was being paid while the worker looked is found then.
const REST: TimeDelta = TimeDelta::hours(1);
/// Days of one report at most.
const DAYS_MAX: i64 = 366;

/// What passes between a subscription's money and its time.
#[derive(Clone, Debug)]
pub enum Passing {
    /// An invoice was paid that pays for time.
    Paid(Paid),
    /// It is over: nothing of it will be served any more.
    Over(SubscriptionId),
    /// Time stands still.
    Paused(SubscriptionId),
    /// Time goes on.
    TakenUp(SubscriptionId),
}

impl Passing {
    const fn subscription(&self) -> SubscriptionId {
        match self {
            Self::Paid(paid) => paid.subscription,
            Self::Over(id) | Self::Paused(id) | Self::TakenUp(id) => *id,
        }
    }
}

/// An invoice that pays for time.
#[derive(Clone, Debug)]
pub struct Paid {
    /// In whose books.
    pub entity: EntityId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The invoice.
    pub invoice: InvoiceId,
    /// What it charges for time, without tax.
    pub net: Money,
    /// The time.
    pub period: Period,
    /// Present when a new period replaces what was left of older ones: what of that was credited, without tax. It is spread
    /// over the new period; the rest was given up.
    pub replaces: Option<Money>,
}

fn post(booking: Booking, debit: Account, credit: Account, amount: Money) -> Booking {
    booking
        .post(debit, credit, amount)
        .expect("what is left of a deferral is never below zero, and the accounts differ")
}

/// Writes what passed, in the caller's transaction, and returns what it does to the books.
///
/// # Errors
/// When the database fails.
pub async fn write(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    zone: Tz,
    passings: Vec<Passing>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Transfer>> {
    let today = local(now, zone);
    let mut known = Vec::new();
    let mut asked: Vec<SubscriptionId> =
        passings.iter().filter(|passing| needs_known(passing)).map(Passing::subscription).collect();
    if !asked.is_empty() {
        asked.sort_unstable();
        asked.dedup();
        known = store::deferral::lock_of(tx, &asked).await?;
    }
    let before = known.clone();
    let (mut new, mut transfers): (Vec<Deferral>, Vec<Transfer>) = (Vec::new(), Vec::new());
    for passing in passings {
        let id = passing.subscription();
        let mut mine: Vec<&mut Deferral> =
            known.iter_mut().chain(new.iter_mut()).filter(|one: &&mut Deferral| one.subscription == id).collect();
        match passing {
            Passing::Paused(_) => mine.iter_mut().for_each(|one| one.pause(today)),
            Passing::TakenUp(_) => mine.iter_mut().for_each(|one| one.take_up(today)),
            Passing::Over(id) => {
                for one in mine {
                    let booking = Booking::new(one.entity, "revenue.released", one.invoice, now);
                    transfers.extend(released(booking, one.take_all()));
                }
                tracing::debug!(subscription.id = %id, "what was left of its revenue is released");
            }
            Passing::Paid(paid) => {
                let carried = match paid.replaces {
                    Some(credited) => replace(mine, credited, &mut transfers, now),
                    None => Money::zero(paid.net.currency),
                };
                let booking = Booking::new(paid.entity, "revenue.deferred", paid.invoice, now);
                transfers.extend(post(booking, Account::Revenue, Account::Deferred, paid.net).into_transfers());
                let amount = Money::new(paid.net.minor + carried.minor, paid.net.currency);
                if amount.is_positive() {
                    let spread = Spread::over(amount, paid.period, zone);
                    new.push(Deferral::new(paid.entity, paid.subscription, paid.invoice, spread));
                }
            }
        }
    }
    store::deferral::insert_all(tx, brand, &new, now).await?;
    let is_touched = |one: &Deferral| one.taken.is_positive() || one.paused_on.is_some();
    let next = new.iter().filter_map(Deferral::next_day).min();
    let changed = known.into_iter().zip(before).filter(|(now, before)| now != before).map(|(now, _)| now);
    let changed: Vec<_> = changed.chain(new.into_iter().filter(is_touched)).collect();
    store::deferral::save_all(tx, &changed).await?;
    let next = changed.iter().filter_map(Deferral::next_day).chain(next).min();
    if let Some(next) = next {
        store::deferral::plan(tx, brand, Day { date: next, zone }.bounds().0.max(now)).await?;
    }
    Ok(transfers)
}

/// Whether older ones of the subscription take part.
const fn needs_known(passing: &Passing) -> bool {
    match passing {
        Passing::Paid(paid) => paid.replaces.is_some(),
        Passing::Over(_) | Passing::Paused(_) | Passing::TakenUp(_) => true,
    }
}

fn released(booking: Booking, amount: Money) -> Vec<Transfer> {
    post(booking, Account::Deferred, Account::Revenue, amount).into_transfers()
}

/// Takes everything out of older ones: what was credited goes into the new period, what was given up becomes revenue.
fn replace(older: Vec<&mut Deferral>, credited: Money, transfers: &mut Vec<Transfer>, now: DateTime<Utc>) -> Money {
    let mut carried = Money::zero(credited.currency);
    for one in older {
        let taken = one.take_all();
        let is_same = taken.currency == credited.currency;
        let kept = if is_same { taken.minor.min(credited.minor - carried.minor) } else { 0 };
        carried.minor += kept;
        let booking = Booking::new(one.entity, "revenue.released", one.invoice, now);
        transfers.extend(released(booking, Money::new(taken.minor - kept, taken.currency)));
    }
    carried
}

/// A credit note takes revenue back: what was not revenue yet is taken out of what is deferred instead. The caller holds the
/// invoice's lock; `net` is the credit without tax.
///
/// # Errors
/// When the database fails.
pub async fn credited(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    invoice: InvoiceId,
    note: impl ToString,
    net: Money,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let Some(mut deferral) = store::deferral::lock_of_invoice(tx, invoice).await? else { return Ok(()) };
    let taken = deferral.take(net);
    if !taken.is_positive() {
        return Ok(());
    }
    store::deferral::save_all(tx, std::slice::from_ref(&deferral)).await?;
    let booking = Booking::new(deferral.entity, "revenue.credited", note, now);
    store::ledger::book(tx, brand, post(booking, Account::Deferred, Account::Refunds, taken)).await
}

/// What is deferred in one currency, and when it becomes revenue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// All of it.
    pub total: Money,
    /// What waits for subscriptions whose time stands still.
    pub paused: Money,
    /// The rest by months, each named by its first day.
    pub months: Vec<(NaiveDate, Money)>,
}

/// What became revenue day by day, and what is still deferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whose days.
    pub zone: Tz,
    /// By day and currency.
    pub days: Vec<(NaiveDate, Money)>,
    /// One per currency.
    pub outlooks: Vec<Outlook>,
}

impl Billing {
    /// What became revenue from the day `from` through the day `to` of the legal entity's zone, and what is deferred now.
    ///
    /// # Errors
    /// When the days are in the wrong order or too many.
    pub async fn deferred_revenue(
        &self,
        brand: BrandId,
        (from, to): (NaiveDate, NaiveDate),
    ) -> Result<Report, Problem> {
        if to < from || (to - from).num_days() >= DAYS_MAX {
            let message = format!("to: a report is for 1 to {DAYS_MAX} days, asked for {from} to {to}");
            return Err(Problem::invalid("to", "PERIOD_INVALID", message));
        }
        let (mut tx, _) = self.begin(brand).await?;
        let zone = profile(&mut tx, brand).await?.entity.zone;
        let days = store::deferral::recognised(&mut tx, from, to).await?;
        let mut by_currency: BTreeMap<Currency, (i64, i64, BTreeMap<NaiveDate, i64>)> = BTreeMap::new();
        for rests in store::deferral::rests(&mut tx).await? {
            let left = rests.spread.left().minor * rests.count;
            let (total, paused, months) = by_currency.entry(rests.spread.amount.currency).or_default();
            *total += left;
            if rests.is_paused {
                *paused += left;
                continue;
            }
            for (month, share) in rests.spread.left_by_month() {
                *months.entry(month).or_default() += share.minor * rests.count;
            }
        }
        let outlook = |(currency, (total, paused, months)): (Currency, (i64, i64, BTreeMap<NaiveDate, i64>))| Outlook {
            total: Money::new(total, currency),
            paused: Money::new(paused, currency),
            months: months.into_iter().map(|(month, minor)| (month, Money::new(minor, currency))).collect(),
        };
        Ok(Report { zone, days, outlooks: by_currency.into_iter().map(outlook).collect() })
    }

    /// Recognises what is due in all brands; returns how many deferrals were worked on.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn recognise_all(&self) -> anyhow::Result<usize> {
        let mut done = 0;
        for brand in store::deferral::due_brands(&self.pool, self.clock.now(), BRANDS_MAX).await? {
            // One brand's defect must not keep the others waiting.
            match self.recognise(brand).await {
                Ok(count) => done += count,
                Err(error) => {
                    tracing::error!(brand.id = %brand, reason = %error.reason, error = %error.message, "revenue could not be recognised");
                }
            }
        }
        Ok(done)
    }

    /// One batch of one brand: every day that has begun and was not recognised. Returns how many deferrals were worked on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recognise(&self, brand: BrandId) -> Result<usize, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let zone = profile(&mut tx, brand).await?.entity.zone;
        let today = local(now, zone);
        let mut claimed = store::deferral::claim_due(&mut tx, today, BATCH).await?;
        let mut sums: BTreeMap<(EntityId, NaiveDate, Currency), i64> = BTreeMap::new();
        for deferral in &mut claimed {
            let entity = deferral.entity;
            for (day, share) in deferral.recognise(today) {
                *sums.entry((entity, day, share.currency)).or_default() += share.minor;
            }
        }
        let recognised: Vec<Recognised> = sums
            .into_iter()
            .filter(|(_, minor)| *minor > 0)
            .map(|((entity, day, currency), minor)| Recognised {
                id: Uuid::now_v7(),
                entity,
                day,
                amount: Money::new(minor, currency),
            })
            .collect();
        let transfers: Vec<Transfer> = recognised
            .iter()
            .flat_map(|one| {
                let reference = format!("rec_{}", one.id.simple());
                released(Booking::new(one.entity, "revenue.recognised", reference, now), one.amount)
            })
            .collect();
        store::deferral::save_all(&mut tx, &claimed).await?;
        store::deferral::record(&mut tx, brand, &recognised, now).await?;
        store::ledger::append(&mut tx, brand, &transfers).await?;
        // What another worker has claimed is not done before it commits, and what a buyer adds cannot be seen before that.
        if claimed.is_empty()
            && store::deferral::may_rest(&mut tx, brand).await?
            && !store::deferral::has_due(&mut tx, today).await?
        {
            let tomorrow = Day { date: today, zone }.bounds().1;
            store::deferral::replan(&mut tx, brand, tomorrow.min(now + REST)).await?;
        }
        tx.commit().await?;
        Ok(claimed.len())
    }
}

/// Recognises revenue until the process stops.
///
/// # Errors
/// When the database is away; kit starts the worker again.
pub async fn run(billing: Arc<Billing>, context: WorkerContext) -> anyhow::Result<()> {
    while !context.shutdown.is_cancelled() {
        if billing.recognise_all().await? == 0 {
            tokio::select! {
                () = context.shutdown.cancelled() => {}
                () = tokio::time::sleep(billing.config.renewals.poll()) => {}
            }
        }
    }
    Ok(())
}
