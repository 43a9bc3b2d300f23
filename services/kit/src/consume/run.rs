//! From a broker's message to a committed effect.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use ottery_kernel::BrandId;
use ottery_proto::common::v1::Envelope;
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use super::company::{Company, Job};
use super::inbox::{Mark, mark_all};
use super::retry::{self, Failure};
use super::{ConsumerGroup, Delivery, HandleError, Handler, Schedule};
use crate::broker::{Broker, BrokerError, Incoming, Sink, Verdict};
use crate::db::{Scope, begin_by_key};
use crate::outbox::{set_parent, with_cause};

/// A handler may not take longer; a broker takes messages away from whoever holds them for ever.
const HANDLER_LIMIT: Duration = Duration::from_secs(30);

/// A consumer group with what it needs to handle its messages.
pub struct Consumer {
    pub(super) pool: PgPool,
    pub(super) group: ConsumerGroup,
    pub(super) schedule: Schedule,
    pub(super) handler: Arc<dyn Handler>,
    company: Company,
}

/// Consumes until `shutdown`. Retries are a worker of their own ([`super::run_retries`]), one for all groups.
pub async fn run(
    consumer: Arc<Consumer>,
    broker: Arc<dyn Broker>,
    shutdown: CancellationToken,
) -> Result<(), BrokerError> {
    let group = consumer.group.clone();
    broker.consume(group, consumer, shutdown).await
}

/// How an attempt came to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attempt {
    /// Straight from the broker.
    Delivered,
    /// From the retry table; `gap_expired`: the missing event did not come in time.
    Retried { row: i64, gap_expired: bool },
}

impl Consumer {
    /// A group whose messages `handler` applies to the database behind `pool`.
    pub fn new(pool: PgPool, group: ConsumerGroup, handler: impl Handler) -> Self {
        let schedule = Schedule::default();
        let company = Company::of(&group);
        Self { pool, group, schedule, handler: Arc::new(handler), company }
    }

    /// With other waiting times than the standard ones; for tests.
    #[must_use]
    pub fn with_schedule(self, schedule: Schedule) -> Self {
        Self { schedule, ..self }
    }

    /// The group it serves.
    #[must_use]
    pub fn group(&self) -> &ConsumerGroup {
        &self.group
    }

    /// Makes one attempt, alone. `Err` means the database is away and nothing was decided.
    pub(super) async fn attempt(&self, message: &Incoming, how: Attempt, attempt: u32) -> sqlx::Result<()> {
        match self.job(message, attempt).await? {
            Some(job) => self.alone(&job, how).await,
            None => Ok(()),
        }
    }

    /// Reads a message; what cannot be read is parked, and nothing is left to do.
    async fn job(&self, message: &Incoming, attempt: u32) -> sqlx::Result<Option<Job>> {
        let delivery = match self.parse(message, attempt) {
            Ok(delivery) => delivery,
            Err(reason) => {
                tracing::error!(consumer = %self.group.name, kind = %message.kind, reason, "message cannot be read; parked");
                retry::park_unreadable(self, message, &reason).await?;
                return Ok(None);
            }
        };
        let span = tracing::info_span!(
            "consume",
            otel.kind = "consumer",
            otel.name = %format!("consume {}", self.group.name),
            consumer = %self.group.name,
            event.id = %delivery.event_id,
            event.kind = %delivery.kind(),
            aggregate.id = %delivery.aggregate_id(),
            brand.id = %delivery.envelope.brand_id,
            attempt,
        );
        set_parent(&span, &delivery.envelope.traceparent);
        Ok(Some(Job { message: message.clone(), delivery, span }))
    }

    pub(super) async fn alone(&self, job: &Job, how: Attempt) -> sqlx::Result<()> {
        with_cause(job.cause(), self.apply(job, how)).instrument(job.span.clone()).await
    }

    async fn apply(&self, job: &Job, how: Attempt) -> sqlx::Result<()> {
        let Job { message, delivery, .. } = job;
        let mut tx = begin_by_key(&self.pool, Scope::from(delivery.brand)).await?;
        let may_hold = self.group.ordered && matches!(how, Attempt::Delivered);
        let mark = mark_all(&mut tx, &[delivery], may_hold).await?.pop().ok_or(sqlx::Error::RowNotFound)?;
        let followers = match mark {
            Mark::First { followers } => followers,
            Mark::Duplicate => {
                retry::forget(&mut tx, how).await?;
                return tx.commit().await;
            }
            Mark::Held => {
                retry::hold(&mut tx, delivery, message).await?;
                return tx.commit().await;
            }
        };
        let failure = match self.call(&mut tx, delivery, how, HANDLER_LIMIT).await {
            Ok(()) => {
                retry::forget(&mut tx, how).await?;
                if followers {
                    retry::wake_followers(&mut tx, delivery).await?;
                }
                tx.commit().await?;
                crate::crash::point("inbox.committed");
                self.handler.committed();
                return Ok(());
            }
            Err(failure) => failure,
        };
        // A connection that died under the handler fails here too, and then nothing was decided.
        tx.rollback().await?;
        if let Some(lost) = lost_database(&failure) {
            return Err(lost);
        }
        let failure = Failure::of(failure);
        tracing::warn!(reason = failure.reason, error = %failure.error, "event was not handled");
        retry::record(self, delivery, message, how, &failure).await
    }

    pub(super) async fn call(
        &self,
        tx: &mut PgTransaction<'_>,
        delivery: &Delivery,
        how: Attempt,
        limit: Duration,
    ) -> Result<(), HandleError> {
        let gap_expired = matches!(how, Attempt::Retried { gap_expired: true, .. });
        let work = async {
            if gap_expired {
                match self.handler.handle(tx, delivery).await {
                    Err(HandleError::Gap { .. }) => self.handler.gap_expired(tx, delivery).await,
                    other => other,
                }
            } else {
                self.handler.handle(tx, delivery).await
            }
        };
        match tokio::time::timeout(limit, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => {
                Err(HandleError::Transient(anyhow::anyhow!("the handler panicked: {}", panic_text(&*panic))))
            }
            Err(_) => Err(HandleError::Transient(anyhow::anyhow!("the handler took longer than {limit:?}"))),
        }
    }

    fn parse(&self, message: &Incoming, attempt: u32) -> Result<Delivery, String> {
        let envelope: Envelope = message.envelope.clone()?;
        let event_id = Uuid::try_parse(&envelope.event_id).map_err(|error| format!("event_id: {error}"))?;
        let brand = match envelope.brand_id.as_str() {
            "" => None,
            text => Some(text.parse::<BrandId>().map_err(|error| format!("brand_id: {error}"))?),
        };
        let occurred_at = envelope
            .occurred_at
            .as_ref()
            .and_then(|at| chrono::DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?))
            .ok_or("occurred_at is missing or out of range")?;
        Ok(Delivery { consumer: self.group.name.clone(), event_id, brand, occurred_at, attempt, envelope })
    }
}

#[async_trait]
impl Sink for Consumer {
    async fn deliver(&self, message: Incoming) -> Verdict {
        let outcome = match self.job(&message, 1).await {
            Ok(Some(job)) => self.company.apply(self, job).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        verdict(self, outcome)
    }

    async fn dead(&self, message: Incoming) -> Verdict {
        let outcome = match self.parse(&message, 1) {
            Ok(delivery) => retry::park_crashed(self, &delivery, &message).await,
            Err(reason) => retry::park_unreadable(self, &message, &reason).await,
        };
        verdict(self, outcome)
    }

    async fn ready(&self) -> bool {
        sqlx::query_scalar!("SELECT 1").fetch_one(&self.pool).await.is_ok()
    }
}

fn verdict(consumer: &Consumer, outcome: sqlx::Result<()>) -> Verdict {
    match outcome {
        Ok(()) => Verdict::Done,
        Err(error) => {
            tracing::error!(consumer = %consumer.group.name, error = %error, "the consumer's database failed; pausing");
            Verdict::Unavailable
        }
    }
}

/// The database going away under a handler is nobody's failed attempt.
fn lost_database(failure: &HandleError) -> Option<sqlx::Error> {
    let HandleError::Transient(error) = failure else { return None };
    match error.downcast_ref::<sqlx::Error>()? {
        sqlx::Error::Io(cause) => Some(sqlx::Error::Io(std::io::Error::new(cause.kind(), cause.to_string()))),
        sqlx::Error::PoolTimedOut => Some(sqlx::Error::PoolTimedOut),
        sqlx::Error::PoolClosed => Some(sqlx::Error::PoolClosed),
        _ => None,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
