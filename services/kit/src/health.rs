//! What the platform asks a process: alive, ready, how is it going.
//!
//! `/healthz` answers as long as the process runs and asks nobody. `/readyz` asks the own databases only: a broker or
//! a neighbour that is away is no reason to take the service away too. `/metrics` is OpenMetrics text.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::telemetry::{Metrics, metrics};

/// A database that does not answer for this long counts as away.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the gRPC health status is brought up to date.
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// Whether the services of a process may be sent work. Clones share the state.
#[derive(Clone, Debug)]
pub struct Health {
    databases: Arc<[(String, PgPool)]>,
    is_stopping: Arc<AtomicBool>,
    metrics: Metrics,
}

impl Health {
    /// Health of a process with these databases, by service.
    #[must_use]
    pub fn new(databases: Vec<(String, PgPool)>, metrics: Metrics) -> Self {
        Self { databases: databases.into(), is_stopping: Arc::default(), metrics }
    }

    /// From now on not ready: the process is about to stop.
    pub fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    /// Why the process is not ready, one line per cause; empty when it is.
    pub async fn obstacles(&self) -> Vec<String> {
        if self.is_stopping.load(Ordering::Acquire) {
            return vec!["stopping".to_owned()];
        }
        let checks = self.databases.iter().map(|(service, pool)| check(service, pool));
        futures::future::join_all(checks).await.into_iter().flatten().collect()
    }

    async fn obstacle_of(&self, service: &str) -> Option<String> {
        if self.is_stopping.load(Ordering::Acquire) {
            return Some("stopping".to_owned());
        }
        let (_, pool) = self.databases.iter().find(|(name, _)| name == service)?;
        check(service, pool).await
    }

    /// The three pages.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(page))
            .with_state(self.clone())
    }

    /// Keeps the gRPC health status of a service up to date until `stop`, then says not serving.
    pub(crate) async fn report(self, service: &'static str, reporter: HealthReporter, stop: CancellationToken) {
        loop {
            let status = match self.obstacle_of(service).await {
                None => ServingStatus::Serving,
                Some(_) => ServingStatus::NotServing,
            };
            reporter.set_service_status("", status).await;
            reporter.set_service_status(service, status).await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(REPORT_EVERY) => {}
            }
        }
        reporter.set_service_status("", ServingStatus::NotServing).await;
        reporter.set_service_status(service, ServingStatus::NotServing).await;
    }
}

async fn check(service: &str, pool: &PgPool) -> Option<String> {
    match tokio::time::timeout(CHECK_TIMEOUT, sqlx::query_scalar!("SELECT 1").fetch_one(pool)).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => {
            tracing::warn!(service, %error, "own database does not answer");
            Some(format!("{service}: database does not answer"))
        }
        Err(_) => Some(format!("{service}: database did not answer within {} s", CHECK_TIMEOUT.as_secs())),
    }
}

async fn ready(State(health): State<Health>) -> Response {
    let obstacles = health.obstacles().await;
    if obstacles.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, obstacles.join("\n") + "\n").into_response()
}

async fn page(State(health): State<Health>) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], health.metrics.encode()).into_response()
}
