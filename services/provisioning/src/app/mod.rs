//! Use cases: each public function is one transaction, or one step of the reconciler.

pub mod diagnose;
pub mod drift;
pub mod due;
pub mod entitlement;
pub mod gate;
pub mod health;
pub mod panel;
pub mod panels;
pub mod read;
pub mod reconcile;
pub mod reveal;

use std::sync::Arc;

use ottery_kit::Host;
use ottery_kit::http::GuardedClient;
use sqlx::PgPool;
use tokio::sync::Notify;

use crate::config::Config;
use panels::Panels;

/// What every use case needs. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The own database.
    pub pool: PgPool,
    /// The process.
    pub host: Host,
    /// Settings.
    pub config: Arc<Config>,
    /// Connections to panels.
    pub panels: Arc<Panels>,
    /// The one client for panel addresses.
    pub http: GuardedClient,
    /// Rung when a service became due in this process; others look by themselves.
    pub due: Arc<Notify>,
}

impl App {
    /// Puts the parts together; nothing runs yet.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(pool: PgPool, host: Host, config: Config) -> anyhow::Result<Self> {
        let http = GuardedClient::new(&config.http)?;
        let config = Arc::new(config);
        let panels =
            Arc::new(Panels::new(http.clone(), host.keyring.clone(), host.limiter.clone(), config.breaker.rules()));
        Ok(Self { pool, host, config, panels, http, due: Arc::default() })
    }
}
