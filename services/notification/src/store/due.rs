//! Claims: which mails wait, and who is at them. A platform table; its times are the database's.

use std::time::Duration;

use ottery_kernel::{BrandId, DeliveryId};
use sqlx::{PgConnection, PgPool};

/// The right to work on a mail until the lease ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The mail.
    pub delivery: DeliveryId,
    /// Its brand.
    pub brand: BrandId,
    /// Fencing token.
    pub fence: i64,
    /// It has waited for longer than mails may.
    pub is_stale: bool,
}

/// Adds a mail that is due now.
pub async fn add(tx: &mut PgConnection, delivery: DeliveryId, brand: BrandId) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO delivery_due (delivery_id, brand_id) VALUES ($1, $2)",
        delivery.as_uuid(),
        brand.as_uuid()
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Claims due mails, the longest waiting first.
pub async fn claim(pool: &PgPool, limit: i64, lease: Duration, stale: Duration) -> sqlx::Result<Vec<Claim>> {
    let rows = sqlx::query!(
        r#"UPDATE delivery_due SET fence = fence + 1, lease_until = now() + make_interval(secs => $2)
           WHERE delivery_id = ANY (ARRAY(
               SELECT delivery_id FROM delivery_due WHERE due_at <= now() AND lease_until <= now()
               ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED))
           RETURNING delivery_id, brand_id, fence, since < now() - make_interval(secs => $3) AS "is_stale!""#,
        limit,
        lease.as_secs_f64(),
        stale.as_secs_f64(),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Claim {
            delivery: DeliveryId::from_uuid(row.delivery_id),
            brand: BrandId::from_uuid(row.brand_id),
            fence: row.fence,
            is_stale: row.is_stale,
        })
        .collect())
}

/// Prolongs what is still held.
pub async fn renew(pool: &PgPool, claims: &[Claim], lease: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE delivery_due d SET lease_until = now() + make_interval(secs => $3) \
         FROM UNNEST($1::uuid[], $2::bigint[]) AS held(delivery_id, fence) \
         WHERE d.delivery_id = held.delivery_id AND d.fence = held.fence AND d.lease_until > '-infinity'",
        &claims.iter().map(|claim| claim.delivery.as_uuid()).collect::<Vec<_>>(),
        &claims.iter().map(|claim| claim.fence).collect::<Vec<_>>(),
        lease.as_secs_f64(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Ends a claim for good; false when it was lost, and then nothing may commit.
pub async fn done(tx: &mut PgConnection, claim: &Claim) -> sqlx::Result<bool> {
    let ended = sqlx::query!(
        "DELETE FROM delivery_due WHERE delivery_id = $1 AND fence = $2",
        claim.delivery.as_uuid(),
        claim.fence
    )
    .execute(tx)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// How many mails of a brand are due, or soon, or being sent.
pub async fn busy_of_brand(pool: &PgPool, brand: BrandId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM delivery_due
           WHERE brand_id = $1 AND (lease_until > now() OR due_at <= now() + interval '5 seconds')"#,
        brand.as_uuid()
    )
    .fetch_one(pool)
    .await
}
