//! One batch of one brand: claimed, read, decided and written together.
//!
//! Everything is read and written in sets. In between nothing waits: each subscription is decided alone, and one that
//! cannot be decided is set aside for a person, in the same transaction, while the others go on. What the database refuses
//! is found by halving the batch, so that contradicting rows stop only themselves.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, SubscriptionId};
use ottery_kit::crash;
use ottery_kit::db::{self, Scope};
use sqlx::postgres::PgTransaction;

use super::phases::Phases;
use super::together::is_shared;
use super::{Means, perform};
use crate::app::schedule::{Case, cases};
use crate::app::unit::{Unit, UnitError};
use crate::app::{Billing, dunning, profile};
use crate::domain::dunning::{Settings, Step};
use crate::domain::invoice;
use crate::store;
use crate::store::Plans;
use crate::store::due::Claim;

/// When a subscription whose step fails is tried again, by the brand's clock.
pub(super) const RETRY_DEFECT: TimeDelta = TimeDelta::hours(1);
/// What staff reads about one that was set aside.
const SUMMARY: &str = "its next billing step fails; the log says why; it is tried again every hour";

impl Billing {
    /// One batch of one brand: one step of each claimed subscription. Returns how many were worked on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_batch(&self, brand: BrandId) -> anyhow::Result<usize> {
        let claims = self.claim_batch(brand).await?;
        if claims.is_empty() {
            return Ok(0);
        }
        crash::point("renewal.claimed");
        // Halves that wait, the first of them last.
        let mut waiting = vec![claims.as_slice()];
        let mut worked = 0;
        while let Some(part) = waiting.pop() {
            match (self.work_off(brand, part).await, part) {
                (Ok(count), _) => worked += count,
                (Err(error), [claim]) if is_defect(&error) => {
                    let (mut tx, now) = self.begin(brand).await?;
                    set_aside(&mut tx, brand, &[(claim.subscription, error)], now).await?;
                    hand_back(&mut tx, &[(*claim, Some(now + RETRY_DEFECT))]).await?;
                    tx.commit().await?;
                }
                (Err(error), part) if is_defect(&error) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    waiting.extend([second, first]);
                }
                (Err(error), _) => return Err(error),
            }
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
        let expiring = store::wallet::due_count(&self.pool, brand, now).await?;
        if expiring > 0 {
            return Ok(Some(format!("{expiring} credits to expire")));
        }
        let expiring = store::top_up::due_count(&self.pool, brand, now).await?;
        if expiring > 0 {
            return Ok(Some(format!("{expiring} top-ups to expire")));
        }
        let expiring = store::gift::due_count(&self.pool, brand, now).await?;
        if expiring > 0 {
            return Ok(Some(format!("{expiring} batches of codes to expire")));
        }
        let expiring = store::method_expiry::due_count(&self.pool, brand, now).await?;
        if expiring > 0 {
            return Ok(Some(format!("{expiring} cards that expire")));
        }
        if store::deferral::is_due(&self.pool, brand, now).await? {
            return Ok(Some("revenue to recognise".to_owned()));
        }
        let mut tx = db::begin(&self.pool, Scope::Brand(brand)).await?;
        let clients = store::reseller::waiting(&mut tx, now).await?;
        if clients > 0 {
            return Ok(Some(format!("{clients} subscriptions of resellers' clients")));
        }
        Ok(crate::app::payment::waiting(&mut tx, brand).await?)
    }

    /// Claims what is due in the brand.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_batch(&self, brand: BrandId) -> anyhow::Result<Vec<Claim>> {
        let (now, renewals) = (self.clock.now(), &self.config.renewals);
        Ok(store::due::claim(&self.pool, brand, now, renewals.batch_size.into(), renewals.lease()).await?)
    }

    /// Decides and writes claimed subscriptions, in one transaction. Claims that were lost meanwhile are left alone.
    ///
    /// # Errors
    /// When the database fails or something stored contradicts itself.
    pub async fn work_off(&self, brand: BrandId, claims: &[Claim]) -> anyhow::Result<usize> {
        let mut phases = Phases::begin();
        let (mut tx, now) = self.begin(brand).await?;
        store::plan(&mut tx, Plans::Fresh).await?;
        let mut batch = Batch::read(&mut tx, brand, claims).await?;
        self.tell_lost(brand, claims.len() - batch.claims.len());
        let mut profile = profile(&mut tx, brand).await?;
        profile.minimums = self.minimums(&mut tx, brand, &profile.currencies).await?;
        let settings = self.config.dunning(&profile);
        let mut unit = Unit::new(brand, profile, now);
        let mut apart = Apart::default();
        let mut due: Vec<Option<Step>> = batch
            .cases
            .iter()
            .map(|case| case.next(&settings, now).filter(|(at, _)| *at <= now).map(|(_, step)| step))
            .collect();
        batch.leave(&mut due, &mut apart, is_shared);
        dunning::admit(&mut tx, brand, &mut batch.cases, &mut due, &settings, now).await?;
        let held = self.hold_for_vat(&mut tx, &unit, &batch.cases, &mut due).await?;
        let steps: Vec<_> = batch.cases.iter().zip(&due).filter_map(|(case, step)| Some((case, (*step)?))).collect();
        let mut means = Means::gather(&mut tx, &mut unit, &steps).await?;
        batch.leave(&mut due, &mut apart, |case, step| {
            matches!(step, Step::IssueInvoice) && unit.consolidates(case.subscription.account)
        });
        phases.end("read");

        let count = batch.claims.len();
        let mut decided = batch.decide(&mut unit, &due, &apart, &mut means, &settings);
        // What waits for a VAT number is looked at again with the answer, or when the wait is over.
        for (claim, next) in &mut decided.planned {
            *next = held.get(&claim.subscription).copied().or(*next);
        }
        phases.end("decide");

        store::plan(&mut tx, Plans::Kept).await?;
        unit.write_unnumbered(&mut tx).await?;
        set_aside(&mut tx, brand, &decided.failed, now).await?;
        hand_back(&mut tx, &decided.planned).await?;
        phases.end("write_unnumbered");
        unit.write_numbered(&mut tx).await?;
        phases.end("write_numbered");
        crash::point("renewal.mid");
        tx.commit().await?;
        phases.end("commit");

        let metrics = &self.host.metrics;
        let done = metrics.counter("ottery_billing_renewal_steps", "Steps of dunning that were carried out");
        for (step, count) in decided.done {
            done.add(&[("step", step)], f64::from(count));
        }
        phases.tell(metrics);
        crash::point("renewal.apart");
        for claims in apart.into_values() {
            self.work_together(brand, &claims).await?;
        }
        Ok(count)
    }

    /// Whoever reads the log of a scheduler that was paused sees that it came back too late, and wrote nothing.
    fn tell_lost(&self, brand: BrandId, lost: usize) {
        let Some(lost) = u32::try_from(lost).ok().filter(|lost| *lost > 0) else { return };
        tracing::info!(brand.id = %brand, lost, "claims of renewals had passed to others; nothing was written for them");
        let name = "ottery_billing_renewal_claims_lost";
        let help =
            "Claimed subscriptions that another scheduler, or a change, had taken over before they were worked off";
        self.host.metrics.counter(name, help).add(&[], f64::from(lost));
    }
}

/// Claimed subscriptions that are still ours, locked.
struct Batch {
    cases: Vec<Case>,
    claims: HashMap<SubscriptionId, Claim>,
}

/// Claims whose step concerns other subscriptions of their customer, too: they are taken in a transaction of their own.
type Apart = BTreeMap<AccountId, Vec<Claim>>;

/// What became of a batch.
#[derive(Default)]
struct Decided {
    /// How often each kind of step was taken.
    done: BTreeMap<&'static str, u32>,
    /// When each subscription wants attention next.
    planned: Vec<(Claim, Option<DateTime<Utc>>)>,
    /// Those that could not be decided, and why.
    failed: Vec<(SubscriptionId, anyhow::Error)>,
}

impl Batch {
    /// Locks the subscriptions before anything else, as everybody does: nobody who changes one can then take its claim
    /// away, and another scheduler who does is noticed when the claims are handed back.
    async fn read(tx: &mut PgTransaction<'_>, brand: BrandId, claims: &[Claim]) -> sqlx::Result<Self> {
        let wanted: Vec<SubscriptionId> = claims.iter().map(|claim| claim.subscription).collect();
        let locked = store::subscription::lock_all(tx, &wanted).await?;
        let mine = store::due::still_mine(tx, claims).await?;
        let claims: HashMap<_, _> = mine.into_iter().map(|claim| (claim.subscription, claim)).collect();
        let subscriptions = locked.into_iter().filter(|subscription| claims.contains_key(&subscription.id)).collect();
        Ok(Self { cases: cases(tx, brand, subscriptions).await?, claims })
    }

    /// Leaves steps that are chosen to a transaction of their own.
    fn leave(&self, due: &mut [Option<Step>], apart: &mut Apart, chosen: impl Fn(&Case, Step) -> bool) {
        for (case, step) in self.cases.iter().zip(due) {
            let subscription = &case.subscription;
            if let (Some(wanted), Some(claim)) = (*step, self.claims.get(&subscription.id))
                && chosen(case, wanted)
            {
                apart.entry(subscription.account).or_default().push(*claim);
                *step = None;
            }
        }
    }

    /// Decides each subscription by itself and plans its next step by what it will be then.
    fn decide(
        self,
        unit: &mut Unit,
        due: &[Option<Step>],
        apart: &Apart,
        means: &mut Means,
        settings: &Settings,
    ) -> Decided {
        let mut decided = Decided::default();
        for (mut case, step) in self.cases.into_iter().zip(due) {
            let id = case.subscription.id;
            let Some(claim) = self.claims.get(&id) else { continue };
            // It stays claimed until its own transaction hands it back.
            if apart.get(&case.subscription.account).is_some_and(|claims| claims.contains(claim)) {
                continue;
            }
            if let Some(step) = *step {
                if let Err(error) = unit.attempt(|unit| take(unit, &mut case, step, means)) {
                    decided.failed.push((id, error.into()));
                    decided.planned.push((*claim, Some(unit.now + RETRY_DEFECT)));
                    continue;
                }
                *decided.done.entry(step.name()).or_default() += 1;
            }
            let next = case.next(settings, unit.now);
            decided.planned.push((*claim, next.map(|(at, _)| at)));
        }
        decided
    }
}

/// Takes a step, and keeps what it changed and nothing else: most rows of a batch are only read.
pub(super) fn take(unit: &mut Unit, case: &mut Case, step: Step, means: &mut Means) -> Result<(), UnitError> {
    let before = case.clone();
    perform(unit, case, step, means)?;
    keep_changed(unit, &before, case);
    Ok(())
}

/// Keeps of a case what differs from what was before.
pub(super) fn keep_changed(unit: &mut Unit, before: &Case, case: &mut Case) {
    if case.subscription != before.subscription {
        unit.keep(case.subscription.clone());
    }
    for (before, invoice) in before.open.iter().zip(&case.open).filter(|(before, now)| before != now) {
        debug_assert_eq!(before.id, invoice.id, "new invoices come after those that waited");
        unit.keep_invoice(invoice.clone());
    }
    case.open.retain(|invoice| invoice.state == invoice::State::Open);
}

/// Leaves these to a person.
pub(super) async fn set_aside(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    failed: &[(SubscriptionId, anyhow::Error)],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    for (id, error) in failed {
        tracing::error!(subscription.id = %id, error = format!("{error:#}"), "a renewal step failed");
    }
    let ids: Vec<SubscriptionId> = failed.iter().map(|(id, _)| *id).collect();
    store::task::open_all(tx, brand, "renewal_failed", &ids, SUMMARY, now).await
}

/// Gives the claims back with what is planned, if all of them still stand.
pub(super) async fn hand_back(
    tx: &mut PgTransaction<'_>,
    planned: &[(Claim, Option<DateTime<Utc>>)],
) -> anyhow::Result<()> {
    let done = store::due::finish(tx, planned).await?;
    anyhow::ensure!(
        done == planned.len() as u64,
        "{} of {} claims were taken over by another scheduler; nothing was written",
        planned.len() as u64 - done,
        planned.len()
    );
    Ok(())
}

/// Whether trying again at once cannot help: contradicting data, not a database that is away or a lost race.
fn is_defect(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. }) => true,
        Some(error) => error.as_database_error().is_some_and(|database| {
            database.is_unique_violation() || database.is_check_violation() || database.is_foreign_key_violation()
        }),
        None => false,
    }
}
