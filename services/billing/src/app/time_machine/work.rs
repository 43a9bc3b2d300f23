//! Who works runs off: one at a time over all brands and replicas, because there is one scratch database.
//!
//! A lease says whose turn it is. It is renewed while the run is at work, and checked again in the transaction that keeps what
//! was found, so somebody who was paused past it keeps nothing. A run whose process died is begun again by whoever takes
//! the lease next, with a fresh copy; one that died twice is given up.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use ottery_kernel::BrandId;
use ottery_kit::WorkerContext;
use ottery_kit::db::{self, DatabaseError};
use ottery_kit::grpc::Problem;
use ottery_kit::lease::{self, Lease};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::mails::Notification;
use super::{Journey, SCRATCH, Watcher};
use crate::app::Billing;
use crate::domain::time_machine::entry::Entry;
use crate::domain::time_machine::run::{Failure, Run, Side};
use crate::store;
use crate::store::time_machine_run::Turn;

/// The lease is called so.
const LEASE: &str = "time-machine";
/// How often a run is begun before it is given up.
const TRIES_MAX: i32 = 2;
/// Results forgotten in one round.
const SPENT_MAX: i64 = 100;
/// How often a run says how far it is.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// What came of a turn.
enum Ended {
    /// It lived through everything.
    Found(Vec<(Side, Vec<Entry>)>),
    /// It cannot.
    Failed(Failure),
    /// The process stops; somebody else begins anew.
    Stopped,
    /// Somebody else has the lease.
    Lost,
}

/// Works until the process stops.
///
/// # Errors
/// When the database is away; kit starts the worker again.
pub async fn run(billing: Arc<Billing>, context: WorkerContext) -> anyhow::Result<()> {
    let owner = Uuid::new_v4().to_string();
    billing.sweep_scratch(&owner).await?;
    while !context.shutdown.is_cancelled() {
        // A type of its own: what is in it has too many lifetimes for the compiler to see at once that it may be sent.
        let turn: BoxFuture<'_, anyhow::Result<bool>> = billing.work_time_machine(&owner, &context.shutdown).boxed();
        if !turn.await? {
            tokio::select! {
                () = context.shutdown.cancelled() => {}
                () = tokio::time::sleep(billing.config.time_machine.poll()) => {}
            }
        }
    }
    Ok(())
}

impl Billing {
    /// Takes one turn, when there is one and nobody else is at work; true when it did.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn work_time_machine(&self, owner: &str, shutdown: &CancellationToken) -> anyhow::Result<bool> {
        for (brand, run) in store::time_machine_run::spent(&self.pool, SPENT_MAX).await? {
            let mut tx = db::begin(&self.pool, db::Scope::Brand(brand)).await?;
            store::time_machine_run::forget(&mut tx, run).await?;
            tx.commit().await?;
        }
        if store::time_machine_run::waiting_since(&self.pool).await?.is_none() {
            return Ok(false);
        }
        let Some(lease) = lease::acquire(&self.pool, LEASE, owner, self.config.time_machine.lease()).await? else {
            return Ok(false);
        };
        let worked = match store::time_machine_run::take_turn(&self.pool).await? {
            Some(turn) => self.turn(turn, &lease, shutdown).await.map(|()| true),
            None => Ok(false),
        };
        lease::release(&self.pool, &lease).await?;
        worked
    }

    /// Empties what a process left in the scratch database that could not do it itself, unless somebody is at work there.
    async fn sweep_scratch(&self, owner: &str) -> anyhow::Result<()> {
        let ttl = self.config.time_machine.lease();
        let Some(lease) = lease::acquire(&self.pool, LEASE, owner, ttl).await? else { return Ok(()) };
        let swept = match db::is_scratch_empty(&self.host.db, SCRATCH).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::warn!("the scratch database of the time machine was left behind; it is emptied");
                db::sweep_scratch(&self.host.db, SCRATCH).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = swept {
            // Billing works without it; a run says so when it is asked for.
            tracing::warn!(%error, "the time machine has no scratch database");
        }
        Ok(lease::release(&self.pool, &lease).await?)
    }

    async fn turn(&self, turn: Turn, lease: &Lease, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let Turn { run: id, brand, tries } = turn;
        let mut tx = db::begin(&self.pool, db::Scope::Brand(brand)).await?;
        let found = store::time_machine_run::get(&mut tx, id).await?;
        tx.commit().await?;
        let Some(run) = found else { return Ok(()) };
        let settings = &self.config.time_machine;
        let ended = if tries > TRIES_MAX {
            let message = "the process was stopped each time it ran; ask again when the installation is calm";
            Ended::Failed(Failure { code: "INTERRUPTED".into(), message: message.into() })
        } else {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => Ended::Stopped,
                () = self.until_lost(lease) => Ended::Lost,
                () = tokio::time::sleep(settings.limit()) => {
                    let message = format!(
                        "it took longer than {} minutes (time_machine.run_minutes_max); ask for an earlier date or a longer step",
                        settings.run_minutes_max
                    );
                    Ended::Failed(Failure { code: "TOOK_TOO_LONG".into(), message })
                }
                lived = self.live(brand, &run) => match lived {
                    Ok(found) => Ended::Found(found),
                    Err(error) => {
                        tracing::error!(brand.id = %brand, run.id = %id, error = format!("{error:#}"), "a run of the time machine failed");
                        Ended::Failed(failure(&error))
                    }
                },
            }
        };
        if !matches!(ended, Ended::Lost)
            && let Err(error) = db::sweep_scratch(&self.host.db, SCRATCH).await
        {
            tracing::warn!(%error, "the scratch database was not emptied");
        }
        let mut tx = db::begin(&self.pool, db::Scope::Brand(brand)).await?;
        if !lease::check(&mut tx, lease).await? {
            tracing::warn!(brand.id = %brand, run.id = %id, "the time machine was taken over; nothing of this run is kept");
            return Ok(());
        }
        let now = self.clock.now();
        match ended {
            Ended::Lost => return Ok(()),
            Ended::Stopped => store::time_machine_run::put_back(&mut tx, id).await?,
            Ended::Failed(failure) => {
                store::time_machine_run::finish(&mut tx, id, Some(&failure), settings.keep(), now).await?;
            }
            Ended::Found(found) => {
                for (side, entries) in &found {
                    store::time_machine_run::keep(&mut tx, brand, id, *side, entries).await?;
                }
                store::time_machine_run::finish(&mut tx, id, None, settings.keep(), now).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    /// Ends when the lease cannot be kept.
    async fn until_lost(&self, lease: &Lease) {
        let ttl = self.config.time_machine.lease();
        loop {
            tokio::time::sleep(ttl / 4).await;
            match lease::acquire(&self.pool, &lease.name, &lease.owner, ttl).await {
                Ok(Some(held)) if held.token == lease.token => {}
                Ok(_) => return,
                // It may come back before the lease is over; whether it did is checked before anything is kept.
                Err(error) => tracing::warn!(%error, "the lease of the time machine was not renewed"),
            }
        }
    }

    /// Lives through everything that was asked.
    async fn live(&self, brand: BrandId, run: &Run) -> anyhow::Result<Vec<(Side, Vec<Entry>)>> {
        let postman = Notification::new(&self.host, brand);
        let mut scenarios = vec![(Side::Base, &run.ask.base)];
        scenarios.extend(run.ask.other.as_ref().map(|other| (Side::Other, other)));
        let mut found = Vec::new();
        for (side, scenario) in scenarios {
            let journey = Journey::begin(self, brand, scenario.assumption).await?;
            let mut tx = db::begin(&self.pool, db::Scope::Brand(brand)).await?;
            store::time_machine_run::begin(&mut tx, run.id, side, journey.begins, self.clock.now()).await?;
            tx.commit().await?;
            journey.arrange(scenario).await?;
            let mut diary = Diary { billing: self, brand, run, told_at: None };
            journey.live_until(run.ask.to, run.ask.step(), &mut diary).await?;
            found.push((side, journey.entries(Some(&postman)).await?));
            journey.end().await?;
        }
        Ok(found)
    }
}

/// Writes down how far a run is.
struct Diary<'a> {
    billing: &'a Billing,
    brand: BrandId,
    run: &'a Run,
    told_at: Option<Instant>,
}

#[async_trait::async_trait]
impl Watcher for Diary<'_> {
    async fn passed(&mut self, now: DateTime<Utc>) -> anyhow::Result<()> {
        if self.told_at.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            return Ok(());
        }
        self.told_at = Some(Instant::now());
        let mut tx = db::begin(&self.billing.pool, db::Scope::Brand(self.brand)).await?;
        store::time_machine_run::reach(&mut tx, self.run.id, now).await?;
        Ok(tx.commit().await?)
    }
}

/// What staff reads. What is no matter of theirs is in the log.
fn failure(error: &anyhow::Error) -> Failure {
    if let Some(problem) = error.downcast_ref::<Problem>() {
        return Failure { code: problem.reason.to_string(), message: problem.message.clone() };
    }
    if let Some(database) = error.downcast_ref::<DatabaseError>() {
        return Failure { code: "SCRATCH_UNAVAILABLE".into(), message: database.to_string() };
    }
    Failure { code: "FAILED".into(), message: "the run could not be carried out; the log of billing says why".into() }
}
