//! How far a service is behind, as metrics; alarms look at these.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::outbox::RelayCounters;
use crate::telemetry::Metrics;
use crate::{consume, outbox};

const EVERY: Duration = Duration::from_secs(10);

/// Measures until `shutdown`; an error ends it and the supervisor starts it again.
pub async fn measure(pool: PgPool, metrics: Metrics, shutdown: CancellationToken) -> anyhow::Result<()> {
    let unsent = metrics.gauge("ottery_outbox_unsent", "Events not sent to the broker yet");
    let age = metrics.gauge("ottery_outbox_oldest_unsent_seconds", "Age of the oldest event not sent yet");
    let parked = metrics.gauge("ottery_parked_deliveries", "Deliveries that wait for a person");
    let retries = metrics.gauge("ottery_waiting_retries", "Failed deliveries that will be tried again");
    while !shutdown.is_cancelled() {
        let stats = outbox::stats(&pool).await?;
        unsent.set(&[], count(stats.unsent));
        age.set(&[], stats.oldest_unsent_age.as_secs_f64());
        parked.set(&[], count(consume::parked::count(&pool).await?));
        retries.set(&[], count(consume::waiting(&pool).await?));
        pause(&shutdown).await;
    }
    Ok(())
}

/// Turns what a relay counts into metrics until `shutdown`.
pub async fn report_relay(metrics: Metrics, relay: Arc<RelayCounters>, shutdown: CancellationToken) {
    let events = metrics.counter("ottery_outbox_events", "What became of events, by outcome");
    let mut reported = [0; 3];
    while !shutdown.is_cancelled() {
        pause(&shutdown).await;
        let counted = [("sent", &relay.sent), ("unroutable", &relay.unroutable), ("failed", &relay.failed)];
        for ((outcome, counter), before) in counted.into_iter().zip(&mut reported) {
            let total = counter.load(Ordering::Relaxed);
            events.add(&[("outcome", outcome)], (total - *before) as f64);
            *before = total;
        }
    }
}

fn count(rows: i64) -> f64 {
    rows as f64
}

async fn pause(shutdown: &CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(EVERY) => {}
    }
}
