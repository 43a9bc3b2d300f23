//! Messages that wait together are applied together: one transaction costs less than many.
//!
//! Whoever finds a turn free applies everything that has gathered of one brand. Under no load that is one message, and nothing
//! waits for company; the busier the group, the larger the transactions. A group whose effects may come a moment later
//! ([`ConsumerGroup::gathers`]) gives messages time to gather while it is busy. A message that fails takes the transaction with
//! it, so then each is applied on its own, as if they had never met.
//!
//! [`ConsumerGroup::gathers`]: crate::broker::ConsumerGroup::gathers

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottery_kernel::BrandId;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::crowd::Crowd;
use super::inbox::Mark;
use super::run::Attempt;
use super::{Consumer, Delivery, inbox, retry};
use crate::broker::{ConsumerGroup, Incoming};
use crate::db::{Scope, begin_by_key};
use crate::outbox::{Cause, with_cause};

/// Transactions of one group at a time. More would leave none of them company.
const TURNS: usize = 2;
/// Messages of one transaction at most.
const TOGETHER_MAX: usize = 32;
/// A handler that needs longer is better off alone.
const TOGETHER_LIMIT: Duration = Duration::from_secs(2);

/// A message that can be read, on its way to its handler.
pub(super) struct Job {
    pub(super) message: Incoming,
    pub(super) delivery: Delivery,
    pub(super) span: Span,
}

impl Job {
    pub(super) fn cause(&self) -> Cause {
        Cause {
            causation_id: self.delivery.envelope.event_id.clone(),
            correlation_id: self.delivery.envelope.correlation_id.clone(),
        }
    }
}

struct Waiting {
    /// Who waits; unlike an event, it is there once.
    ticket: u64,
    job: Job,
    answer: oneshot::Sender<sqlx::Result<()>>,
}

#[derive(Default)]
struct Room {
    waiting: Vec<Waiting>,
    tickets: u64,
    crowd: Crowd,
}

/// Where the messages of a group gather.
pub(super) struct Company {
    room: Mutex<Room>,
    turns: Semaphore,
    /// As many wait as one transaction takes.
    full: Notify,
    gathers: bool,
}

impl Company {
    pub(super) fn of(group: &ConsumerGroup) -> Self {
        Self { room: Mutex::default(), turns: Semaphore::new(TURNS), full: Notify::new(), gathers: group.gathers }
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, job: Job, answer: oneshot::Sender<sqlx::Result<()>>) -> u64 {
        let mut room = self.room();
        room.crowd.grows(Instant::now());
        room.tickets += 1;
        let ticket = room.tickets;
        room.waiting.push(Waiting { ticket, job, answer });
        if room.waiting.len() >= TOGETHER_MAX {
            self.full.notify_one();
        }
        ticket
    }

    fn is_waiting(&self, ticket: u64) -> bool {
        self.room().waiting.iter().any(|waiting| waiting.ticket == ticket)
    }

    /// Lets a busy group's messages come together.
    async fn patience(&self) {
        let until = self.gathers.then(|| self.room().crowd.gathers_until(Instant::now())).flatten();
        let Some(until) = until else { return };
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = self.full.notified() => {}
        }
    }

    /// Those of the brand that has waited longest.
    fn gather(&self) -> Vec<Waiting> {
        let mut room = self.room();
        let brand: Option<BrandId> = match room.waiting.first() {
            Some(first) => first.job.delivery.brand,
            None => return Vec::new(),
        };
        // A broker may hand out an event twice; the second mark must see the first one's.
        let mut events = HashSet::new();
        let (gathered, left) = room.waiting.drain(..).partition(|one| {
            let delivery = &one.job.delivery;
            events.len() < TOGETHER_MAX && delivery.brand == brand && events.insert(delivery.event_id)
        });
        room.waiting = left;
        room.crowd.gathered(Instant::now());
        gathered
    }

    /// Has the message applied, in company when there is some. `Err` means the database is away and nothing was decided.
    pub(super) async fn apply(&self, consumer: &Consumer, job: Job) -> sqlx::Result<()> {
        let (answer, mut answered) = oneshot::channel();
        let ticket = self.enter(job, answer);
        // Who was gathered by another leaves the turns to those who wait: asking again and again would burn a core.
        while self.is_waiting(ticket) {
            let turn = tokio::select! {
                biased;
                answer = &mut answered => return answer.unwrap_or(Err(sqlx::Error::WorkerCrashed)),
                turn = self.turns.acquire() => turn,
            };
            self.patience().await;
            let gathered = self.gather().into_iter().map(|waiting| (waiting.job, waiting.answer));
            let (jobs, answers): (Vec<_>, Vec<_>) = gathered.unzip();
            consumer.apply_all(jobs, answers).await;
            drop(turn);
        }
        // Never without an answer: whoever gathers answers.
        answered.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }
}

impl Consumer {
    async fn apply_all(&self, jobs: Vec<Job>, answers: Vec<oneshot::Sender<sqlx::Result<()>>>) {
        let is_done = jobs.len() > 1 && self.together(&jobs).await;
        for (job, answer) in jobs.into_iter().zip(answers) {
            let outcome = if is_done { Ok(()) } else { self.alone(&job, Attempt::Delivered).await };
            // Nobody waits any more when the consumer is being stopped; the message comes again and is known.
            let _ = answer.send(outcome);
        }
    }

    /// Applies all of them or, when anything is wrong with any of them, none.
    async fn together(&self, jobs: &[Job]) -> bool {
        match self.try_together(jobs).await {
            Ok(is_done) => is_done,
            Err(error) => {
                tracing::debug!(consumer = %self.group.name, count = jobs.len(), error = %error, "applied one by one");
                false
            }
        }
    }

    async fn try_together(&self, jobs: &[Job]) -> sqlx::Result<bool> {
        let scope = Scope::from(jobs.first().and_then(|job| job.delivery.brand));
        let mut tx = begin_by_key(&self.pool, scope).await?;
        let deliveries: Vec<&Delivery> = jobs.iter().map(|job| &job.delivery).collect();
        let marks = inbox::mark_all(&mut tx, &deliveries, self.group.ordered).await?;
        for (job, mark) in jobs.iter().zip(marks) {
            match mark {
                Mark::Duplicate => {}
                Mark::Held => retry::hold(&mut tx, &job.delivery, &job.message).await?,
                Mark::First { followers } => {
                    let handled = self.call(&mut tx, &job.delivery, Attempt::Delivered, TOGETHER_LIMIT);
                    if with_cause(job.cause(), handled).instrument(job.span.clone()).await.is_err() {
                        tx.rollback().await?;
                        return Ok(false);
                    }
                    if followers {
                        retry::wake_followers(&mut tx, &job.delivery).await?;
                    }
                }
            }
        }
        tx.commit().await?;
        crate::crash::point("inbox.committed");
        self.handler.committed();
        Ok(true)
    }
}
