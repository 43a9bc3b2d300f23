//! From a built service to a running process, and back to nothing without losing what was accepted.
//!
//! ```ignore
//! let service = Service::new(NAME, &host, pool)
//!     .grpc(Routes::new(BillingServiceServer::new(api)))
//!     .consumer(ConsumerGroup::new("billing.catalog", &["catalog.plan.changed.v1"]), handler)
//!     .worker("renewals", move |context| renewals::run(context))
//!     .due(move |brand, now| due::count(pool.clone(), brand, now));
//! ```
//!
//! Kit adds to every service with a database: the outbox relay, retries of failed deliveries, the brand's clock,
//! removal of old rows, their metrics; and to its gRPC server: health and `DrainService`.

mod backlog;
mod drain;
mod run;
mod supervise;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use ottery_kernel::BrandId;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::broker::ConsumerGroup;
use crate::clock;
use crate::consume::{Consumer, Handler};
use crate::grpc::{InFlight, ServerSettings};
use crate::host::Host;
use crate::outbox::RelaySettings;

pub use run::{Running, run, start};

/// How a process serves and stops.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// Address of `/healthz`, `/readyz` and `/metrics`; none serves no such pages.
    pub health: Option<String>,
    /// After the signal: not ready any more but still serving, because whoever routes to us hears of it late.
    /// Zero where nobody routes.
    pub pre_stop: Duration,
    /// After the signal: when work that is still running is cut short.
    pub finish: Duration,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self { health: None, pre_stop: Duration::from_secs(5), finish: Duration::from_secs(20) }
    }
}

impl RunSettings {
    /// For one machine, where nobody routes to us: no waiting before the stop.
    #[must_use]
    pub fn local() -> Self {
        Self { pre_stop: Duration::ZERO, ..Self::default() }
    }
}

/// What a worker gets.
#[derive(Clone, Debug)]
pub struct WorkerContext {
    /// The service's database.
    pub pool: PgPool,
    /// The process as the service sees it.
    pub host: Host,
    /// Cancelled when the worker has to end; it then finishes the piece at hand.
    pub shutdown: CancellationToken,
}

type DueFn = Arc<dyn Fn(BrandId, DateTime<Utc>) -> BoxFuture<'static, anyhow::Result<Option<String>>> + Send + Sync>;
type WorkerFn = Arc<dyn Fn(CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>;

struct Worker {
    name: &'static str,
    work: WorkerFn,
}

struct HttpListener {
    router: axum::Router,
    address: String,
    is_instrumented: bool,
}

/// A service that is built and connected but serves nothing yet.
pub struct Service {
    name: &'static str,
    host: Host,
    pool: Option<PgPool>,
    routes: Option<Routes>,
    consumers: Vec<Arc<Consumer>>,
    workers: Vec<Worker>,
    http: Vec<HttpListener>,
    due: Option<DueFn>,
    in_flight: InFlight,
    server: ServerSettings,
    relay: RelaySettings,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Service {
    /// A service with a database. `host` must be the service's own view ([`Host::for_service`]).
    #[must_use]
    pub fn new(name: &'static str, host: &Host, pool: PgPool) -> Self {
        let service = Self { pool: Some(pool.clone()), ..Self::stateless(name, host) };
        service.consumer_with(clock::consumer(name, pool))
    }

    /// A service that owns no data.
    #[must_use]
    pub fn stateless(name: &'static str, host: &Host) -> Self {
        Self {
            name,
            host: host.clone(),
            pool: None,
            routes: None,
            consumers: Vec::new(),
            workers: Vec::new(),
            http: Vec::new(),
            due: None,
            in_flight: InFlight::default(),
            server: ServerSettings::default(),
            relay: RelaySettings::default(),
        }
    }

    /// Serves these gRPC services; kit adds health and, with a database, `DrainService`.
    #[must_use]
    pub fn grpc(mut self, routes: Routes) -> Self {
        self.routes = Some(routes);
        self
    }

    /// Limits of the gRPC server.
    #[must_use]
    pub fn server_settings(mut self, settings: ServerSettings) -> Self {
        self.server = settings;
        self
    }

    /// Pace of the outbox relay.
    #[must_use]
    pub fn relay_settings(mut self, settings: RelaySettings) -> Self {
        self.relay = settings;
        self
    }

    /// Applies events to the service's database.
    ///
    /// # Panics
    /// For a service without a database: there is nothing to apply events to.
    #[must_use]
    pub fn consumer(self, group: ConsumerGroup, handler: impl Handler) -> Self {
        let pool = self.pool.clone().expect("a consumer applies events to the service's own database");
        self.consumer_with(Consumer::new(pool, group, handler))
    }

    /// Applies events with a consumer built by hand, for example with another schedule of retries; replaces one of
    /// the same group.
    #[must_use]
    pub fn consumer_with(mut self, consumer: Consumer) -> Self {
        self.consumers.retain(|other| other.group().name != consumer.group().name);
        self.consumers.push(Arc::new(consumer));
        self
    }

    /// Runs this beside everything else until the process stops. When it fails or panics it is started again, later
    /// each time; when it returns it is done. It must watch `context.shutdown`.
    ///
    /// # Panics
    /// For a service without a database; use [`Service::task`] there.
    #[must_use]
    pub fn worker<F, W>(self, name: &'static str, work: F) -> Self
    where
        F: Fn(WorkerContext) -> W + Send + Sync + 'static,
        W: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let pool = self.pool.clone().expect("a worker works on the service's own database");
        let host = self.host.clone();
        self.task(name, move |shutdown| work(WorkerContext { pool: pool.clone(), host: host.clone(), shutdown }))
    }

    /// As [`Service::worker`], for work that needs no database.
    #[must_use]
    pub fn task<F, W>(mut self, name: &'static str, work: F) -> Self
    where
        F: Fn(CancellationToken) -> W + Send + Sync + 'static,
        W: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.workers.push(Worker { name, work: Arc::new(move |shutdown| Box::pin(work(shutdown))) });
        self
    }

    /// Serves HTTP at this address (setting `<service>.http.listen`), traced and measured; handlers get
    /// `ConnectInfo<SocketAddr>`. Streams that never end by themselves (SSE) must end with `host.shutdown`.
    #[must_use]
    pub fn http(mut self, router: axum::Router, address: impl Into<String>) -> Self {
        self.http.push(HttpListener { router, address: address.into(), is_instrumented: false });
        self
    }

    /// As [`Service::http`], for a router that traces and measures its requests by itself: done twice it costs twice, and
    /// every trace would begin with two spans that say the same.
    #[must_use]
    pub fn http_instrumented(mut self, router: axum::Router, address: impl Into<String>) -> Self {
        self.http.push(HttpListener { router, address: address.into(), is_instrumented: true });
        self
    }

    /// What is still due for a brand at this time, in words ("3 due renewals"); none when nothing is. Part of the
    /// answer to "is this brand drained?".
    #[must_use]
    pub fn due<F, W>(mut self, count: F) -> Self
    where
        F: Fn(BrandId, DateTime<Utc>) -> W + Send + Sync + 'static,
        W: Future<Output = anyhow::Result<Option<String>>> + Send + 'static,
    {
        self.due = Some(Arc::new(move |brand, now| Box::pin(count(brand, now))));
        self
    }

    /// The name of the service.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The groups it consumes with; they must be declared before anybody publishes.
    #[must_use]
    pub fn groups(&self) -> Vec<ConsumerGroup> {
        self.consumers.iter().map(|consumer| consumer.group().clone()).collect()
    }
}

/// Where a service of this process can be reached.
#[derive(Clone, Debug, Default)]
pub struct Bound {
    /// Its gRPC server.
    pub grpc: Option<SocketAddr>,
    /// Its HTTP listeners, in the order they were given.
    pub http: Vec<SocketAddr>,
}
