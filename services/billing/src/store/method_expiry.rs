//! Saved methods that expire, until their owners know.

use chrono::{DateTime, NaiveDate, Utc};
use ottery_kernel::{AccountId, BrandId, PaymentMethodId};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;

use super::due_brands::due_brands;

/// A method that is due to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub method: PaymentMethodId,
    /// Whose it is: who owns it now, when its customer was merged into another one.
    pub account: AccountId,
    /// How it is shown.
    pub label: String,
    /// The last day it can be charged; none when it was replaced by one that does not end, or taken away.
    pub expires_on: Option<NaiveDate>,
    /// Its owner was told of this expiry, by this method or by another one that is the same card.
    pub is_told: bool,
}

/// Has a method looked at at `due_at` (none: never), unless its owner knows of this expiry already.
pub async fn plan(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    method: PaymentMethodId,
    expires_on: Option<NaiveDate>,
    due_at: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO method_expiry AS known (method_id, brand_id, due_at) VALUES ($1, $2, coalesce($4, 'infinity'::timestamptz))
         ON CONFLICT (method_id) DO UPDATE
            SET due_at = CASE WHEN known.told = $3::date THEN 'infinity'::timestamptz ELSE EXCLUDED.due_at END",
        method.as_uuid(),
        brand.as_uuid(),
        expires_on,
        due_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Brands with methods to look at by their clock; `now` is the time of brands without a test clock.
pub async fn due_brands(pool: &PgPool, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<BrandId>> {
    let brands = due_brands!("method_expiry", pool, now, limit).await?;
    Ok(brands.into_iter().map(BrandId::from_uuid).collect())
}

/// How many methods of the brand are due.
pub async fn due_count(pool: &PgPool, brand: BrandId, now: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM method_expiry WHERE brand_id = $1 AND due_at <= $2"#,
        brand.as_uuid(),
        now
    )
    .fetch_one(pool)
    .await
}

/// Methods of the brand that are due, held until the transaction ends; what somebody else holds is skipped.
pub async fn take(tx: &mut PgTransaction<'_>, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<PaymentMethodId>> {
    let ids = sqlx::query_scalar!(
        "SELECT method_id FROM method_expiry WHERE brand_id = ottery_brand() AND due_at <= $1
          ORDER BY due_at, method_id LIMIT $2 FOR UPDATE SKIP LOCKED",
        now,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(PaymentMethodId::from_uuid).collect())
}

/// What there is to know about a method that was taken; none when there is no such method. Two rows of one customer that are shown
/// alike and end on one day are one card, saved twice.
pub async fn look(tx: &mut PgTransaction<'_>, method: PaymentMethodId) -> sqlx::Result<Option<Due>> {
    let row = sqlx::query!(
        r#"SELECT coalesce(c.merged_into, m.account_id) AS "account_id!", m.label AS "label!",
                  CASE WHEN m.removed_at IS NULL THEN m.expires_on END AS expires_on,
                  EXISTS (SELECT FROM payment_method same JOIN method_expiry told ON told.method_id = same.id
                           WHERE same.brand_id = m.brand_id AND same.account_id = m.account_id AND told.told = m.expires_on
                             AND (same.id = m.id OR same.label = m.label)) AS "is_told!"
             FROM payment_method m
             LEFT JOIN customer c ON c.brand_id = m.brand_id AND c.account_id = m.account_id
            WHERE m.id = $1"#,
        method.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Due {
        method,
        account: AccountId::from_uuid(row.account_id),
        label: row.label,
        expires_on: row.expires_on,
        is_told: row.is_told,
    }))
}

/// Has a method that was taken looked at again then; none: never.
pub async fn put_off(
    tx: &mut PgTransaction<'_>,
    method: PaymentMethodId,
    until: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE method_expiry SET due_at = coalesce($2, 'infinity'::timestamptz) WHERE method_id = $1",
        method.as_uuid(),
        until
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Its owner hears of this expiry now.
pub async fn tell(
    tx: &mut PgTransaction<'_>,
    method: PaymentMethodId,
    expires_on: NaiveDate,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE method_expiry SET due_at = 'infinity', told = $2, told_at = $3 WHERE method_id = $1",
        method.as_uuid(),
        expires_on,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
