//! Removing what nobody needs any more, a little at a time, and watching that tables are ready for the months to come.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::db::{DAYS_AHEAD_MIN, partition_state};
use crate::telemetry::Metrics;
use crate::{consume, idempotency, outbox};

const EVERY: Duration = Duration::from_secs(600);
const BATCH: i64 = 2_000;
/// Between batches, so that pruning never competes with work.
const BREATH: Duration = Duration::from_millis(200);
/// How often somebody is told in the log that partitions run out.
const COMPLAIN_EVERY: Duration = DAY;
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// Sent events, for looking things up.
pub(crate) const OUTBOX_KEEP: Duration = Duration::from_secs(30 * DAY.as_secs());
/// The longest replay that is recognised.
pub(crate) const INBOX_KEEP: Duration = Duration::from_secs(90 * DAY.as_secs());
/// Whole months go with their partition, which costs next to nothing ([`crate::db::keep_partitions`]). Row by row goes
/// what is still there when that must have happened: a month and a week later.
const PARTITION_GRACE: Duration = Duration::from_secs(38 * DAY.as_secs());
const IDEMPOTENCY_KEEP: Duration = Duration::from_secs(7 * DAY.as_secs());

/// Prunes outbox, inbox and idempotency keys of one service until `shutdown`, and measures how its partitions stand.
/// Replicas may do it at the same time.
pub async fn run(pool: PgPool, metrics: Metrics, shutdown: CancellationToken) {
    let mut complain_at = Instant::now();
    while !shutdown.is_cancelled() {
        if let Err(error) = prune(&pool, &shutdown).await {
            tracing::warn!(error = %error, "pruning waits for the database");
        }
        match watch_partitions(&pool, &metrics).await {
            Ok(true) => complain_at = Instant::now(),
            Ok(false) if Instant::now() >= complain_at => {
                complain_at = Instant::now() + COMPLAIN_EVERY;
                tracing::error!(
                    "partitions run out: run `ottery migrate --partitions` every day (`ottery doctor` names the tables)"
                );
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(error = %error, "partitions cannot be looked at"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn prune(pool: &PgPool, shutdown: &CancellationToken) -> sqlx::Result<()> {
    while !shutdown.is_cancelled() {
        let pruned = outbox::prune(pool, OUTBOX_KEEP + PARTITION_GRACE, BATCH).await?
            + consume::prune_inbox(pool, INBOX_KEEP + PARTITION_GRACE, BATCH).await?
            + idempotency::prune(pool, IDEMPOTENCY_KEEP, BATCH).await?;
        if pruned == 0 {
            break;
        }
        tokio::time::sleep(BREATH).await;
    }
    Ok(())
}

/// Sets the gauges alarms look at; whether all is well.
async fn watch_partitions(pool: &PgPool, metrics: &Metrics) -> sqlx::Result<bool> {
    let ahead = metrics.gauge("ottery_partition_days_ahead", "Days for which partitions are made, by table");
    let strays = metrics
        .gauge("ottery_partition_stray_rows", "Rows in the DEFAULT partition although their month has come, by table");
    let mut is_well = true;
    for state in partition_state(pool, None).await? {
        let table = [("table", state.table.as_str())];
        ahead.set(&table, state.days_ahead as f64);
        strays.set(&table, state.strays as f64);
        is_well &= state.days_ahead >= DAYS_AHEAD_MIN;
    }
    Ok(is_well)
}
