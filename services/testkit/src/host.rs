//! The process a service under test runs in: everything real except the clock, nothing outside this process but
//! PostgreSQL.

use std::sync::Arc;

use chrono::{DateTime, TimeZone as _, Utc};
use ottery_kernel::ManualClock;
use ottery_kit::broker::{Broker, in_process};
use ottery_kit::cache::MemoryCache;
use ottery_kit::db::DatabaseSettings;
use ottery_kit::grpc::{Actor, CallContext, Channel, ChannelSettings, Directory, ServiceKeys};
use ottery_kit::keyring::Keyring;
use ottery_kit::limit::LocalLimiter;
use ottery_kit::telemetry::Metrics;
use ottery_kit::{Host, HostParts, Listen, RunSettings, Running, Service};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::TestDatabase;
use crate::database::database_without_base;
use crate::recorder::Recorder;
use crate::services::postgres_admin_url;

/// Every service of the product; each has a signing key in a test host.
const SERVICES: [&str; 10] = [
    "identity",
    "catalog",
    "billing",
    "provisioning",
    "support",
    "affiliate",
    "analytics",
    "notification",
    "gateway",
    "operator",
];
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// What the services of one test share.
pub struct TestHost {
    /// Stands still until the test moves it.
    pub clock: ManualClock,
    /// Carries the events of this test.
    pub broker: Arc<dyn Broker>,
    /// Knows where the services of this test listen.
    pub directory: Directory,
    host: Host,
    /// Holds the broker's messages; absent when the test brought a broker of its own.
    _broker_database: Option<TestDatabase>,
}

/// The instant at which the clock of a test begins: a Thursday at noon, far from every end of month.
pub fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 15, 12, 0, 0).single().expect("this instant exists")
}

/// A process for services with these databases, with the in-process broker.
///
/// # Panics
/// When PostgreSQL is missing; a test cannot go on without.
pub async fn host(databases: &[&TestDatabase]) -> TestHost {
    let database = database_without_base(in_process::NAME, &in_process::MIGRATIONS).await;
    let broker = in_process::InProcess::open(database.pool.clone()).await.expect("the broker opens its fresh database");
    let host = host_with(databases, Arc::new(broker)).await;
    TestHost { _broker_database: Some(database), ..host }
}

/// A process for services with these databases, with a broker of the test's choice.
///
/// # Panics
/// When PostgreSQL is missing; a test cannot go on without.
pub async fn host_with(databases: &[&TestDatabase], broker: Arc<dyn Broker>) -> TestHost {
    let server = crate::database::settings(&postgres_admin_url().await);
    let db =
        databases.iter().fold(server, |settings, database| settings.with_database(database.service, &database.name));
    let clock = ManualClock::new(noon());
    let directory = Directory::new(Vec::<(String, Vec<String>)>::new());
    let own = databases.iter().map(|database| database.service).filter(|name| !SERVICES.contains(name));
    let parts = HostParts {
        clock: Arc::new(clock.clone()),
        db,
        broker: Arc::clone(&broker),
        cache: Arc::new(MemoryCache::new(CACHE_BYTES)),
        limiter: Arc::new(LocalLimiter::new()),
        keys: ServiceKeys::in_memory(SERVICES.into_iter().chain(own)).expect("the system has random bytes"),
        keyring: Keyring::ephemeral(),
        directory: directory.clone(),
        listen: Listen::default(),
        metrics: Metrics::new("test"),
        shutdown: CancellationToken::new(),
        channels: ChannelSettings::default(),
    };
    let host = Host::new("gateway", parts).expect("every service has a key");
    TestHost { clock, broker, directory, host, _broker_database: None }
}

impl TestHost {
    /// The process as this service sees it: what its `build` takes.
    pub fn of(&self, service: &str) -> Host {
        self.host.for_service(service).expect("every service, and every service with a database here, has a key")
    }

    /// Where the databases of this test are.
    pub fn databases(&self) -> &DatabaseSettings {
        &self.host.db
    }

    /// Starts services on free ports; others of this test find them. They end with the returned value.
    ///
    /// # Panics
    /// When one cannot listen.
    pub async fn start(&self, services: Vec<Service>) -> Running {
        ottery_kit::start(services, RunSettings::local()).await.expect("the services start on free ports")
    }

    /// Puts a stand-in where a neighbour would be: `routes` answers its calls, behind the real checks of callers.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn stand_in(&self, service: &'static str, routes: Routes) -> Running {
        let host = self.of(service);
        self.start(vec![Service::stateless(service, &host).grpc(routes)]).await
    }

    /// A channel on which `actor` calls `service`, as calls arrive from the gateway.
    pub fn channel(&self, service: &str, actor: Actor) -> Channel {
        self.host.client_channel(service).with(&CallContext::new(actor))
    }

    /// A channel on which `caller` calls `service` in its own name.
    pub fn channel_of_service(&self, caller: &str, service: &str, brand: Option<ottery_kernel::BrandId>) -> Channel {
        let context = brand.map_or_else(CallContext::service, CallContext::brand);
        self.of(caller).client_channel(service).with(&context)
    }

    /// Listens to events with these patterns from now on, and makes them routable. Start it before what publishes.
    ///
    /// # Panics
    /// When the broker refuses.
    pub async fn record(&self, patterns: &[&str]) -> Recorder {
        Recorder::start(Arc::clone(&self.broker), patterns).await
    }
}

impl std::fmt::Debug for TestHost {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("TestHost").field("clock", &self.clock).finish_non_exhaustive()
    }
}
