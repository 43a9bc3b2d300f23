//! Removing what nobody needs any more, a little at a time.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::{consume, idempotency, outbox};

const EVERY: Duration = Duration::from_secs(600);
const BATCH: i64 = 2_000;
/// Between batches, so that pruning never competes with work.
const BREATH: Duration = Duration::from_millis(200);
const DAY: Duration = Duration::from_secs(86_400);
/// Sent events, for looking things up.
const OUTBOX_KEEP: Duration = Duration::from_secs(30 * DAY.as_secs());
/// The longest replay that is recognised.
const INBOX_KEEP: Duration = Duration::from_secs(90 * DAY.as_secs());
const IDEMPOTENCY_KEEP: Duration = Duration::from_secs(7 * DAY.as_secs());

/// Prunes outbox, inbox and idempotency keys of one service until `shutdown`. Replicas may do it at the same time.
pub async fn run(pool: PgPool, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Err(error) = prune(&pool, &shutdown).await {
            tracing::warn!(error = %error, "pruning waits for the database");
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn prune(pool: &PgPool, shutdown: &CancellationToken) -> sqlx::Result<()> {
    while !shutdown.is_cancelled() {
        let pruned = outbox::prune(pool, OUTBOX_KEEP, BATCH).await?
            + consume::prune_inbox(pool, INBOX_KEEP, BATCH).await?
            + idempotency::prune(pool, IDEMPOTENCY_KEEP, BATCH).await?;
        if pruned == 0 {
            break;
        }
        tokio::time::sleep(BREATH).await;
    }
    Ok(())
}
