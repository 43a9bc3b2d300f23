//! Places of plans that are sold in limited number: counted per plan under the lock of its counter.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, PlanId, SubscriptionId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

/// Takes a place of `limit` when one is left; false when none is. The counter stays locked until the commit.
pub async fn take(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    plan: PlanId,
    limit: u32,
    subscription: SubscriptionId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let taken = sqlx::query!(
        "INSERT INTO stock_counter AS known (plan_id, brand_id, taken) SELECT $1, $2, 1 WHERE $3::bigint > 0
         ON CONFLICT (plan_id) DO UPDATE SET taken = known.taken + 1 WHERE known.taken < $3",
        plan.as_uuid(),
        brand.as_uuid(),
        i64::from(limit),
    )
    .execute(&mut **tx)
    .await?;
    if taken.rows_affected() == 0 {
        return Ok(false);
    }
    hand_over(tx, brand, plan, subscription, now).await?;
    Ok(true)
}

/// Takes a place for each of so many codes when that many of `limit` are left; false when they are not. The counter stays
/// locked until the commit.
pub async fn take_for_codes(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    plan: PlanId,
    limit: u32,
    count: u32,
) -> sqlx::Result<bool> {
    let taken = sqlx::query!(
        "INSERT INTO stock_counter AS known (plan_id, brand_id, taken) SELECT $1, $2, $4::bigint WHERE $4 <= $3::bigint
         ON CONFLICT (plan_id) DO UPDATE SET taken = known.taken + $4 WHERE known.taken + $4 <= $3",
        plan.as_uuid(),
        brand.as_uuid(),
        i64::from(limit),
        i64::from(count),
    )
    .execute(&mut **tx)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// A place that is counted already is held by this subscription from now on.
pub async fn hand_over(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    plan: PlanId,
    subscription: SubscriptionId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO stock_hold (subscription_id, plan_id, brand_id, taken_at) VALUES ($1, $2, $3, $4)",
        subscription.as_uuid(),
        plan.as_uuid(),
        brand.as_uuid(),
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Gives the places of so many codes back. The caller has ended them, which happens once.
pub async fn give_back_codes(tx: &mut PgTransaction<'_>, plan: PlanId, count: i64) -> sqlx::Result<()> {
    sqlx::query!("UPDATE stock_counter SET taken = taken - $2 WHERE plan_id = $1", plan.as_uuid(), count)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Gives the places of these subscriptions back; those that were given back before stay so.
pub async fn give_back(
    tx: &mut PgTransaction<'_>,
    subscriptions: &[SubscriptionId],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if subscriptions.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = subscriptions.iter().map(SubscriptionId::as_uuid).collect();
    // Counters in the order of their ids, so that two batches never wait for each other.
    sqlx::query!(
        "SELECT plan_id FROM stock_counter
          WHERE plan_id IN (SELECT plan_id FROM stock_hold WHERE subscription_id = ANY($1) AND released_at IS NULL)
          ORDER BY plan_id FOR UPDATE",
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query!(
        "WITH gone AS (
             UPDATE stock_hold SET released_at = $2 WHERE subscription_id = ANY($1) AND released_at IS NULL RETURNING plan_id
         )
         UPDATE stock_counter AS known SET taken = known.taken - gone.count
           FROM (SELECT plan_id, count(*) AS count FROM gone GROUP BY plan_id) AS gone WHERE known.plan_id = gone.plan_id",
        &ids,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many of these plans are taken; those of which none is are left out.
pub async fn taken(tx: &mut PgTransaction<'_>, plans: &[PlanId]) -> sqlx::Result<Vec<(PlanId, i64)>> {
    let ids: Vec<Uuid> = plans.iter().map(PlanId::as_uuid).collect();
    let rows = sqlx::query!("SELECT plan_id, taken FROM stock_counter WHERE plan_id = ANY($1) AND taken > 0", &ids)
        .fetch_all(&mut **tx)
        .await?;
    Ok(rows.into_iter().map(|row| (PlanId::from_uuid(row.plan_id), row.taken)).collect())
}
