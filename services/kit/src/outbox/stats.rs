//! Numbers for metrics and alarms, and the removal of what was sent long ago.

use std::time::Duration;

use ottery_kernel::BrandId;
use sqlx::PgPool;

/// How far the relay is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxStats {
    /// Events not sent yet.
    pub unsent: i64,
    /// Age of the oldest of them; zero when there is none. Alarm on this, not on the count.
    pub oldest_unsent_age: Duration,
}

/// How far behind the outbox of this database is.
pub async fn stats(pool: &PgPool) -> sqlx::Result<OutboxStats> {
    let behind = sqlx::query!(
        r#"SELECT count(*) AS "unsent!",
                  coalesce(extract(epoch FROM clock_timestamp() - min(appended_at)) * 1000, 0)::bigint AS "age_ms!"
             FROM outbox WHERE sent_at IS NULL"#
    )
    .fetch_one(pool)
    .await?;
    let oldest_unsent_age = Duration::from_millis(behind.age_ms.max(0).unsigned_abs());
    Ok(OutboxStats { unsent: behind.unsent, oldest_unsent_age })
}

/// Events of a brand that were not sent yet; part of the answer to "is this brand drained?".
pub async fn unsent_of_brand(pool: &PgPool, brand: BrandId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM outbox WHERE sent_at IS NULL AND brand_id = $1"#,
        brand.as_uuid()
    )
    .fetch_one(pool)
    .await
}

/// Removes at most `limit` events sent more than `keep` ago; returns how many went.
pub async fn prune(pool: &PgPool, keep: Duration, limit: i64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM outbox o USING (
             SELECT seq, appended_at FROM outbox
              WHERE appended_at < now() - make_interval(secs => $1) AND sent_at < now() - make_interval(secs => $1)
              LIMIT $2) old
          WHERE o.seq = old.seq AND o.appended_at = old.appended_at",
        keep.as_secs_f64(),
        limit
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}
