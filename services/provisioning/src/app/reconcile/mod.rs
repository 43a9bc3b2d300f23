//! The reconciler: makes every panel agree with what is wanted, one service at a time, whatever gets lost on the way.
//!
//! A worker claims a due service (lease and fencing token), decides in a transaction what to do and journals it, makes
//! the call, and in a second transaction writes down what came back and decides again. Nothing is sent without having
//! been journalled, and nothing is concluded by a worker that lost its claim.

mod advance;
mod conclude;
mod perform;
mod place;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ottery_kernel::ServiceId;
use ottery_kit::outbox::{Cause, with_cause};
use ottery_kit::telemetry::span_with_parent;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use super::App;
use crate::store::due::{self, Claim};

use advance::{Next, Work};
use place::PlaceGone;

pub(crate) use advance::password_place;

/// Claims taken with one statement at most.
const BATCH_MAX: usize = 16;
/// Claims of one key a replica holds at most, so that a slow panel does not take every worker.
const PER_KEY_MAX: usize = 12;
/// Wait after the database failed us.
const DATABASE_PAUSE: Duration = Duration::from_millis(250);

#[derive(Default)]
struct Held {
    claims: HashMap<ServiceId, Claim>,
    /// Something due may have been left behind, because there was no free worker or enough of its key were at work.
    left_some: bool,
}

impl Held {
    fn busy_keys(&self) -> Vec<Uuid> {
        let mut counts: HashMap<Uuid, usize> = HashMap::new();
        for key in self.claims.values().filter_map(|claim| claim.key) {
            *counts.entry(key).or_default() += 1;
        }
        counts.into_iter().filter(|(_, count)| *count >= PER_KEY_MAX).map(|(key, _)| key).collect()
    }
}

type Shared = Arc<Mutex<Held>>;

fn lock(held: &Shared) -> std::sync::MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Works until `shutdown`, then finishes what is under way.
///
/// # Errors
/// Never by itself; failures of the database are waited out.
pub async fn run(app: App, shutdown: CancellationToken) -> anyhow::Result<()> {
    let wake = app.due.clone();
    let held = Shared::default();
    let mut side = JoinSet::new();
    side.spawn(listen(app.clone(), due::CHANNEL, Arc::clone(&wake), shutdown.clone()));
    side.spawn(heartbeat(app.clone(), Arc::clone(&held)));
    let slots = Arc::new(Semaphore::new(app.config.reconcile.workers.max(1)));
    let mut tasks = JoinSet::new();
    while !shutdown.is_cancelled() {
        while tasks.try_join_next().is_some() {}
        let free = slots.available_permits().min(BATCH_MAX);
        let claimed = if free == 0 { Vec::new() } else { claim(&app, &held, free).await };
        let more = claimed.len() == free;
        lock(&held).left_some |= more;
        for claim in claimed {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
            lock(&held).claims.insert(claim.service, claim);
            let (app, held, wake) = (app.clone(), Arc::clone(&held), Arc::clone(&wake));
            tasks.spawn(async move {
                work(&app, &claim, &held).await;
                drop(slot);
                let mut held = lock(&held);
                held.claims.remove(&claim.service);
                if std::mem::take(&mut held.left_some) {
                    wake.notify_one();
                }
            });
        }
        if more && slots.available_permits() > 0 {
            continue;
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = wake.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(app.config.reconcile.poll_ms)) => {}
        }
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

async fn claim(app: &App, held: &Shared, free: usize) -> Vec<Claim> {
    let busy = {
        let mut held = lock(held);
        let busy = held.busy_keys();
        held.left_some = !busy.is_empty();
        busy
    };
    let limit = i64::try_from(free).unwrap_or(1);
    match due::claim(&app.pool, &busy, limit, app.config.reconcile.lease()).await {
        Ok(claims) => claims,
        Err(error) => {
            tracing::warn!(%error, "cannot claim services; trying again");
            tokio::time::sleep(DATABASE_PAUSE).await;
            Vec::new()
        }
    }
}

/// Wakes the loop when a commit anywhere made a service due. Polling goes on beside it, so a lost connection costs
/// latency and nothing else.
pub(super) async fn listen(app: App, channel: &'static str, wake: Arc<Notify>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        let options = app.pool.connect_options().as_ref().clone();
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(channel).await?;
            wake.notify_one();
            loop {
                listener.recv().await?;
                wake.notify_one();
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            failed = listening => {
                let failed: Result<(), sqlx::Error> = failed;
                if let Err(error) = failed {
                    tracing::warn!(%error, "not woken by the database for now; polling");
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Keeps the leases of everything under way; ends with the loop.
async fn heartbeat(app: App, held: Shared) {
    let lease = app.config.reconcile.lease();
    loop {
        tokio::time::sleep(lease / 3).await;
        let claims: Vec<Claim> = lock(&held).claims.values().copied().collect();
        if claims.is_empty() {
            continue;
        }
        if let Err(error) = due::renew(&app.pool, &claims, lease).await {
            tracing::warn!(%error, "cannot prolong leases; others may take the work over");
        }
    }
}

/// Works on one service until it rests, waits or belongs to somebody else.
async fn work(app: &App, claim: &Claim, held: &Shared) {
    let mut next = match retrying("deciding", || Work::new(app, claim).prepare()).await {
        Some(next) => next,
        None => return,
    };
    while let Next::Call(job) = next {
        // Placed by now: its panel's other services must not take every worker.
        if let Some(known) = lock(held).claims.get_mut(&claim.service) {
            known.key = Some(job.panel.key.id);
        }
        let span =
            span_with_parent("panel call", Some(&job.traceparent).filter(|text| !text.is_empty()).map(String::as_str));
        let cause = Cause { causation_id: job.causation_id.clone(), correlation_id: job.correlation_id.clone() };
        let step = async {
            let outcome = Work::new(app, claim).perform(&job).await?;
            Work::new(app, claim).count(&job, &outcome);
            retrying("writing down what came back", || Work::new(app, claim).conclude(&job, &outcome)).await
        };
        match with_cause(cause, step.instrument(span)).await {
            Some(following) => next = following,
            None => return,
        }
    }
}

/// Repeats a transaction while the database is away, and at once when what it decided by was old; nothing when the claim was lost or the work cannot go on. The
/// claim then runs out and somebody takes the service over.
async fn retrying<T, F, W>(step: &'static str, mut transaction: F) -> Option<T>
where
    F: FnMut() -> W,
    W: Future<Output = anyhow::Result<Option<T>>>,
{
    for attempt in 0..20_u32 {
        match transaction().await {
            Ok(done) => return done,
            Err(error) if error.is::<PlaceGone>() => {}
            Err(error) if error.downcast_ref::<sqlx::Error>().is_some_and(is_passing) => {
                tracing::warn!(attempt, error = format!("{error:#}"), "{step} waits for the database");
                tokio::time::sleep(DATABASE_PAUSE * (attempt + 1)).await;
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "{step} failed");
                return None;
            }
        }
    }
    None
}

fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(database) => {
            matches!(
                database.code().as_deref(),
                Some("40001" | "40P01" | "55P03" | "57014" | "53300" | "57P01" | "57P02" | "57P03")
            )
        }
        _ => false,
    }
}
