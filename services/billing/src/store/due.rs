//! When subscriptions need attention, and who attends to them now.
//!
//! Dueness is judged by the brand's clock, leases by the database's. A claim raises the fence; whoever changes a
//! subscription by other means raises it too, so a scheduler that slept through either can no longer write.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, SubscriptionId};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

/// A claimed subscription and the fence of the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What was claimed.
    pub subscription: SubscriptionId,
    /// Still mine while the row has this fence.
    pub fence: i64,
}

/// A brand with something due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueBrand {
    /// The brand.
    pub brand: BrandId,
    /// Since when its first subscription waits; none on a test clock, where time jumps.
    pub waiting_since: Option<DateTime<Utc>>,
}

/// Brands with something due that nobody attends to; `now` is the time of brands without a test clock. Each brand is one step in the
/// index and its first row another, so that looking costs the same however many subscriptions wait for their day.
pub async fn brands(pool: &PgPool, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<DueBrand>> {
    let rows = sqlx::query!(
        r#"WITH RECURSIVE brand (id) AS (
               (SELECT brand_id FROM due ORDER BY brand_id LIMIT 1)
               UNION ALL
               SELECT (SELECT due.brand_id FROM due WHERE due.brand_id > brand.id ORDER BY due.brand_id LIMIT 1)
                 FROM brand WHERE brand.id IS NOT NULL
           )
           SELECT brand.id AS "brand_id!", CASE WHEN clock.now IS NULL THEN waits.due_at END AS waiting_since
             FROM brand LEFT JOIN brand_clock clock ON clock.brand_id = brand.id
            CROSS JOIN LATERAL (SELECT due.due_at FROM due
                                 WHERE due.brand_id = brand.id AND due.due_at <= coalesce(clock.now, $1)
                                   AND due.lease_until < now()
                                 ORDER BY due.due_at LIMIT 1) waits
            ORDER BY waits.due_at LIMIT $2"#,
        now,
        limit
    )
    .fetch_all(pool)
    .await?;
    let due = |(brand, waiting_since)| DueBrand { brand: BrandId::from_uuid(brand), waiting_since };
    Ok(rows.into_iter().map(|row| due((row.brand_id, row.waiting_since))).collect())
}

/// Claims a batch of one brand for `lease`, the longest waiting first; what others hold is skipped. `now` is the time of a
/// brand without a test clock.
pub async fn claim(
    pool: &PgPool,
    brand: BrandId,
    now: DateTime<Utc>,
    limit: i64,
    lease: Duration,
) -> sqlx::Result<Vec<Claim>> {
    let rows = sqlx::query!(
        "UPDATE due SET lease_until = now() + make_interval(secs => $4), fence = fence + 1
          WHERE subscription_id = ANY (ARRAY(
              SELECT subscription_id FROM due
               WHERE brand_id = $1 AND lease_until < now()
                 AND due_at <= coalesce((SELECT clock.now FROM brand_clock clock WHERE clock.brand_id = $1), $2)
               ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED))
         RETURNING subscription_id, fence",
        brand.as_uuid(),
        now,
        limit,
        lease.as_secs_f64(),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Claim { subscription: SubscriptionId::from_uuid(row.subscription_id), fence: row.fence })
        .collect())
}

/// Those claims that still stand. The caller holds the locks of their subscriptions, so that nobody takes them away any
/// more, except another scheduler when the lease runs out; [`finish`] notices that.
pub async fn still_mine(tx: &mut PgTransaction<'_>, claims: &[Claim]) -> sqlx::Result<Vec<Claim>> {
    let (ids, fences): (Vec<Uuid>, Vec<i64>) =
        claims.iter().map(|claim| (claim.subscription.as_uuid(), claim.fence)).unzip();
    let rows = sqlx::query!(
        "SELECT due.subscription_id, due.fence FROM due
           JOIN UNNEST($1::uuid[], $2::bigint[]) AS mine (subscription_id, fence)
             ON mine.subscription_id = due.subscription_id AND mine.fence = due.fence",
        &ids,
        &fences
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Claim { subscription: SubscriptionId::from_uuid(row.subscription_id), fence: row.fence })
        .collect())
}

/// Gives claims back with their next instants (none: nothing waits any more); returns how many rows still had the fence
/// of the claim. Fewer than claims means somebody else took over: roll back.
pub async fn finish(tx: &mut PgTransaction<'_>, finished: &[(Claim, Option<DateTime<Utc>>)]) -> sqlx::Result<u64> {
    let ids: Vec<Uuid> = finished.iter().map(|(claim, _)| claim.subscription.as_uuid()).collect();
    let fences: Vec<i64> = finished.iter().map(|(claim, _)| claim.fence).collect();
    let next: Vec<Option<DateTime<Utc>>> = finished.iter().map(|(_, next)| *next).collect();
    let done = sqlx::query!(
        "UPDATE due SET due_at = coalesce(mine.next, 'infinity'), lease_until = '-infinity'
           FROM UNNEST($1::uuid[], $2::bigint[], $3::timestamptz[]) AS mine (subscription_id, fence, next)
          WHERE due.subscription_id = mine.subscription_id AND due.fence = mine.fence",
        &ids,
        &fences,
        &next as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// Sets the next instants of subscriptions that were changed by something else than the scheduler, and fences it off.
pub async fn set(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    next: &[(SubscriptionId, Option<DateTime<Utc>>)],
) -> sqlx::Result<()> {
    let (ids, instants): (Vec<Uuid>, Vec<Option<DateTime<Utc>>>) =
        next.iter().map(|(id, at)| (id.as_uuid(), *at)).unzip();
    sqlx::query!(
        "INSERT INTO due (subscription_id, brand_id, due_at)
         SELECT subscription_id, $1, coalesce(due_at, 'infinity')
           FROM UNNEST($2::uuid[], $3::timestamptz[]) AS r (subscription_id, due_at) ORDER BY subscription_id
         ON CONFLICT (subscription_id) DO UPDATE
            SET due_at = EXCLUDED.due_at, lease_until = '-infinity', fence = due.fence + 1",
        brand.as_uuid(),
        &ids,
        &instants as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Has the subscriptions of a customer looked at now, and fences schedulers off that are at it.
pub async fn nudge(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    account: AccountId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE due SET due_at = least(due_at, $3), lease_until = '-infinity', fence = fence + 1
          WHERE subscription_id = ANY (ARRAY(
              SELECT d.subscription_id FROM due d JOIN subscription s ON s.id = d.subscription_id
               WHERE s.brand_id = $1 AND s.account_id = $2 AND s.state <> 'ended' AND d.due_at < 'infinity'
               ORDER BY d.subscription_id FOR UPDATE OF d))",
        brand.as_uuid(),
        account.as_uuid(),
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many subscriptions of the brand are due at `now`, claimed or not.
pub async fn count(pool: &PgPool, brand: BrandId, now: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM due WHERE brand_id = $1 AND due_at <= $2"#,
        brand.as_uuid(),
        now
    )
    .fetch_one(pool)
    .await
}
