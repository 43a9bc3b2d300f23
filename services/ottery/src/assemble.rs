//! From settings to what services get from their process.

use std::sync::Arc;

use anyhow::Context;
use ottery_kernel::SystemClock;
use ottery_kit::broker::Broker;
use ottery_kit::broker::in_process::InProcess;
use ottery_kit::broker::rabbitmq::RabbitMq;
use ottery_kit::cache::{Cache, MemoryCache, RedisCache, RedisLink};
use ottery_kit::db::DatabaseSettings;
use ottery_kit::grpc::{ChannelSettings, Directory, ServiceKeys};
use ottery_kit::keyring::Keyring;
use ottery_kit::limit::{Limiter, LocalLimiter, RedisLimiter};
use ottery_kit::telemetry::Metrics;
use ottery_kit::{Host, HostParts, Listen};
use tokio_util::sync::CancellationToken;

use crate::settings::{BrokerKind, CacheKind, Process};

/// Name of the embedded broker's database and role.
pub const BROKER: &str = "broker";

/// Puts a host together for the services named in `own`.
///
/// # Errors
/// Keys that cannot be read, a broker's database that is missing.
pub async fn host(process: &Process, own: &[&str]) -> anyhow::Result<Host> {
    let database = process.database.to_kit();
    let keys = ServiceKeys::open(&process.keys_folder, own.iter().copied())
        .with_context(|| format!("keys in {}", process.keys_folder.display()))?;
    let keyring = match &process.keyring {
        Some(lines) => Keyring::from_secret(lines)?,
        None => Keyring::from_file(&process.keyring_file)?,
    };
    let (cache, limiter) = cache_and_limits(process).await?;
    let parts = HostParts {
        clock: Arc::new(SystemClock),
        broker: broker(process, &database).await?,
        db: database,
        cache,
        limiter,
        keys,
        keyring,
        directory: Directory::new(process.directory.clone()),
        listen: Listen {
            default: process.listen.clone(),
            services: process.listen_services.clone().into_iter().collect(),
        },
        metrics: Metrics::new("ottery"),
        shutdown: CancellationToken::new(),
        channels: ChannelSettings::default(),
    };
    let first = own.first().context("a process runs at least one service")?;
    Ok(Host::new(first, parts)?)
}

async fn broker(process: &Process, database: &DatabaseSettings) -> anyhow::Result<Arc<dyn Broker>> {
    Ok(match process.broker.kind {
        BrokerKind::Rabbitmq => Arc::new(RabbitMq::new(process.broker.url.expose())?),
        BrokerKind::Table => {
            let pool = database.pool(BROKER).await?;
            Arc::new(InProcess::open(pool).await?)
        }
    })
}

async fn cache_and_limits(process: &Process) -> anyhow::Result<(Arc<dyn Cache>, Arc<dyn Limiter>)> {
    Ok(match process.cache.kind {
        CacheKind::Memory => (Arc::new(MemoryCache::new(process.cache.memory_bytes)), Arc::new(LocalLimiter::new())),
        CacheKind::Redis => {
            let link = RedisLink::connect(&process.cache.url).await?;
            (Arc::new(RedisCache::new(link.clone())), Arc::new(RedisLimiter::new(link, process.cache.replicas)))
        }
    })
}
