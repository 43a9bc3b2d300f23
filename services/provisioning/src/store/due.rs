//! Claims: which services have something to do, and who is at it. A platform table; its times are the database's.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, ServiceId};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

/// Channel on which a commit says that a service became due.
pub const CHANNEL: &str = "ottery_provisioning";

/// The right to work on a service until the lease ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The service.
    pub service: ServiceId,
    /// Its brand.
    pub brand: BrandId,
    /// The key its panel is reached with, when it has one.
    pub key: Option<Uuid>,
    /// Fencing token.
    pub fence: i64,
}

/// Claims due services, the longest waiting first, none of the keys that are busy enough already.
pub async fn claim(pool: &PgPool, busy: &[Uuid], limit: i64, lease: Duration) -> sqlx::Result<Vec<Claim>> {
    let rows = sqlx::query!(
        r#"UPDATE reconcile_due SET fence = fence + 1, lease_until = now() + make_interval(secs => $3)
           WHERE service_id = ANY (ARRAY(
               SELECT service_id FROM reconcile_due
               WHERE due_at <= now() AND lease_until <= now() AND (key_id IS NULL OR key_id <> ALL($1))
               ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED))
           RETURNING service_id, brand_id, key_id, fence"#,
        busy,
        limit,
        lease.as_secs_f64()
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Claim {
            service: ServiceId::from_uuid(row.service_id),
            brand: BrandId::from_uuid(row.brand_id),
            key: row.key_id,
            fence: row.fence,
        })
        .collect())
}

/// Prolongs claims that are still held.
pub async fn renew(pool: &PgPool, claims: &[Claim], lease: Duration) -> sqlx::Result<()> {
    let services: Vec<Uuid> = claims.iter().map(|claim| claim.service.as_uuid()).collect();
    let fences: Vec<i64> = claims.iter().map(|claim| claim.fence).collect();
    sqlx::query!(
        "UPDATE reconcile_due d SET lease_until = now() + make_interval(secs => $3)
         FROM UNNEST($1::uuid[], $2::bigint[]) AS held(service_id, fence)
         WHERE d.service_id = held.service_id AND d.fence = held.fence",
        &services,
        &fences,
        lease.as_secs_f64()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Notes that the open call leaves now; false when the claim was lost, and then nothing may be sent.
pub async fn mark_sent(pool: &PgPool, claim: &Claim, call: Uuid, lease: Duration) -> sqlx::Result<bool> {
    let marked = sqlx::query!(
        "UPDATE reconcile_due SET sent_call = $3, lease_until = now() + make_interval(secs => $4)
         WHERE service_id = $1 AND fence = $2",
        claim.service.as_uuid(),
        claim.fence,
        call,
        lease.as_secs_f64()
    )
    .execute(pool)
    .await?;
    Ok(marked.rows_affected() == 1)
}

/// What becomes of a claim when its transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    /// Held on: a call follows.
    Keep,
    /// Given back; nothing to do.
    Rest,
    /// Given back; due again after this time.
    Later(Duration),
}

/// Settles the claim in the transaction that changed the service; false when it was lost, and then nothing may commit.
pub async fn settle(tx: &mut PgTransaction<'_>, claim: &Claim, hand: Hand, key: Option<Uuid>) -> sqlx::Result<bool> {
    let (keep, later_s) = match hand {
        Hand::Keep => (true, None),
        Hand::Rest => (false, None),
        Hand::Later(wait) => (false, Some(wait.as_secs_f64())),
    };
    let settled = sqlx::query!(
        "UPDATE reconcile_due SET key_id = $5,
             sent_call = NULL,
             due_at = CASE WHEN $3 THEN due_at ELSE clock_timestamp() + make_interval(secs => $4) END,
             lease_until = CASE WHEN $3 THEN lease_until ELSE '-infinity' END
         WHERE service_id = $1 AND fence = $2",
        claim.service.as_uuid(),
        claim.fence,
        keep,
        later_s,
        key
    )
    .execute(&mut **tx)
    .await?;
    Ok(settled.rows_affected() == 1)
}

/// When a service is tried next.
pub async fn next(tx: &mut PgTransaction<'_>, service: ServiceId) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("SELECT due_at FROM reconcile_due WHERE service_id = $1", service.as_uuid())
        .fetch_optional(&mut **tx)
        .await
        .map(Option::flatten)
}

/// Makes a service due now and wakes the workers at the commit.
pub async fn wake(tx: &mut PgTransaction<'_>, service: ServiceId) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH due AS (UPDATE reconcile_due SET due_at = now() WHERE service_id = $1 RETURNING 1)
         SELECT pg_notify('ottery_provisioning', '') FROM due",
        service.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(())
}

/// Makes every waiting service of a key due now: its panel is back.
pub async fn wake_key(pool: &PgPool, key: Uuid) -> sqlx::Result<u64> {
    let woken = sqlx::query!(
        "WITH due AS (UPDATE reconcile_due SET due_at = now() WHERE key_id = $1 AND due_at > now() RETURNING 1)
         SELECT pg_notify('ottery_provisioning', '') FROM due",
        key
    )
    .fetch_all(pool)
    .await?;
    Ok(woken.len() as u64)
}

/// Makes the services of a brand that wait without a panel due now: one was added or corrected.
pub async fn wake_unplaced(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH due AS (UPDATE reconcile_due SET due_at = now()
             WHERE brand_id = $1 AND key_id IS NULL AND due_at > now() RETURNING 1)
         SELECT pg_notify('ottery_provisioning', '') FROM due",
        brand.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(())
}

/// How many services of a brand are due, or soon, or being worked on.
pub async fn busy_of_brand(pool: &PgPool, brand: BrandId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM reconcile_due
           WHERE brand_id = $1 AND (lease_until > now() OR due_at <= now() + interval '5 seconds')"#,
        brand.as_uuid()
    )
    .fetch_one(pool)
    .await
}

/// Takes or renews the right to be the one writer of a key that spends credits.
pub async fn take_writer(pool: &PgPool, key: Uuid, owner: Uuid, lease: Duration) -> sqlx::Result<bool> {
    let taken = sqlx::query!(
        "INSERT INTO key_writer AS k (key_id, owner, lease_until) VALUES ($1, $2, now() + make_interval(secs => $3))
         ON CONFLICT (key_id) DO UPDATE SET owner = $2, lease_until = EXCLUDED.lease_until
         WHERE k.owner = $2 OR k.lease_until <= now()",
        key,
        owner,
        lease.as_secs_f64()
    )
    .execute(pool)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Gives the right back.
pub async fn give_writer(pool: &PgPool, key: Uuid, owner: Uuid) -> sqlx::Result<()> {
    sqlx::query!("UPDATE key_writer SET lease_until = '-infinity' WHERE key_id = $1 AND owner = $2", key, owner)
        .execute(pool)
        .await?;
    Ok(())
}
