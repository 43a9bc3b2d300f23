//! The relay's own connection: what it reads and marks.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgPool};

use super::relay::Row;

/// Events read at a time; the query below says the same.
pub(super) const BATCH: usize = 100;

/// Every look and every mark is planned once. PostgreSQL would rather plan them anew with each run, as a table with partitions
/// looks cheaper for known values; some hundred times a second that costs more than running them. Losing a mark in a crash means
/// sending again, which the inbox takes care of, so no mark waits for the disk.
const SESSION: &str = "SET plan_cache_mode = force_generic_plan; SET synchronous_commit = off";

/// Where a relay works. Its connection is opened when it is needed and given up with the first error.
pub(super) struct Desk {
    pool: PgPool,
    connection: Option<PgConnection>,
}

/// A confirmed event, and the fencing token under which it was sent.
pub(super) struct Mark {
    pub seq: i64,
    pub appended_at: DateTime<Utc>,
    pub shard: i16,
    pub token: i64,
}

impl Desk {
    pub(super) const fn new(pool: PgPool) -> Self {
        Self { pool, connection: None }
    }

    /// The oldest [`BATCH`] of these shards after `after`.
    pub(super) async fn unsent(&mut self, after: i64, shards: &[i16]) -> sqlx::Result<Vec<Row>> {
        let mut connection = self.take().await?;
        // The limit is written out: a plan for any limit would sort everything that waits.
        let rows = sqlx::query_as!(
            Row,
            "SELECT seq, appended_at, event_id, shard, kind, aggregate_id, aggregate_version, brand_id, occurred_at,
                    causation_id, correlation_id, traceparent, optional, payload
               FROM outbox WHERE sent_at IS NULL AND seq > $1 AND shard = ANY($2) ORDER BY seq LIMIT 100",
            after,
            shards,
        )
        .fetch_all(&mut connection)
        .await?;
        self.connection = Some(connection);
        Ok(rows)
    }

    /// Marks as sent; how many rows were ours to mark.
    pub(super) async fn mark(&mut self, marks: &[Mark]) -> sqlx::Result<u64> {
        let mut connection = self.take().await?;
        let marked = sqlx::query!(
            "UPDATE outbox o SET sent_at = clock_timestamp()
               FROM UNNEST($1::bigint[], $2::timestamptz[], $3::smallint[], $4::bigint[]) AS s(seq, appended_at, shard, token),
                    relay_lease l
              WHERE o.seq = s.seq AND o.appended_at = s.appended_at AND o.sent_at IS NULL
                AND l.shard = s.shard AND l.token = s.token",
            &marks.iter().map(|mark| mark.seq).collect::<Vec<_>>(),
            &marks.iter().map(|mark| mark.appended_at).collect::<Vec<_>>(),
            &marks.iter().map(|mark| mark.shard).collect::<Vec<_>>(),
            &marks.iter().map(|mark| mark.token).collect::<Vec<_>>(),
        )
        .execute(&mut connection)
        .await?;
        self.connection = Some(connection);
        Ok(marked.rows_affected())
    }

    /// Whoever is stopped in the middle of a statement leaves a connection nobody can use: it goes with the future.
    async fn take(&mut self) -> sqlx::Result<PgConnection> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let mut connection = self.pool.connect_options().connect().await?;
        connection.execute(SESSION).await?;
        Ok(connection)
    }

    /// Says goodbye to the server.
    pub(super) async fn leave(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(error = %error, "the relay's connection was not closed in order");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BATCH;

    #[test]
    fn the_query_reads_as_many_as_a_batch_is() {
        assert!(include_str!("desk.rs").contains(&format!("ORDER BY seq LIMIT {BATCH}\"")));
    }
}
