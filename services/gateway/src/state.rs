//! What every handler may use.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use ottery_kit::Host;
use ottery_kit::telemetry::RequestSpans;
use tokio::sync::Semaphore;

use crate::cache::CatalogCache;
use crate::clients::Clients;
use crate::config::Config;
use crate::hints::Hints;
use crate::session::Sessions;

/// What every handler may use. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState(Arc<Parts>);

/// See [`AppState`].
#[derive(Debug)]
pub struct Parts {
    /// Settings.
    pub config: Config,
    /// The process.
    pub host: Host,
    /// The services.
    pub clients: Clients,
    /// Brands and plans.
    pub catalog: CatalogCache,
    /// Who is signed in.
    pub sessions: Sessions,
    /// What just happened.
    pub hints: Hints,
    pub(crate) admission: Semaphore,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) documents: crate::documents::Documents,
    pub(crate) measures: crate::edge::Measures,
    pub(crate) spans: RequestSpans,
    pub(crate) pages: crate::pages::Rendered,
}

impl std::ops::Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl AppState {
    /// The state of this process's gateway.
    ///
    /// # Errors
    /// When the path of the running program cannot be found (it draws invoices as a child process).
    pub fn new(config: Config, host: Host) -> anyhow::Result<Self> {
        let clients = Clients::new(&host);
        let catalog = CatalogCache::new(clients.clone(), Duration::from_millis(config.cache.catalog_ms));
        let sessions = Sessions::new(clients.clone(), Duration::from_millis(config.cache.session_ms));
        Ok(Self(Arc::new(Parts {
            admission: Semaphore::new(config.http.concurrent_max.max(1)),
            streams: Arc::new(Semaphore::new(config.http.streams_max)),
            documents: crate::documents::Documents::new(std::env::current_exe()?, config.documents.render_at_once),
            measures: crate::edge::Measures::new(&host.metrics),
            spans: RequestSpans::new(),
            hints: Hints::default(),
            pages: crate::pages::Rendered::default(),
            config,
            clients,
            catalog,
            sessions,
            host,
        })))
    }
}

impl FromRef<AppState> for Clients {
    fn from_ref(state: &AppState) -> Self {
        state.clients.clone()
    }
}
