//! The mark that makes a second delivery harmless.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgTransaction;

use super::Delivery;

/// What the inbox says about a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Not handled before; the mark is written. `followers`: others of its aggregate wait in the retry table.
    First { followers: bool },
    /// Its effects are already committed.
    Duplicate,
    /// An older event of its aggregate is being retried; this one has to wait behind it.
    Held,
}

/// Marks a delivery as handled within the transaction of its effect. `may_hold`: keep the order across retries.
pub(super) async fn mark(tx: &mut PgTransaction<'_>, delivery: &Delivery, may_hold: bool) -> sqlx::Result<Mark> {
    // One round trip for three questions. Waiting events of a newer version do not hold this one up: it is what
    // they wait for.
    let found = sqlx::query!(
        r#"WITH waiting AS (
               SELECT aggregate_version FROM retry_delivery
                WHERE consumer = $1 AND aggregate_id = $4 AND state = 'waiting' AND event_id <> $2),
           held AS (SELECT FROM waiting
                     WHERE $6 AND $5::bigint > 0 AND aggregate_version > 0 AND aggregate_version < $5 LIMIT 1),
           mark AS (
               INSERT INTO inbox (consumer, event_id, occurred_at)
               SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM held)
               ON CONFLICT DO NOTHING RETURNING 1)
           SELECT EXISTS (SELECT FROM held) AS "held!", EXISTS (SELECT FROM waiting) AS "followers!",
                  EXISTS (SELECT FROM mark) AS "marked!""#,
        delivery.consumer,
        delivery.event_id,
        delivery.occurred_at,
        delivery.aggregate_id(),
        delivery.aggregate_version(),
        may_hold
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(match (found.held, found.marked) {
        (true, _) => Mark::Held,
        (false, true) => Mark::First { followers: found.followers },
        (false, false) => Mark::Duplicate,
    })
}

/// Removes at most `limit` marks older than `keep` (90 days is the horizon of the longest replay).
pub async fn prune(pool: &PgPool, keep: Duration, limit: i64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM inbox i USING (
             SELECT consumer, event_id, occurred_at FROM inbox
              WHERE handled_at < now() - make_interval(secs => $1) LIMIT $2) old
          WHERE i.consumer = old.consumer AND i.event_id = old.event_id AND i.occurred_at = old.occurred_at",
        keep.as_secs_f64(),
        limit
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}
