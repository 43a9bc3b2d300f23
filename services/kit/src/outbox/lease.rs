//! Which shards this relay works: fenced leases by database time, shared fairly between replicas.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use tokio::time::Instant;
use uuid::Uuid;

use super::SHARDS;

/// Leases of one relay.
pub(super) struct Shares {
    owner: String,
    lease: Duration,
    /// Shard to fencing token.
    held: BTreeMap<i16, i64>,
    /// Until when, by our own monotonic clock and at most, the leases are ours.
    valid_until: Instant,
    next_tick: Instant,
}

impl Shares {
    pub(super) fn new(lease: Duration) -> Self {
        let now = Instant::now();
        Self { owner: Uuid::now_v7().to_string(), lease, held: BTreeMap::new(), valid_until: now, next_tick: now }
    }

    pub(super) fn shards(&self) -> Vec<i16> {
        self.held.keys().copied().collect()
    }

    pub(super) fn token(&self, shard: i16) -> Option<i64> {
        self.held.get(&shard).copied()
    }

    pub(super) fn tick_due(&self) -> bool {
        Instant::now() >= self.next_tick
    }

    pub(super) fn until_tick(&self) -> Duration {
        self.next_tick.saturating_duration_since(Instant::now())
    }

    /// Whether the leases last for another publish; when not, renew first.
    pub(super) fn last_for(&self, work: Duration) -> bool {
        Instant::now() + work < self.valid_until
    }

    /// Says "alive", renews, gives back what is above the fair share, takes what is free up to it.
    pub(super) async fn tick(&mut self, pool: &PgPool) -> sqlx::Result<()> {
        let asked_at = Instant::now();
        let mut tx = pool.begin().await?;
        let members = self.show_up(&mut tx).await?;
        let mut held = self.renew(&mut tx).await?;
        let share = usize::try_from((i64::from(SHARDS) + members - 1) / members).unwrap_or(1);
        let surplus: Vec<i16> = held.keys().copied().skip(share).collect();
        if !surplus.is_empty() {
            release(&mut tx, &self.owner, &surplus).await?;
            held.retain(|shard, _| !surplus.contains(shard));
        }
        if held.len() < share {
            held.extend(self.claim(&mut tx, share - held.len()).await?);
        }
        tx.commit().await?;
        self.held = held;
        self.valid_until = asked_at + self.lease;
        self.next_tick = asked_at + self.lease / 3;
        Ok(())
    }

    /// Promises the shards it holds that it looks by itself for this long from now on, so that commits need not wake it.
    pub(super) async fn stay_awake(&self, pool: &PgPool, how_long: Duration) -> sqlx::Result<()> {
        // A promise that is lost in a crash is of no use to anybody, so it need not wait for the disk.
        sqlx::query!(
            "WITH quick AS (SELECT set_config('synchronous_commit', 'off', true))
             UPDATE relay_lease SET awake_until = clock_timestamp() + make_interval(secs => $2) FROM quick WHERE owner = $1",
            self.owner,
            how_long.as_secs_f64()
        )
        .execute(pool)
        .await?;
        Ok(())
    }

    /// Gives everything back, so that others need not wait for the leases to run out.
    pub(super) async fn leave(&mut self, pool: &PgPool) -> sqlx::Result<()> {
        let mut tx = pool.begin().await?;
        release(&mut tx, &self.owner, &self.shards()).await?;
        sqlx::query!("DELETE FROM relay_member WHERE owner = $1", self.owner).execute(&mut *tx).await?;
        tx.commit().await?;
        self.held.clear();
        self.next_tick = Instant::now();
        Ok(())
    }

    async fn show_up(&self, tx: &mut PgTransaction<'_>) -> sqlx::Result<i64> {
        sqlx::query!("DELETE FROM relay_member WHERE seen_until < now() - interval '1 minute'")
            .execute(&mut **tx)
            .await?;
        sqlx::query!(
            "INSERT INTO relay_member (owner, seen_until) VALUES ($1, now() + make_interval(secs => $2))
             ON CONFLICT (owner) DO UPDATE SET seen_until = EXCLUDED.seen_until",
            self.owner,
            self.lease.as_secs_f64()
        )
        .execute(&mut **tx)
        .await?;
        let members = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM relay_member WHERE seen_until > now()"#)
            .fetch_one(&mut **tx)
            .await?;
        Ok(members.max(1))
    }

    async fn renew(&self, tx: &mut PgTransaction<'_>) -> sqlx::Result<BTreeMap<i16, i64>> {
        let rows = sqlx::query!(
            "UPDATE relay_lease SET lease_until = now() + make_interval(secs => $2) WHERE owner = $1
             RETURNING shard, token",
            self.owner,
            self.lease.as_secs_f64()
        )
        .fetch_all(&mut **tx)
        .await?;
        Ok(rows.into_iter().map(|row| (row.shard, row.token)).collect())
    }

    async fn claim(&self, tx: &mut PgTransaction<'_>, count: usize) -> sqlx::Result<Vec<(i16, i64)>> {
        let rows = sqlx::query!(
            "UPDATE relay_lease SET owner = $1, token = token + 1, lease_until = now() + make_interval(secs => $2),
                    awake_until = '-infinity'
              WHERE shard = ANY (ARRAY(SELECT shard FROM relay_lease WHERE lease_until <= now()
                              ORDER BY shard LIMIT $3 FOR UPDATE SKIP LOCKED))
             RETURNING shard, token",
            self.owner,
            self.lease.as_secs_f64(),
            i64::try_from(count).unwrap_or(i64::from(SHARDS))
        )
        .fetch_all(&mut **tx)
        .await?;
        Ok(rows.into_iter().map(|row| (row.shard, row.token)).collect())
    }
}

async fn release(tx: &mut PgTransaction<'_>, owner: &str, shards: &[i16]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE relay_lease SET owner = NULL, lease_until = '-infinity', awake_until = '-infinity'
          WHERE owner = $1 AND shard = ANY($2)",
        owner,
        shards
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
