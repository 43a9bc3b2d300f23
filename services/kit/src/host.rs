//! What a service gets from the process it runs in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ottery_kernel::Clock;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, Silent};
use crate::cache::Cache;
use crate::db::{DatabaseError, DatabaseSettings};
use crate::grpc::{ActorVerifier, Channel, ChannelSettings, Directory, KeyError, ServiceIdentity, ServiceKeys};
use crate::keyring::Keyring;
use crate::limit::Limiter;
use crate::telemetry::Metrics;

/// Where the gRPC servers of a process listen.
#[derive(Clone, Debug)]
pub struct Listen {
    /// For services without an entry of their own; port 0 takes a free one.
    pub default: String,
    /// By service.
    pub services: HashMap<String, String>,
}

impl Default for Listen {
    fn default() -> Self {
        Self { default: "127.0.0.1:0".to_owned(), services: HashMap::new() }
    }
}

/// What the services of a process share; the binary (or a test) puts it together once.
pub struct HostParts {
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where the databases are.
    pub db: DatabaseSettings,
    /// Carries events.
    pub broker: Arc<dyn Broker>,
    /// Keeps what may be lost.
    pub cache: Arc<dyn Cache>,
    /// Counts what may not be done too often.
    pub limiter: Arc<dyn Limiter>,
    /// Signing keys of the services run here and public keys of all.
    pub keys: ServiceKeys,
    /// Seals secrets at rest.
    pub keyring: Keyring,
    /// Where the services are; those run here are added when they listen, unless they are named already.
    pub directory: Directory,
    /// Where the services run here listen.
    pub listen: Listen,
    /// The registry of the process.
    pub metrics: Metrics,
    /// Cancelled when work has to end.
    pub shutdown: CancellationToken,
    /// Settings of the channels to other services.
    pub channels: ChannelSettings,
}

type Channels = Arc<Mutex<HashMap<(String, String), Channel>>>;

/// What a service gets from its process. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    /// Where the time comes from; a brand's own time is `kit::clock::brand_now`.
    pub clock: Arc<dyn Clock>,
    /// Where the databases are.
    pub db: DatabaseSettings,
    /// Carries events.
    pub broker: Arc<dyn Broker>,
    /// Keeps what may be lost.
    pub cache: Arc<dyn Cache>,
    /// Counts what may not be done too often.
    pub limiter: Arc<dyn Limiter>,
    /// Signs this service's calls.
    pub identity: ServiceIdentity,
    /// Checks calls to this service.
    pub verifier: ActorVerifier,
    /// This service's view of the registry.
    pub metrics: Metrics,
    /// Where the services are.
    pub directory: Directory,
    /// Cancelled when work has to end.
    pub shutdown: CancellationToken,
    /// Seals secrets at rest.
    pub keyring: Keyring,
    keys: ServiceKeys,
    listen: Arc<Listen>,
    channel_settings: ChannelSettings,
    channels: Channels,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("service", &self.identity.name()).finish_non_exhaustive()
    }
}

impl Host {
    /// The process as `service` sees it.
    ///
    /// # Errors
    /// No signing key for this service was loaded.
    pub fn new(service: &str, parts: HostParts) -> Result<Self, KeyError> {
        Ok(Self {
            clock: parts.clock,
            db: parts.db,
            broker: parts.broker,
            cache: parts.cache,
            limiter: parts.limiter,
            identity: parts.keys.identity(service)?,
            verifier: parts.keys.verifier(service),
            metrics: parts.metrics.for_service(service),
            directory: parts.directory,
            shutdown: parts.shutdown,
            keyring: parts.keyring,
            keys: parts.keys,
            listen: Arc::new(parts.listen),
            channel_settings: parts.channels,
            channels: Channels::default(),
        })
    }

    /// The same process as another of its services sees it.
    ///
    /// # Errors
    /// No signing key for that service was loaded.
    pub fn for_service(&self, service: &str) -> Result<Self, KeyError> {
        Ok(Self {
            identity: self.keys.identity(service)?,
            verifier: self.keys.verifier(service),
            metrics: self.metrics.for_service(service),
            ..self.clone()
        })
    }

    /// The same service cut off from everything, for work on a copy of its data: it knows no database, no neighbour and no
    /// broker, counts into a registry nobody reads, and opens nothing that was sealed outside.
    #[must_use]
    pub fn cut_off(&self) -> Self {
        Self {
            db: DatabaseSettings { url: "postgres://cut-off.invalid".to_owned(), ..DatabaseSettings::default() },
            broker: Arc::new(Silent),
            directory: Directory::new(Vec::<(String, Vec<String>)>::new()),
            metrics: Metrics::new(self.service()),
            keyring: Keyring::ephemeral(),
            channels: Channels::default(),
            ..self.clone()
        }
    }

    /// The service this view belongs to.
    #[must_use]
    pub fn service(&self) -> &str {
        self.identity.name()
    }

    /// Connects to the service's own database.
    ///
    /// # Errors
    /// See [`DatabaseSettings::pool`].
    pub async fn pool(&self, service: &str) -> Result<PgPool, DatabaseError> {
        self.db.pool(service).await
    }

    /// The channel to another service; connects when first used. Asking twice gives the same connections.
    #[must_use]
    pub fn client_channel(&self, upstream: &str) -> Channel {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (self.service().to_owned(), upstream.to_owned());
        let channel = channels.entry(key).or_insert_with(|| {
            let (identity, clock) = (self.identity.clone(), self.clock.clone());
            Channel::new(upstream, self.directory.clone(), identity, clock, &self.metrics, self.channel_settings)
        });
        channel.clone()
    }

    /// Where the gRPC server of a service listens, as configured.
    #[must_use]
    pub fn serve_address(&self, service: &str) -> &str {
        self.listen.services.get(service).unwrap_or(&self.listen.default)
    }
}
