//! When accounts are asked for what their webhooks did not tell.

use std::time::Duration;

use chrono::TimeDelta;
use ottery_kernel::BrandId;
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;

use crate::domain::provider::ProviderAccountId;

/// An account that is asked now.
#[derive(Clone, Debug)]
pub struct Poll {
    /// Which.
    pub account: ProviderAccountId,
    /// Whose it is.
    pub brand: BrandId,
    /// The event after which everything is read; empty: whatever is newest.
    pub cursor: String,
    /// Failures since it worked.
    pub tries: u32,
}

/// A new account is asked from now on.
pub async fn begin(tx: &mut PgTransaction<'_>, brand: BrandId, account: ProviderAccountId) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO provider_poll (account_id, brand_id) VALUES ($1, $2) ON CONFLICT (account_id) DO NOTHING",
        account.as_uuid(),
        brand.as_uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Claims accounts across brands, the longest waiting first.
pub async fn claim(pool: &PgPool, limit: i64, lease: Duration) -> sqlx::Result<Vec<Poll>> {
    let rows = sqlx::query!(
        "UPDATE provider_poll SET lease_until = now() + make_interval(secs => $2)
          WHERE account_id = ANY (ARRAY(SELECT account_id FROM provider_poll WHERE due_at <= now() AND lease_until < now()
                        ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED))
         RETURNING account_id, brand_id, cursor, tries",
        limit,
        lease.as_secs_f64(),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Poll {
            account: ProviderAccountId::from_uuid(row.account_id),
            brand: BrandId::from_uuid(row.brand_id),
            cursor: row.cursor,
            tries: row.tries.unsigned_abs(),
        })
        .collect())
}

/// Asks again later, from there on.
pub async fn put_off(
    tx: &mut PgTransaction<'_>,
    account: ProviderAccountId,
    cursor: &str,
    tries: u32,
    after: TimeDelta,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE provider_poll SET cursor = $2, tries = $3, due_at = now() + make_interval(secs => $4), lease_until = '-infinity'
          WHERE account_id = $1",
        account.as_uuid(),
        cursor,
        i32::try_from(tries).unwrap_or(i32::MAX),
        after.as_seconds_f64()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
