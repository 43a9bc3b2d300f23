//! What of a batch's steps may happen now. One contact a customer, whatever they have and however many schedulers look; and no
//! mass suspension that nobody has seen.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, InvoiceId, SubscriptionId};
use sqlx::postgres::PgTransaction;

use crate::app::schedule::Case;
use crate::domain::dunning::campaign::HaltLimit;
use crate::domain::dunning::guard::{Verdict, decide};
use crate::domain::dunning::{Settings, Step};
use crate::domain::subscription::{EndCause, State};
use crate::store;
use crate::store::suspension::GUARDED_FOR;

/// The task of stopped suspensions.
pub const HALTED_TASK: &str = "suspensions_halted";
/// How long a decision of staff to let suspensions happen counts for a subscription.
const RELEASED_FOR: TimeDelta = TimeDelta::days(2);

/// Those of `due` that staff have let happen.
///
/// # Errors
/// When the database fails.
pub(in crate::app) async fn decided(
    tx: &mut PgTransaction<'_>,
    due: &[(SubscriptionId, InvoiceId)],
    now: DateTime<Utc>,
) -> sqlx::Result<HashSet<SubscriptionId>> {
    store::suspension::released(tx, due, now - RELEASED_FOR).await
}

/// Drops the steps that may not happen now, and notes in their cases what they wait for: they are planned again with that.
///
/// # Errors
/// When the database fails.
pub(in crate::app) async fn admit(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    batch: &mut [Case],
    steps: &mut [Option<Step>],
    settings: &Settings,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let is_heard_of = |step: &Option<Step>| matches!(step, Some(Step::Remind { .. } | Step::Suspend));
    if steps.iter().any(is_heard_of) {
        // All of the batch, as everybody locks them: in the order of their ids.
        let mut accounts: Vec<AccountId> = batch.iter().map(|case| case.subscription.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        store::customer::lock_all(tx, &accounts).await?;
    }
    suspensions(tx, brand, batch, steps, now).await?;
    contacts(tx, batch, steps, settings, now).await
}

async fn contacts(
    tx: &mut PgTransaction<'_>,
    batch: &mut [Case],
    steps: &mut [Option<Step>],
    settings: &Settings,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    // A suspension is heard of, too, whenever the last contact was.
    let suspended = batch.iter().zip(steps.iter()).filter(|(_, step)| matches!(step, Some(Step::Suspend)));
    let suspended: Vec<_> = suspended.map(|(case, _)| (case.subscription.account, now)).collect();
    if !suspended.is_empty() {
        store::dunning::claim_contacts(tx, &suspended, now).await?;
    }
    let mut wanted: Vec<(AccountId, DateTime<Utc>)> = Vec::new();
    for (case, step) in batch.iter().zip(steps.iter()) {
        let account = case.subscription.account;
        if matches!(step, Some(Step::Remind { .. })) && !wanted.iter().any(|(known, _)| *known == account) {
            wanted.push((account, now - case.settings(settings).cooldown));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let mut mine: HashSet<AccountId> = store::dunning::claim_contacts(tx, &wanted, now).await?.into_iter().collect();
    for (case, step) in batch.iter_mut().zip(steps.iter_mut()) {
        if matches!(step, Some(Step::Remind { .. })) && !mine.remove(&case.subscription.account) {
            *step = None;
            case.facts.contacted_at = Some(now);
        }
    }
    Ok(())
}

/// The debt because of which somebody would lose what they paid for; none for other steps. Who never paid loses nothing.
fn loses(case: &Case, step: Step) -> Option<InvoiceId> {
    let owed = case.waiting().invoice.map(|invoice| invoice.id);
    match step {
        Step::Suspend => owed.filter(|_| matches!(case.subscription.state, State::PastDue { .. })),
        Step::End(EndCause::Unpaid) => owed,
        Step::End(_)
        | Step::Roll
        | Step::DropChange(_)
        | Step::IssueInvoice
        | Step::Charge(_)
        | Step::ChargeOther { .. }
        | Step::Remind { .. }
        | Step::MissPayment { .. }
        | Step::Prolong { .. }
        | Step::TakeUp => None,
    }
}

async fn suspensions(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    batch: &mut [Case],
    steps: &mut [Option<Step>],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let due: Vec<(SubscriptionId, InvoiceId)> = batch
        .iter()
        .zip(steps.iter())
        .filter_map(|(case, step)| Some((case.subscription.id, loses(case, (*step)?)?)))
        .collect();
    if due.is_empty() {
        return Ok(());
    }
    let ids: Vec<SubscriptionId> = due.iter().map(|(id, _)| *id).collect();
    let allowed = let_happen(tx, brand, due, Waiting::Overdue, now).await?;
    let until = now + GUARDED_FOR;
    for (case, step) in batch.iter_mut().zip(steps.iter_mut()) {
        let id = case.subscription.id;
        if ids.contains(&id) && !allowed.contains(&id) {
            *step = None;
            case.facts.held_until = Some(until);
        }
    }
    Ok(())
}

/// How many would stop being served, besides those staff have decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Waiting {
    /// Whoever is past the end of their grace.
    Overdue,
    /// So many.
    Counted(usize),
}

/// Those of `due`, each with the debt because of which it would stop being served, that may stop now: all of them, or only those staff
/// have decided on when so many as are `waiting` cannot be believed. The others are held, and staff are asked.
///
/// # Errors
/// When the database fails.
pub(in crate::app) async fn let_happen(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    due: Vec<(SubscriptionId, InvoiceId)>,
    waiting: Waiting,
    now: DateTime<Utc>,
) -> sqlx::Result<HashSet<SubscriptionId>> {
    if due.is_empty() {
        return Ok(HashSet::new());
    }
    let hour = store::suspension::lock_hour(tx, brand).await?;
    let mut allowed = decided(tx, &due, now).await?;
    let unseen: Vec<_> = due.into_iter().filter(|(id, _)| !allowed.contains(id)).collect();
    if unseen.is_empty() {
        return Ok(allowed);
    }
    let all = match waiting {
        Waiting::Overdue => store::suspension::overdue(tx, now).await?,
        Waiting::Counted(count) => u64::try_from(count).unwrap_or(u64::MAX),
    };
    let count = u64::try_from(unseen.len()).unwrap_or(u64::MAX);
    let waiting = all.max(count);
    let limit = store::dunning::newest(tx, 1).await?.pop().map_or(HaltLimit::USUAL, |saved| saved.campaign.halt);
    match decide(hour, waiting, limit) {
        Verdict::Believed => {
            store::suspension::count(tx, brand, count).await?;
            allowed.extend(unseen.into_iter().map(|(id, _)| id));
        }
        Verdict::Halted => {
            store::suspension::guard(tx, brand, &unseen, now + GUARDED_FOR, now).await?;
            store::suspension::halt(tx, brand, now).await?;
            let summary = format!(
                "{waiting} subscriptions would be suspended or ended for not paying, {} already were in this hour, and {} \
                 are believed; nobody is until you decide, on the page Dunning",
                hour.suspended,
                limit.of(hour.live)
            );
            store::task::open(tx, brand, HALTED_TASK, brand, &summary, now).await?;
            tracing::error!(brand.id = %brand, waiting, "a mass suspension was stopped");
        }
    }
    Ok(allowed)
}
