//! Messages that wait together are applied together: one transaction costs less than many.
//!
//! Whoever finds a turn free applies everything that has gathered of one brand. Under no load that is one message, and nothing
//! waits for company; the busier the group, the larger the transactions. A message that fails takes the transaction with
//! it, so then each is applied on its own, as if they had never met.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottery_kernel::BrandId;
use tokio::sync::{Semaphore, oneshot};
use tracing::{Instrument as _, Span};

use super::inbox::Mark;
use super::run::Attempt;
use super::{Consumer, Delivery, inbox, retry};
use crate::broker::Incoming;
use crate::db::{Scope, begin};
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
    job: Job,
    answer: oneshot::Sender<sqlx::Result<()>>,
}

/// Where the messages of a group gather.
pub(super) struct Company {
    waiting: Mutex<Vec<Waiting>>,
    turns: Semaphore,
}

impl Default for Company {
    fn default() -> Self {
        Self { waiting: Mutex::default(), turns: Semaphore::new(TURNS) }
    }
}

impl Company {
    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of the brand that has waited longest.
    fn gather(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        let brand: Option<BrandId> = match waiting.first() {
            Some(first) => first.job.delivery.brand,
            None => return Vec::new(),
        };
        // A broker may hand out an event twice; the second mark must see the first one's.
        let mut events = HashSet::new();
        let (gathered, left) = waiting.drain(..).partition(|one| {
            let delivery = &one.job.delivery;
            events.len() < TOGETHER_MAX && delivery.brand == brand && events.insert(delivery.event_id)
        });
        *waiting = left;
        gathered
    }

    /// Has the message applied, in company when there is some. `Err` means the database is away and nothing was decided.
    pub(super) async fn apply(&self, consumer: &Consumer, job: Job) -> sqlx::Result<()> {
        let (answer, mut answered) = oneshot::channel();
        self.waiting().push(Waiting { job, answer });
        loop {
            let turn = tokio::select! {
                biased;
                // Never without an answer: whoever gathers answers.
                answer = &mut answered => return answer.unwrap_or(Err(sqlx::Error::WorkerCrashed)),
                turn = self.turns.acquire() => turn,
            };
            let gathered = self.gather().into_iter().map(|waiting| (waiting.job, waiting.answer));
            let (jobs, answers): (Vec<_>, Vec<_>) = gathered.unzip();
            consumer.apply_all(jobs, answers).await;
            drop(turn);
        }
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
        let mut tx = begin(&self.pool, scope).await?;
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
