//! Holds on suspensions, and the guard that counts them.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, InvoiceId, Money, SubscriptionId};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::money;
use crate::domain::dunning::guard::Hour;

/// A hold of staff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Not before this instant.
    pub until: DateTime<Utc>,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub held_by: String,
}

/// Holds a subscription for staff; an earlier hold of theirs is replaced.
pub async fn hold(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    subscription: SubscriptionId,
    hold: &Hold,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO suspension_hold (brand_id, subscription_id, source, until, reason, held_by, created_at)
         VALUES ($1, $2, 'staff', $3, $4, $5, $6)
         ON CONFLICT (brand_id, subscription_id, source) DO UPDATE
            SET until = EXCLUDED.until, reason = EXCLUDED.reason, held_by = EXCLUDED.held_by,
                created_at = EXCLUDED.created_at",
        brand.as_uuid(),
        subscription.as_uuid(),
        hold.until,
        hold.reason,
        hold.held_by,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The guard holds these subscriptions and what they owe until then, in one statement. For the same debt it goes on.
pub async fn guard(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    owing: &[(SubscriptionId, InvoiceId)],
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (ids, invoices): (Vec<Uuid>, Vec<Uuid>) =
        owing.iter().map(|(subscription, invoice)| (subscription.as_uuid(), invoice.as_uuid())).unzip();
    sqlx::query!(
        "INSERT INTO suspension_hold AS known (brand_id, subscription_id, source, invoice_id, until, created_at)
         SELECT $1, id, 'guard', invoice_id, $4, $5 FROM UNNEST($2::uuid[], $3::uuid[]) AS r (id, invoice_id)
         ON CONFLICT (brand_id, subscription_id, source) DO UPDATE
            SET until = EXCLUDED.until, invoice_id = EXCLUDED.invoice_id, released_at = NULL,
                created_at = CASE WHEN known.released_at IS NULL AND known.invoice_id = EXCLUDED.invoice_id
                                  THEN known.created_at ELSE EXCLUDED.created_at END",
        brand.as_uuid(),
        &ids,
        &invoices,
        until,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The hold of staff on a subscription.
pub async fn get(tx: &mut PgTransaction<'_>, subscription: SubscriptionId) -> sqlx::Result<Option<Hold>> {
    let row = sqlx::query!(
        "SELECT until, reason, held_by FROM suspension_hold
          WHERE brand_id = ottery_brand() AND subscription_id = $1 AND source = 'staff'",
        subscription.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Hold { until: row.until, reason: row.reason, held_by: row.held_by }))
}

/// Takes the hold of staff away.
pub async fn lift(tx: &mut PgTransaction<'_>, subscription: SubscriptionId) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM suspension_hold WHERE brand_id = ottery_brand() AND subscription_id = $1 AND source = 'staff'",
        subscription.as_uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Those of these subscriptions that staff let be suspended for this debt, after `since`.
pub async fn released(
    tx: &mut PgTransaction<'_>,
    owing: &[(SubscriptionId, InvoiceId)],
    since: DateTime<Utc>,
) -> sqlx::Result<HashSet<SubscriptionId>> {
    let (ids, invoices): (Vec<Uuid>, Vec<Uuid>) =
        owing.iter().map(|(subscription, invoice)| (subscription.as_uuid(), invoice.as_uuid())).unzip();
    let rows = sqlx::query_scalar!(
        "SELECT h.subscription_id FROM suspension_hold h
           JOIN UNNEST($1::uuid[], $2::uuid[]) AS r (id, invoice_id)
             ON r.id = h.subscription_id AND r.invoice_id = h.invoice_id
          WHERE h.brand_id = ottery_brand() AND h.source = 'guard' AND h.released_at > $3",
        &ids,
        &invoices,
        since
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(SubscriptionId::from_uuid).collect())
}

/// The brand's hour, locked: one batch at a time suspends. A new hour begins when the last one is over: by the database's time,
/// or by the brand's test clock, where months may pass in a minute.
pub async fn lock_hour(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<Hour> {
    sqlx::query!("INSERT INTO suspension_guard (brand_id) VALUES ($1) ON CONFLICT DO NOTHING", brand.as_uuid())
        .execute(&mut **tx)
        .await?;
    let row = sqlx::query!(
        r#"SELECT live, suspended, halted_at IS NOT NULL AS "is_halted!", hour_from < coalesce((SELECT clock.now FROM brand_clock clock WHERE clock.brand_id = $1), now())
                                  - interval '1 hour' AS "is_over!"
             FROM suspension_guard WHERE brand_id = $1 FOR UPDATE"#,
        brand.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await?;
    if !row.is_over {
        return Ok(Hour {
            live: row.live.unsigned_abs(),
            suspended: row.suspended.unsigned_abs(),
            is_halted: row.is_halted,
        });
    }
    let live = sqlx::query_scalar!(
        r#"WITH now_live AS (
               SELECT count(*) AS live FROM subscription
                WHERE brand_id = $1 AND state IN ('trialing', 'active', 'past_due'))
           UPDATE suspension_guard
              SET hour_from = coalesce((SELECT clock.now FROM brand_clock clock WHERE clock.brand_id = $1), now()),
                  suspended = 0, live = now_live.live
             FROM now_live WHERE brand_id = $1 RETURNING suspension_guard.live"#,
        brand.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Hour { live: live.unsigned_abs(), suspended: 0, is_halted: row.is_halted })
}

/// How many subscriptions are past the end of their grace at `now`, whoever works on them.
pub async fn overdue(tx: &mut PgTransaction<'_>, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM subscription s
            WHERE s.brand_id = ottery_brand() AND s.state = 'past_due' AND s.grace_until <= $1
              AND NOT EXISTS (SELECT FROM suspension_hold h WHERE h.brand_id = s.brand_id AND h.subscription_id = s.id
                                 AND (h.until > $1 OR h.released_at > $1 - interval '2 days'))"#,
        now
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(count.unsigned_abs())
}

/// Counts suspensions into the hour; the caller holds its lock.
pub async fn count(tx: &mut PgTransaction<'_>, brand: BrandId, suspended: u64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE suspension_guard SET suspended = suspended + $2 WHERE brand_id = $1",
        brand.as_uuid(),
        i64::try_from(suspended).unwrap_or(i64::MAX),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Stops the brand's suspensions until somebody decides; the caller holds the hour's lock.
pub async fn halt(tx: &mut PgTransaction<'_>, brand: BrandId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE suspension_guard SET halted_at = coalesce(halted_at, $2) WHERE brand_id = $1",
        brand.as_uuid(),
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Since when the brand's suspensions are stopped, if they are.
pub async fn halted_at(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<Option<DateTime<Utc>>> {
    let row = sqlx::query_scalar!("SELECT halted_at FROM suspension_guard WHERE brand_id = $1", brand.as_uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.flatten())
}

/// Suspensions may happen again; the hour begins anew. Who was let go counts in it as everybody does.
pub async fn resume(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE suspension_guard SET halted_at = NULL, hour_from = '-infinity' WHERE brand_id = $1",
        brand.as_uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A subscription the guard keeps from being suspended or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub subscription: SubscriptionId,
    /// Whose.
    pub account: AccountId,
    /// What it is called.
    pub plan_name: String,
    /// Whether it would end instead of being suspended.
    pub would_end: bool,
    /// What is not paid.
    pub invoice: InvoiceId,
    /// How much of it.
    pub owed: Money,
    /// Since when.
    pub due_at: Option<DateTime<Utc>>,
    /// When the guard stepped in.
    pub held_at: DateTime<Utc>,
}

/// Those the guard holds and who still do not pay, the oldest subscription first; at most so many, after that one.
pub async fn held(tx: &mut PgTransaction<'_>, after: Option<Uuid>, limit: i64) -> sqlx::Result<Vec<Held>> {
    let rows = sqlx::query!(
        r#"SELECT s.id, s.account_id, s.offer->>'plan_name' AS "plan_name!", s.state, h.created_at,
                  i.id AS invoice_id, i.currency, i.due_at,
                  i.total_minor - (SELECT coalesce(sum(a.amount_minor), 0)::bigint FROM allocation a
                                    WHERE a.brand_id = i.brand_id AND a.invoice_id = i.id) AS "owed!"
             FROM suspension_hold h
             JOIN subscription s ON s.brand_id = h.brand_id AND s.id = h.subscription_id
             JOIN invoice i ON i.brand_id = h.brand_id AND i.id = h.invoice_id AND i.state = 'open'
                           AND (s.state IN ('past_due', 'trialing', 'suspended')
                                -- What their reseller owes.
                                OR s.state = 'active' AND i.account_id <> s.account_id)
            WHERE h.brand_id = ottery_brand() AND h.source = 'guard' AND h.released_at IS NULL
              AND ($1::uuid IS NULL OR s.id > $1)
            ORDER BY s.id LIMIT $2"#,
        after,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Held {
                subscription: SubscriptionId::from_uuid(row.id),
                account: AccountId::from_uuid(row.account_id),
                plan_name: row.plan_name,
                would_end: row.state == "suspended",
                invoice: InvoiceId::from_uuid(row.invoice_id),
                owed: money("invoice", row.owed, &row.currency)?,
                due_at: row.due_at,
                held_at: row.created_at,
            })
        })
        .collect()
}

/// Lets the suspensions of these subscriptions happen now: their graces end.
pub async fn release(
    tx: &mut PgTransaction<'_>,
    subscriptions: &[SubscriptionId],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = subscriptions.iter().map(SubscriptionId::as_uuid).collect();
    sqlx::query!(
        "UPDATE suspension_hold SET released_at = $2
          WHERE brand_id = ottery_brand() AND subscription_id = ANY($1) AND source = 'guard'",
        &ids,
        now
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE subscription SET grace_until = least(grace_until, $2)
          WHERE brand_id = ottery_brand() AND id = ANY($1) AND state = 'past_due'",
        &ids,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Holds these subscriptions for staff; who is held longer stays so.
pub async fn spare(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    subscriptions: &[SubscriptionId],
    hold: &Hold,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = subscriptions.iter().map(SubscriptionId::as_uuid).collect();
    sqlx::query!(
        "INSERT INTO suspension_hold AS known (brand_id, subscription_id, source, until, reason, held_by, created_at)
         SELECT $1, id, 'staff', $3, $4, $5, $6 FROM UNNEST($2::uuid[]) AS r (id)
         ON CONFLICT (brand_id, subscription_id, source) DO UPDATE
            SET until = EXCLUDED.until, reason = EXCLUDED.reason, held_by = EXCLUDED.held_by,
                created_at = EXCLUDED.created_at
          WHERE known.until < EXCLUDED.until",
        brand.as_uuid(),
        &ids,
        hold.until,
        hold.reason,
        hold.held_by,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets the guard's holds from before `as_of` that nobody decided on: they have paid meanwhile, or staff hold them.
pub async fn forget_guarded(tx: &mut PgTransaction<'_>, as_of: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM suspension_hold
          WHERE brand_id = ottery_brand() AND source = 'guard' AND released_at IS NULL AND created_at <= $1",
        as_of
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How long the guard's word of today counts.
pub const GUARDED_FOR: TimeDelta = TimeDelta::days(1);

/// Brands whose suspensions are stopped; needs no scope.
pub async fn halted_brands(pool: &PgPool) -> sqlx::Result<Vec<BrandId>> {
    let brands = sqlx::query_scalar!("SELECT brand_id FROM suspension_guard WHERE halted_at IS NOT NULL")
        .fetch_all(pool)
        .await?;
    Ok(brands.into_iter().map(BrandId::from_uuid).collect())
}
