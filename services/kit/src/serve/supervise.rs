//! Keeps workers working.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Worker;
use crate::grpc::server::panic_text;
use crate::telemetry::Metrics;

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Runs the worker until it is done or `shutdown`; starts it again when it fails, later each time. A worker that ran
/// for a good while before it failed starts over with the short pause.
pub async fn supervise(service: &'static str, worker: Worker, metrics: Metrics, shutdown: CancellationToken) {
    let failures = metrics.counter("ottery_worker_failures", "Workers that failed or panicked and were started again");
    let mut pause = PAUSE_MIN;
    loop {
        let started = Instant::now();
        let span = tracing::info_span!("worker", service, worker = worker.name);
        // A worker runs for weeks; what it does belongs to the traces of its pieces, not to one of its own.
        let outcome =
            AssertUnwindSafe(async { (worker.work)(shutdown.clone()).await }).catch_unwind().instrument(span).await;
        let cause = match outcome {
            Ok(Ok(())) => {
                tracing::debug!(service, worker = worker.name, "worker is done");
                return;
            }
            Ok(Err(error)) => format!("{error:#}"),
            Err(panic) => format!("panicked: {}", panic_text(&*panic)),
        };
        if shutdown.is_cancelled() {
            tracing::warn!(service, worker = worker.name, error = cause, "worker failed while stopping");
            return;
        }
        if started.elapsed() > PAUSE_MAX {
            pause = PAUSE_MIN;
        }
        failures.inc(&[("worker", worker.name)]);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::error!(
            service,
            worker = worker.name,
            error = cause,
            pause_ms,
            "worker failed; it will be started again"
        );
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_worker_that_panics_is_started_again_until_it_is_done() {
        let (runs, metrics) = (Arc::new(AtomicU32::new(0)), Metrics::new("test"));
        let counted = runs.clone();
        let worker = Worker {
            name: "shaky",
            work: Arc::new(move |_| {
                let run = counted.fetch_add(1, Ordering::Relaxed);
                Box::pin(async move {
                    assert!(run > 0, "the first run panics");
                    Ok(())
                })
            }),
        };
        supervise("test", worker, metrics.clone(), CancellationToken::new()).await;
        assert_eq!(runs.load(Ordering::Relaxed), 2);
        assert!(metrics.encode().contains(r#"ottery_worker_failures_total{service="test",worker="shaky"} 1.0"#));
    }

    #[tokio::test]
    async fn stopping_does_not_wait_for_the_next_start() {
        let shutdown = CancellationToken::new();
        let worker = Worker { name: "broken", work: Arc::new(|_| Box::pin(async { anyhow::bail!("no") })) };
        let running = tokio::spawn(supervise("test", worker, Metrics::new("test"), shutdown.clone()));
        tokio::task::yield_now().await;
        shutdown.cancel();
        tokio::time::timeout(Duration::from_millis(500), running).await.unwrap().unwrap();
    }
}
