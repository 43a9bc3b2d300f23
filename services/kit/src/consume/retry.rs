//! Failed deliveries: when they are tried again, and when a person has to look.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::run::Attempt;
use super::{Consumer, Delivery, HandleError};
use crate::broker::Incoming;

/// How often the table is looked through.
const POLL: Duration = Duration::from_secs(1);
/// A claimed attempt is somebody's for this long; longer than a handler may take, so a crash costs one attempt.
const CLAIM: Duration = Duration::from_secs(60);
/// Error texts are cut: they are for people.
const ERROR_CHARS: usize = 2_000;

/// Waiting times after failed attempts; when they are used up the delivery is parked.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// After transient errors.
    pub transient: Vec<Duration>,
    /// While an earlier version is missing; afterwards [`super::Handler::gap_expired`] is asked.
    pub gap: Vec<Duration>,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            transient: [5, 30, 300, 1_800].map(Duration::from_secs).to_vec(),
            gap: [1, 5, 30, 120].map(Duration::from_secs).to_vec(),
        }
    }
}

impl Schedule {
    /// All waiting times replaced by `wait`; for tests.
    #[must_use]
    pub fn every(wait: Duration) -> Self {
        Self { transient: vec![wait; 4], gap: vec![wait; 4] }
    }

    fn wait(&self, reason: &str, attempts: i32) -> Option<Duration> {
        let place = usize::try_from(attempts - 1).unwrap_or(0);
        match reason {
            "transient" => self.transient.get(place).copied(),
            "gap" => self.gap.get(place).copied(),
            _ => None,
        }
    }
}

pub(super) struct Failure {
    pub(super) reason: &'static str,
    pub(super) error: String,
}

impl Failure {
    pub(super) fn of(error: HandleError) -> Self {
        let reason = match &error {
            HandleError::Transient(_) => "transient",
            HandleError::Permanent(_) => "permanent",
            HandleError::Gap { .. } => "gap",
        };
        Self { reason, error: error.to_string().chars().take(ERROR_CHARS).collect() }
    }
}

/// Runs due retries of these groups until `shutdown`. Replicas share the work.
pub async fn run_retries(consumers: Vec<Arc<Consumer>>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        let mut pause = POLL;
        for consumer in &consumers {
            match drain(consumer, &shutdown).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::error!(consumer = %consumer.group.name, error = %error, "retries wait for the database");
                    pause = POLL * 5;
                }
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn drain(consumer: &Consumer, shutdown: &CancellationToken) -> sqlx::Result<()> {
    while !shutdown.is_cancelled() {
        let Some(claim) = claim(consumer).await? else { break };
        let message = Incoming::new(claim.envelope.into(), claim.kind);
        let gap_expired = claim.reason == "gap" && consumer.schedule.wait("gap", claim.attempts).is_none();
        let how = Attempt::Retried { row: claim.id, gap_expired };
        consumer.attempt(&message, how, u32::try_from(claim.attempts).unwrap_or(u32::MAX)).await?;
    }
    Ok(())
}

struct Claim {
    id: i64,
    kind: String,
    reason: String,
    attempts: i32,
    envelope: Vec<u8>,
}

/// Takes the next due delivery and counts the attempt before it is made. In an ordered group only the oldest
/// waiting event of an aggregate comes into question.
async fn claim(consumer: &Consumer) -> sqlx::Result<Option<Claim>> {
    sqlx::query_as!(
        Claim,
        "UPDATE retry_delivery SET attempts = attempts + 1, due_at = now() + make_interval(secs => $3)
          WHERE id = (
              SELECT d.id FROM retry_delivery d
               WHERE d.consumer = $1 AND d.state = 'waiting' AND d.due_at <= now()
                 AND (NOT $2 OR d.aggregate_version = 0 OR NOT EXISTS (
                     SELECT FROM retry_delivery e
                      WHERE e.consumer = d.consumer AND e.aggregate_id = d.aggregate_id AND e.state = 'waiting'
                        AND e.aggregate_version > 0 AND e.aggregate_version < d.aggregate_version))
               ORDER BY d.due_at, d.id LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING id, kind, reason, attempts, envelope",
        consumer.group.name,
        consumer.group.ordered,
        CLAIM.as_secs_f64()
    )
    .fetch_optional(&consumer.pool)
    .await
}

/// The attempt succeeded: nothing is left to retry.
pub(super) async fn forget(tx: &mut PgTransaction<'_>, how: Attempt) -> sqlx::Result<()> {
    if let Attempt::Retried { row, .. } = how {
        sqlx::query!("DELETE FROM retry_delivery WHERE id = $1", row).execute(&mut **tx).await?;
    }
    Ok(())
}

/// The next version may come at once instead of at its time.
pub(super) async fn wake_followers(tx: &mut PgTransaction<'_>, delivery: &Delivery) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE retry_delivery SET due_at = now()
          WHERE consumer = $1 AND aggregate_id = $2 AND state = 'waiting' AND reason IN ('gap', 'held')
            AND event_id <> $3",
        delivery.consumer,
        delivery.aggregate_id(),
        delivery.event_id
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Queues a delivery behind older ones of its aggregate.
pub(super) async fn hold(tx: &mut PgTransaction<'_>, delivery: &Delivery, message: &Incoming) -> sqlx::Result<()> {
    insert(&mut **tx, &Row::of(delivery, message, "waiting", "held")).await
}

/// Writes down a failed attempt: the time of the next one, or parked.
pub(super) async fn record(
    consumer: &Consumer,
    delivery: &Delivery,
    message: &Incoming,
    how: Attempt,
    failure: &Failure,
) -> sqlx::Result<()> {
    let Attempt::Retried { row, gap_expired } = how else {
        let wait = consumer.schedule.wait(failure.reason, 1);
        let state = if wait.is_some() { "waiting" } else { "parked" };
        let mut row = Row::of(delivery, message, state, failure.reason);
        row.attempts = 1;
        row.error.clone_from(&failure.error);
        row.wait_secs = wait.unwrap_or_default().as_secs_f64();
        return insert(&consumer.pool, &row).await;
    };
    let attempts = i32::try_from(delivery.attempt).unwrap_or(i32::MAX);
    // A gap that ran out starts the transient schedule for whatever keeps the state from being fetched.
    let counted = if gap_expired { attempts - consumer.schedule.gap.len() as i32 } else { attempts };
    let wait = consumer.schedule.wait(failure.reason, counted);
    let reason = if gap_expired { "gap" } else { failure.reason };
    sqlx::query!(
        "UPDATE retry_delivery SET reason = $2, error = $3, failed_at = now(),
                state = CASE WHEN $4::float8 IS NULL THEN 'parked' ELSE 'waiting' END,
                parked_at = CASE WHEN $4 IS NULL THEN now() END,
                due_at = now() + make_interval(secs => coalesce($4, 0))
          WHERE id = $1 AND state = 'waiting'",
        row,
        reason,
        failure.error,
        wait.map(|wait| wait.as_secs_f64())
    )
    .execute(&consumer.pool)
    .await?;
    Ok(())
}

/// Parks a message that is no envelope; its id is made from its bytes, so a redelivery is recognised.
pub(super) async fn park_unreadable(consumer: &Consumer, message: &Incoming, error: &str) -> sqlx::Result<()> {
    let row = Row {
        consumer: &consumer.group.name,
        event_id: Uuid::new_v5(&Uuid::NAMESPACE_OID, &message.body),
        kind: &message.kind,
        aggregate_id: message.aggregate_id(),
        aggregate_version: 0,
        brand_id: None,
        occurred_at: chrono::DateTime::UNIX_EPOCH,
        envelope: &message.body,
        state: "parked",
        reason: "undecodable",
        attempts: 1,
        error: error.chars().take(ERROR_CHARS).collect(),
        wait_secs: 0.0,
    };
    insert(&consumer.pool, &row).await?;
    // It may come from the retry table itself, where a person asked for another try.
    sqlx::query!(
        "UPDATE retry_delivery SET state = 'parked', parked_at = now()
          WHERE consumer = $1 AND event_id = $2 AND state = 'waiting'",
        row.consumer,
        row.event_id
    )
    .execute(&consumer.pool)
    .await?;
    Ok(())
}

/// Parks a message whose handling ended the process again and again.
pub(super) async fn park_crashed(consumer: &Consumer, delivery: &Delivery, message: &Incoming) -> sqlx::Result<()> {
    let mut row = Row::of(delivery, message, "parked", "crashed");
    row.attempts = 1;
    row.error = "the consumer stopped on it again and again; the broker gave up".to_owned();
    insert(&consumer.pool, &row).await
}

struct Row<'a> {
    consumer: &'a str,
    event_id: Uuid,
    kind: &'a str,
    aggregate_id: &'a str,
    aggregate_version: i64,
    brand_id: Option<Uuid>,
    occurred_at: chrono::DateTime<chrono::Utc>,
    envelope: &'a [u8],
    state: &'static str,
    reason: &'static str,
    attempts: i32,
    error: String,
    wait_secs: f64,
}

impl<'a> Row<'a> {
    fn of(delivery: &'a Delivery, message: &'a Incoming, state: &'static str, reason: &'static str) -> Self {
        Self {
            consumer: &delivery.consumer,
            event_id: delivery.event_id,
            kind: delivery.kind(),
            aggregate_id: delivery.aggregate_id(),
            aggregate_version: delivery.aggregate_version(),
            brand_id: delivery.brand.map(|brand| brand.as_uuid()),
            occurred_at: delivery.occurred_at,
            envelope: &message.body,
            state,
            reason,
            attempts: 0,
            error: String::new(),
            wait_secs: 0.0,
        }
    }
}

/// A delivery already in the table stays as it is: this was a duplicate of it.
async fn insert(executor: impl sqlx::PgExecutor<'_>, row: &Row<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO retry_delivery (consumer, event_id, kind, aggregate_id, aggregate_version, brand_id, occurred_at,
                                     envelope, state, reason, attempts, error, due_at, parked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, now() + make_interval(secs => $13),
                 CASE WHEN $9 = 'parked' THEN now() END)
         ON CONFLICT (consumer, event_id) DO NOTHING",
        row.consumer,
        row.event_id,
        row.kind,
        row.aggregate_id,
        row.aggregate_version,
        row.brand_id,
        row.occurred_at,
        row.envelope,
        row.state,
        row.reason,
        row.attempts,
        row.error,
        row.wait_secs
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Deliveries waiting for another attempt; a number for metrics.
pub async fn waiting(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM retry_delivery WHERE state = 'waiting'"#)
        .fetch_one(pool)
        .await
}

/// Deliveries of a brand waiting for another attempt; part of the answer to "is this brand drained?".
pub async fn waiting_of_brand(pool: &PgPool, brand: ottery_kernel::BrandId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM retry_delivery WHERE state = 'waiting' AND brand_id = $1"#,
        brand.as_uuid()
    )
    .fetch_one(pool)
    .await
}
