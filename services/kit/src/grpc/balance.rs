//! Where a service is, and which of its instances gets the next call.
//!
//! Names are looked up again every few seconds, so a headless Kubernetes service (one name, many addresses) is
//! balanced without a proxy. An instance that cannot be reached is left out for a moment and tried again later.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;
use tonic::transport;

use super::Problem;

/// Names are looked up again after this.
pub const RESOLVE_EVERY: Duration = Duration::from_secs(5);
/// How long a look-up may take.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// An unreachable instance is left out this long at first, doubling up to the maximum.
const DOWN_MIN: Duration = Duration::from_millis(500);
const DOWN_MAX: Duration = Duration::from_secs(8);

/// Service name → addresses (`host:port`; a host may stand for many addresses). Clones share the entries, and an
/// entry may be set at any time: channels notice.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    entries: Arc<RwLock<HashMap<String, Vec<String>>>>,
    version: Arc<AtomicU64>,
}

impl Directory {
    /// A directory with these entries.
    pub fn new<N: Into<String>>(entries: impl IntoIterator<Item = (N, Vec<String>)>) -> Self {
        let directory = Self::default();
        for (name, addresses) in entries {
            directory.set(name, addresses);
        }
        directory
    }

    /// Where a service is from now on.
    pub fn set(&self, service: impl Into<String>, addresses: Vec<String>) {
        let addresses = addresses.into_iter().map(|address| plain(&address).to_owned()).collect();
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(service.into(), addresses);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The addresses as they were set; empty when the service is unknown.
    #[must_use]
    pub fn addresses(&self, service: &str) -> Vec<String> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(service).cloned().unwrap_or_default()
    }

    async fn resolve(&self, service: &str) -> Vec<SocketAddr> {
        let mut found = Vec::new();
        for address in self.addresses(service) {
            match tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host(&address)).await {
                Ok(Ok(addresses)) => found.extend(addresses),
                Ok(Err(error)) => tracing::warn!(upstream = service, address, %error, "cannot resolve address"),
                Err(_) => tracing::warn!(upstream = service, address, "resolving took too long"),
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn plain(address: &str) -> &str {
    address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/')
}

/// One instance of a service.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    channel: transport::Channel,
    in_flight: AtomicUsize,
    failures: Mutex<Down>,
}

#[derive(Debug, Default)]
struct Down {
    times: u32,
    until: Option<Instant>,
}

impl Endpoint {
    fn new(address: SocketAddr) -> Self {
        let uri = http::Uri::try_from(format!("http://{address}")).expect("a socket address is an authority");
        let channel = transport::Endpoint::from(uri)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_EVERY)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_lazy();
        Self { address, channel, in_flight: AtomicUsize::new(0), failures: Mutex::default() }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its connection; cheap to clone.
    pub(super) fn channel(&self) -> transport::Channel {
        self.channel.clone()
    }

    /// It answered.
    pub(super) fn up(&self) {
        *self.down() = Down::default();
    }

    /// It could not be reached: leave it out for a moment.
    pub(super) fn failed(&self) {
        let mut down = self.down();
        let pause = DOWN_MIN.saturating_mul(1 << down.times.min(6)).min(DOWN_MAX);
        down.times += 1;
        down.until = Some(Instant::now() + pause);
    }

    fn down(&self) -> MutexGuard<'_, Down> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a call as running on an instance until dropped.
#[derive(Debug)]
pub struct Picked(Arc<Endpoint>);

impl std::ops::Deref for Picked {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.0
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The instances of one service.
#[derive(Debug)]
pub struct Balancer {
    directory: Directory,
    service: Arc<str>,
    known: Mutex<Known>,
    is_resolving: AtomicBool,
    turn: AtomicUsize,
}

#[derive(Debug, Default)]
struct Known {
    endpoints: Vec<Arc<Endpoint>>,
    resolved_at: Option<Instant>,
    version: u64,
}

impl Balancer {
    /// The instances the directory names.
    pub fn new(directory: Directory, service: impl Into<Arc<str>>) -> Self {
        Self {
            directory,
            service: service.into(),
            known: Mutex::default(),
            is_resolving: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
        }
    }

    /// The instance for the next call: reachable, not tried yet, least busy; round robin among equals. When all are
    /// left out, the one whose pause ends first is tried anyway.
    ///
    /// # Errors
    /// `UNAVAILABLE`, reason `UPSTREAM_UNKNOWN`, when the service has no address.
    pub async fn pick(self: &Arc<Self>, tried: &[SocketAddr]) -> Result<Picked, Problem> {
        self.refresh().await;
        let now = Instant::now();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let known = self.lock();
        let count = known.endpoints.len();
        let in_turn = (0..count).map(|offset| &known.endpoints[(turn + offset) % count]);
        let chosen = in_turn.min_by_key(|endpoint| {
            let until = endpoint.down().until.filter(|until| *until > now);
            (tried.contains(&endpoint.address), until, endpoint.in_flight.load(Ordering::Relaxed))
        });
        let Some(endpoint) = chosen else {
            return Err(Problem::unavailable(
                "UPSTREAM_UNKNOWN",
                format!("no address for service `{}`; set `directory.{}`", self.service, self.service),
            ));
        };
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Ok(Picked(endpoint.clone()))
    }

    /// Whether there is an instance, not left out, that was not tried yet.
    pub fn has_another(&self, tried: &[SocketAddr]) -> bool {
        let now = Instant::now();
        self.lock().endpoints.iter().any(|endpoint| {
            !tried.contains(&endpoint.address) && endpoint.down().until.is_none_or(|until| until <= now)
        })
    }

    async fn refresh(self: &Arc<Self>) {
        let (is_stale, is_urgent) = {
            let known = self.lock();
            let is_old = known.resolved_at.is_none_or(|at| at.elapsed() >= RESOLVE_EVERY);
            let is_changed = known.version != self.directory.version.load(Ordering::Acquire);
            (is_old || is_changed, is_changed || known.endpoints.is_empty())
        };
        if is_urgent {
            self.resolve().await;
        } else if is_stale && !self.is_resolving.swap(true, Ordering::AcqRel) {
            let balancer = self.clone();
            tokio::spawn(async move {
                balancer.resolve().await;
                balancer.is_resolving.store(false, Ordering::Release);
            });
        }
    }

    async fn resolve(&self) {
        let version = self.directory.version.load(Ordering::Acquire);
        let addresses = self.directory.resolve(&self.service).await;
        let mut known = self.lock();
        known.resolved_at = Some(Instant::now());
        let is_changed = known.version != version;
        known.version = version;
        if addresses.is_empty() && !is_changed {
            // A name server that is away for a moment is no reason to forget instances that answer.
            return;
        }
        let endpoints = addresses
            .into_iter()
            .map(|address| {
                let same = known.endpoints.iter().find(|endpoint| endpoint.address == address);
                same.cloned().unwrap_or_else(|| Arc::new(Endpoint::new(address)))
            })
            .collect();
        known.endpoints = endpoints;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balancer(addresses: &[&str]) -> (Directory, Arc<Balancer>) {
        let directory = Directory::new([("billing", addresses.iter().map(ToString::to_string).collect())]);
        (directory.clone(), Arc::new(Balancer::new(directory, "billing")))
    }

    #[tokio::test]
    async fn calls_go_round_and_around_a_dead_instance() {
        let (_, balancer) = balancer(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        let mut seen = HashMap::<SocketAddr, u32>::new();
        for _ in 0..30 {
            *seen.entry(balancer.pick(&[]).await.unwrap().address()).or_default() += 1;
        }
        assert_eq!(seen.values().copied().collect::<Vec<_>>(), [10, 10, 10]);

        let dead = balancer.pick(&[]).await.unwrap();
        dead.failed();
        for _ in 0..30 {
            assert_ne!(balancer.pick(&[]).await.unwrap().address(), dead.address());
        }
        dead.up();
        drop(dead);
    }

    #[tokio::test]
    async fn a_busy_instance_waits_its_turn() {
        let (_, balancer) = balancer(&["127.0.0.1:1", "127.0.0.1:2"]);
        let busy = balancer.pick(&[]).await.unwrap();
        for _ in 0..4 {
            assert_ne!(balancer.pick(&[]).await.unwrap().address(), busy.address());
        }
    }

    #[tokio::test]
    async fn a_changed_directory_counts_at_once() {
        let (directory, balancer) = balancer(&[]);
        assert_eq!(balancer.pick(&[]).await.unwrap_err().reason, "UPSTREAM_UNKNOWN");
        directory.set("billing", vec!["http://127.0.0.1:7/".to_owned()]);
        assert_eq!(balancer.pick(&[]).await.unwrap().address().port(), 7);
    }
}
