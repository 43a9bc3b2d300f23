//! Uses of coupons: counted per coupon under the lock of its counter.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, CouponId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use crate::domain::coupon::Redeemed;
use crate::domain::subscription::Subscription;

/// Takes a use when one is left; false when none is. The counter stays locked until the commit.
pub async fn take(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    redeemed: &Redeemed,
    subscription: &Subscription,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let coupon = &redeemed.coupon;
    let taken = sqlx::query!(
        "INSERT INTO coupon_counter AS known (coupon_id, brand_id, uses) VALUES ($1, $2, 1)
         ON CONFLICT (coupon_id) DO UPDATE SET uses = known.uses + 1 WHERE $3::bigint IS NULL OR known.uses < $3",
        coupon.id.as_uuid(),
        brand.as_uuid(),
        coupon.uses_max.map(i64::from),
    )
    .execute(&mut **tx)
    .await?;
    if taken.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "INSERT INTO redemption (id, brand_id, coupon_id, account_id, subscription_id, taken_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        redeemed.redemption,
        brand.as_uuid(),
        coupon.id.as_uuid(),
        subscription.account.as_uuid(),
        subscription.id.as_uuid(),
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(true)
}

/// Gives uses back; one that was given back before stays so.
pub async fn give_back(tx: &mut PgTransaction<'_>, unused: &[Redeemed], now: DateTime<Utc>) -> sqlx::Result<()> {
    if unused.is_empty() {
        return Ok(());
    }
    let coupons: Vec<Uuid> = unused.iter().map(|redeemed| redeemed.coupon.id.as_uuid()).collect();
    let redemptions: Vec<Uuid> = unused.iter().map(|redeemed| redeemed.redemption).collect();
    // Counters in the order of their ids, so that two batches never wait for each other.
    sqlx::query!(
        "SELECT coupon_id FROM coupon_counter WHERE coupon_id = ANY($1) ORDER BY coupon_id FOR UPDATE",
        &coupons
    )
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query!(
        "WITH gone AS (
             UPDATE redemption SET released_at = $2 WHERE id = ANY($1) AND released_at IS NULL RETURNING coupon_id)
         UPDATE coupon_counter AS known SET uses = known.uses - gone.count
           FROM (SELECT coupon_id, count(*) AS count FROM gone GROUP BY coupon_id) AS gone
          WHERE known.coupon_id = gone.coupon_id",
        &redemptions,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How often these coupons are used; those nobody uses are left out.
pub async fn uses(tx: &mut PgTransaction<'_>, coupons: &[CouponId]) -> sqlx::Result<Vec<(CouponId, i64)>> {
    let ids: Vec<Uuid> = coupons.iter().map(CouponId::as_uuid).collect();
    let rows = sqlx::query!("SELECT coupon_id, uses FROM coupon_counter WHERE coupon_id = ANY($1) AND uses > 0", &ids)
        .fetch_all(&mut **tx)
        .await?;
    Ok(rows.into_iter().map(|row| (CouponId::from_uuid(row.coupon_id), row.uses)).collect())
}

/// How often this customer uses it.
pub async fn uses_of(tx: &mut PgTransaction<'_>, coupon: CouponId, account: AccountId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM redemption
            WHERE brand_id = ottery_brand() AND coupon_id = $1 AND account_id = $2 AND released_at IS NULL"#,
        coupon.as_uuid(),
        account.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await
}
