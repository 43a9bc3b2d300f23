//! The scheduler of billing as a process of its own (`ottery renew`), so that its memory and processor time are its own, and
//! so that it can be killed.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use billing::app::Billing;
use billing::store;
use ottery_kernel::{BrandId, SystemClock};
use ottery_kit::broker::rabbitmq::RabbitMq;
use ottery_kit::cache::MemoryCache;
use ottery_kit::config::{Section, Sources};
use ottery_kit::db::DatabaseSettings;
use ottery_kit::grpc::{ChannelSettings, Directory, ServiceKeys};
use ottery_kit::keyring::Keyring;
use ottery_kit::limit::LocalLimiter;
use ottery_kit::telemetry::Metrics;
use ottery_kit::{Host, HostParts, Listen};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bench::process::Usage;

/// How often it looks whether what others hold has been done.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is to be worked off.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Where the server is.
    pub server_url: String,
    /// Of the application role.
    pub password: String,
    /// The database's name.
    pub database: String,
    /// The brands.
    pub brands: Vec<BrandId>,
    /// Schedulers of this process; the configured number otherwise.
    pub workers: Option<u32>,
    /// Subscriptions of one transaction; the configured number otherwise.
    pub batch_size: Option<u32>,
    /// How long a claim lasts; the configured time otherwise.
    pub lease_seconds: Option<u64>,
}

/// What one process did; it prints this as its only line.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Done {
    /// Steps of subscriptions.
    pub steps: u64,
    /// From the first claim to the last commit.
    pub took_s: f64,
    /// How long each batch took, in microseconds.
    pub batches_us: Vec<u64>,
    /// Schedulers.
    pub workers: u32,
    /// Subscriptions of one transaction.
    pub batch_size: u32,
    /// Its metrics, as Prometheus would read them.
    pub metrics: String,
    /// Most memory at once.
    pub rss_mb: f64,
    /// Processor time since it began to work.
    pub cpu_s: f64,
}

/// Reads a plan, carries it out, prints what it did.
///
/// # Errors
/// Standard input holds no plan, or the database fails.
pub async fn run() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read the plan")?;
    let plan: Plan = serde_json::from_str(&text).context("standard input holds no plan")?;
    println!("{}", serde_json::to_string(&carry_out(plan).await?)?);
    Ok(())
}

async fn carry_out(plan: Plan) -> anyhow::Result<Done> {
    let section = Section { name: billing::NAME, defaults: billing::DEFAULTS };
    let mut config: billing::Config = ottery_kit::config::load(section, &Sources::none())?.value;
    let renewals = &mut config.renewals;
    renewals.workers = plan.workers.unwrap_or(renewals.workers);
    renewals.batch_size = plan.batch_size.unwrap_or(renewals.batch_size);
    renewals.lease_seconds = plan.lease_seconds.unwrap_or(renewals.lease_seconds);
    let (workers, batch_size) = (renewals.workers, renewals.batch_size);
    let settings =
        DatabaseSettings { url: plan.server_url, password: Some(plan.password), ..DatabaseSettings::default() };
    let settings = settings.with_database(billing::NAME, plan.database);
    let pool = settings.pool(billing::NAME).await?;
    let host = host(settings)?;
    let billing = Billing::new(config, &host, pool)?;
    let (began, used) = (Instant::now(), Usage::of(std::process::id())?);
    let mut lanes = JoinSet::new();
    for _ in 0..workers {
        lanes.spawn(lane(billing.clone(), plan.brands.clone()));
    }
    let mut done = Done { workers, batch_size, ..Done::default() };
    while let Some(lane) = lanes.join_next().await {
        let lane = lane.context("a scheduler broke")??;
        done.steps += lane.steps;
        done.batches_us.extend(lane.batches_us);
    }
    let usage = Usage::of(std::process::id())?.since(used);
    done.took_s = began.elapsed().as_secs_f64();
    (done.rss_mb, done.cpu_s) = (usage.rss_mb, usage.cpu_s);
    done.metrics = host.metrics.encode();
    Ok(done)
}

/// One scheduler: batches until nothing is due, neither free nor in somebody's hands.
async fn lane(billing: Billing, brands: Vec<BrandId>) -> anyhow::Result<Done> {
    let mut done = Done::default();
    loop {
        let mut worked = 0;
        for brand in &brands {
            let began = Instant::now();
            let count = billing.run_batch(*brand).await?;
            if count > 0 {
                worked += count;
                done.steps += count as u64;
                done.batches_us.push(u64::try_from(began.elapsed().as_micros())?);
            }
        }
        if worked == 0 {
            let mut left = 0;
            for brand in &brands {
                left += store::due::count(&billing.pool, *brand, super::seed::month_end()).await?;
            }
            if left == 0 {
                return Ok(done);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// A process that runs nothing but billing, knows no neighbour and publishes nothing: events stay in the outbox.
fn host(db: DatabaseSettings) -> anyhow::Result<Host> {
    let parts = HostParts {
        clock: Arc::new(SystemClock),
        db,
        broker: Arc::new(RabbitMq::new("amqp://127.0.0.1:1")?),
        cache: Arc::new(MemoryCache::new(0)),
        limiter: Arc::new(LocalLimiter::new()),
        keys: ServiceKeys::in_memory([billing::NAME, "catalog"])?,
        keyring: Keyring::ephemeral(),
        directory: Directory::new(Vec::<(String, Vec<String>)>::new()),
        listen: Listen::default(),
        metrics: Metrics::new("ottery"),
        shutdown: CancellationToken::new(),
        channels: ChannelSettings::default(),
    };
    Ok(Host::new(billing::NAME, parts)?)
}
