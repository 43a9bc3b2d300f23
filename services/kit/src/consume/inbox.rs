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

/// Marks deliveries as handled within the transaction of their effects, all in one statement; one answer each, in the same
/// places. `may_hold`: keep the order across retries. No two may be of the same event.
pub(super) async fn mark_all(
    tx: &mut PgTransaction<'_>,
    deliveries: &[&Delivery],
    may_hold: bool,
) -> sqlx::Result<Vec<Mark>> {
    let Some(first) = deliveries.first() else { return Ok(Vec::new()) };
    // Waiting events of a newer version do not hold one up: it is what they wait for.
    let found = sqlx::query!(
        r#"WITH asked AS (
               SELECT * FROM UNNEST($2::uuid[], $3::timestamptz[], $4::text[], $5::bigint[]) WITH ORDINALITY
                   AS a(event_id, occurred_at, aggregate_id, version, place)),
           judged AS (
               SELECT a.*, EXISTS (
                   SELECT FROM retry_delivery r
                    WHERE r.consumer = $1 AND r.aggregate_id = a.aggregate_id AND r.state = 'waiting'
                      AND r.event_id <> a.event_id) AS followers,
                   $6 AND a.version > 0 AND EXISTS (
                   SELECT FROM retry_delivery r
                    WHERE r.consumer = $1 AND r.aggregate_id = a.aggregate_id AND r.state = 'waiting'
                      AND r.event_id <> a.event_id AND r.aggregate_version > 0
                      AND r.aggregate_version < a.version) AS held
                 FROM asked a),
           mark AS (
               INSERT INTO inbox (consumer, event_id, occurred_at)
               SELECT $1, event_id, occurred_at FROM judged WHERE NOT held
               ON CONFLICT DO NOTHING RETURNING event_id)
           SELECT held AS "held!", followers AS "followers!",
                  EXISTS (SELECT FROM mark m WHERE m.event_id = j.event_id) AS "marked!"
             FROM judged j ORDER BY place"#,
        first.consumer,
        &deliveries.iter().map(|delivery| delivery.event_id).collect::<Vec<_>>(),
        &deliveries.iter().map(|delivery| delivery.occurred_at).collect::<Vec<_>>(),
        &deliveries.iter().map(|delivery| delivery.aggregate_id().to_owned()).collect::<Vec<_>>(),
        &deliveries.iter().map(|delivery| delivery.aggregate_version()).collect::<Vec<_>>(),
        may_hold
    )
    .fetch_all(&mut **tx)
    .await?;
    let marks = found.into_iter().map(|found| match (found.held, found.marked) {
        (true, _) => Mark::Held,
        (false, true) => Mark::First { followers: found.followers },
        (false, false) => Mark::Duplicate,
    });
    Ok(marks.collect())
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
