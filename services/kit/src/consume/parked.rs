//! Deliveries that wait for a person: the console lists them, tries them again or discards them with a reason.
//!
//! Trying again keeps the event id, so the inbox still recognises what was handled meanwhile.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use sqlx::PgPool;
use uuid::Uuid;

/// A parked delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct Parked {
    /// Its number in this service.
    pub id: i64,
    /// Consumer group that could not handle it.
    pub consumer: String,
    /// Event, the same for every redelivery.
    pub event_id: Uuid,
    /// Event type.
    pub kind: String,
    /// What the event is about.
    pub aggregate_id: String,
    /// Place in the order of its aggregate; 0 = none.
    pub aggregate_version: i64,
    /// Whose it is.
    pub brand_id: Option<Uuid>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// `transient` (attempts used up), `permanent`, `gap`, `undecodable` or `crashed`.
    pub reason: String,
    /// What the last attempt said.
    pub error: String,
    /// Attempts made.
    pub attempts: i32,
    /// Since when it is parked.
    pub parked_at: DateTime<Utc>,
    /// The message as it came from the broker.
    pub envelope: Vec<u8>,
}

/// Which parked deliveries to list; empty lists all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this consumer group.
    pub consumer: Option<String>,
    /// Only this event type.
    pub kind: Option<String>,
    /// Only this brand.
    pub brand: Option<BrandId>,
    /// Only numbers below (the last one of the page before).
    pub before: Option<i64>,
}

/// At most `limit` parked deliveries, newest first.
pub async fn list(pool: &PgPool, filter: &Filter, limit: i64) -> sqlx::Result<Vec<Parked>> {
    sqlx::query_as!(
        Parked,
        r#"SELECT id, consumer, event_id, kind, aggregate_id, aggregate_version, brand_id, occurred_at, reason, error,
                  attempts, coalesce(parked_at, failed_at) AS "parked_at!", envelope
             FROM retry_delivery
            WHERE state = 'parked' AND ($1::text IS NULL OR consumer = $1) AND ($2::text IS NULL OR kind = $2)
              AND ($3::uuid IS NULL OR brand_id = $3) AND ($4::bigint IS NULL OR id < $4)
            ORDER BY id DESC LIMIT $5"#,
        filter.consumer.as_deref(),
        filter.kind.as_deref(),
        filter.brand.map(|brand| brand.as_uuid()),
        filter.before,
        limit.clamp(1, 100)
    )
    .fetch_all(pool)
    .await
}

/// How many deliveries are parked; a number for metrics and alarms.
pub async fn count(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM retry_delivery WHERE state = 'parked'"#)
        .fetch_one(pool)
        .await
}

/// Tries one again from the first attempt on; false when it is not parked (any more).
pub async fn retry_one(pool: &PgPool, id: i64) -> sqlx::Result<bool> {
    let moved = sqlx::query!(
        "UPDATE retry_delivery SET state = 'waiting', attempts = 0, due_at = now(), parked_at = NULL
          WHERE id = $1 AND state = 'parked'",
        id
    )
    .execute(pool)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Tries all parked deliveries of a type again; returns how many.
pub async fn retry_all(pool: &PgPool, kind: &str) -> sqlx::Result<u64> {
    let moved = sqlx::query!(
        "UPDATE retry_delivery SET state = 'waiting', attempts = 0, due_at = now(), parked_at = NULL
          WHERE kind = $1 AND state = 'parked'",
        kind
    )
    .execute(pool)
    .await?;
    Ok(moved.rows_affected())
}

/// Gives one up. The row stays, with who and why; false when it is not parked (any more).
pub async fn discard(pool: &PgPool, id: i64, by: &str, reason: &str) -> sqlx::Result<bool> {
    let moved = sqlx::query!(
        "UPDATE retry_delivery SET state = 'discarded', closed_by = $2, closed_reason = $3
          WHERE id = $1 AND state = 'parked'",
        id,
        by,
        reason
    )
    .execute(pool)
    .await?;
    Ok(moved.rows_affected() == 1)
}
