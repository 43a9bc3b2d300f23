//! What every service with a database needs besides its work: old rows removed, backlogs measured.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::outbox::RelayCounters;
use crate::telemetry::Metrics;
use crate::{consume, idempotency, outbox};

const MEASURE_EVERY: Duration = Duration::from_secs(10);
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// Sent events stay this long for people who look into what happened.
const KEEP_SENT: Duration = Duration::from_secs(30 * 86_400);
/// Inbox marks stay as long as a replay may reach back.
const KEEP_INBOX: Duration = Duration::from_secs(90 * 86_400);
/// Stored answers to idempotency keys.
const KEEP_ANSWERS: Duration = Duration::from_secs(7 * 86_400);
/// Rows removed by one statement, so that none runs long.
const PRUNE_BATCH: i64 = 5_000;

/// Measures and prunes until `shutdown`; errors end it and the supervisor starts it again.
pub async fn run(pool: PgPool, metrics: Metrics, shutdown: CancellationToken) -> anyhow::Result<()> {
    let unsent = metrics.gauge("ottery_outbox_unsent", "Events not sent to the broker yet");
    let age = metrics.gauge("ottery_outbox_oldest_unsent_seconds", "Age of the oldest event not sent yet");
    let parked = metrics.gauge("ottery_parked_deliveries", "Deliveries that wait for a person");
    let retries = metrics.gauge("ottery_waiting_retries", "Failed deliveries that will be tried again");
    let mut measure = tokio::time::interval(MEASURE_EVERY);
    let mut prune = tokio::time::interval(PRUNE_EVERY);
    measure.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    prune.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = measure.tick() => {
                let stats = outbox::stats(&pool).await?;
                #[expect(clippy::cast_precision_loss, reason = "a count this large is an alarm either way")]
                unsent.set(&[], stats.unsent as f64);
                age.set(&[], stats.oldest_unsent_age.as_secs_f64());
                #[expect(clippy::cast_precision_loss, reason = "a count this large is an alarm either way")]
                parked.set(&[], consume::parked::count(&pool).await? as f64);
                let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM retry_delivery WHERE state = 'waiting'")
                    .fetch_one(&pool)
                    .await?;
                #[expect(clippy::cast_precision_loss, reason = "a count this large is an alarm either way")]
                retries.set(&[], waiting as f64);
            }
            _ = prune.tick() => prune_all(&pool, &shutdown).await?,
        }
    }
}

/// Turns what a relay counts into metrics until `shutdown`.
pub async fn report_relay(metrics: Metrics, relay: Arc<RelayCounters>, shutdown: CancellationToken) {
    let events = metrics.counter("ottery_outbox_events", "What became of events, by outcome");
    let mut reported = [0; 3];
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(MEASURE_EVERY) => {}
        }
        let counted = [("sent", &relay.sent), ("unroutable", &relay.unroutable), ("failed", &relay.failed)];
        for ((outcome, counter), before) in counted.into_iter().zip(&mut reported) {
            let total = counter.load(Ordering::Relaxed);
            #[expect(clippy::cast_precision_loss, reason = "events of ten seconds fit exactly")]
            events.add(&[("outcome", outcome)], (total - *before) as f64);
            *before = total;
        }
    }
}

async fn prune_all(pool: &PgPool, shutdown: &CancellationToken) -> sqlx::Result<()> {
    while !shutdown.is_cancelled() {
        let removed = outbox::prune(pool, KEEP_SENT, PRUNE_BATCH).await?
            + consume::prune_inbox(pool, KEEP_INBOX, PRUNE_BATCH).await?
            + idempotency::prune(pool, KEEP_ANSWERS, PRUNE_BATCH).await?;
        if removed == 0 {
            break;
        }
    }
    Ok(())
}
