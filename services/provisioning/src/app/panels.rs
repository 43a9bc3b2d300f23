//! Connections to panels: one driver per panel and version of its settings, one breaker and gate per key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottery_kernel::{Clock as _, PanelId, SystemClock};
use ottery_kit::http::GuardedClient;
use ottery_kit::keyring::{Keyring, Place};
use ottery_kit::limit::Limiter;
use ottery_kit::secret::Secret;
use url::Url;
use uuid::Uuid;

use super::gate::Gate;
use crate::domain::plan::Time;
use crate::domain::{Admission, Breaker, BreakerRules, Trip};
use crate::driver::{Kind, PanelDriver, PanelError};
use crate::store::panel::Row;

/// A package whose length is not known yet is taken for a month.
const PACKAGE_DEFAULT_S: i64 = 30 * 86_400;

/// A panel that can be called.
pub struct Connected {
    /// Its row as it was connected with.
    pub row: Row,
    /// How to call it.
    pub driver: Arc<dyn PanelDriver>,
    /// Limits of its key.
    pub gate: Gate,
    /// State of its key.
    pub key: Arc<Key>,
    packages_s: Mutex<HashMap<i64, i64>>,
}

impl Connected {
    /// Its id.
    #[must_use]
    pub const fn id(&self) -> PanelId {
        self.row.panel_id()
    }

    /// How its lines get their time.
    #[must_use]
    pub fn time(&self, package: Option<i64>) -> Time {
        if self.driver.caps().absolute_expiry {
            return Time::Absolute;
        }
        let known = lock(&self.packages_s);
        Time::Packages(package.and_then(|id| known.get(&id).copied()).unwrap_or(PACKAGE_DEFAULT_S))
    }

    /// Notes how long packages last.
    pub fn learn_packages(&self, packages: impl IntoIterator<Item = (i64, i64)>) {
        *lock(&self.packages_s) = packages.into_iter().collect();
    }

    /// Whether the lengths of packages are wanted and not known.
    #[must_use]
    pub fn wants_packages(&self) -> bool {
        !self.driver.caps().absolute_expiry && lock(&self.packages_s).is_empty()
    }
}

/// One API key.
pub struct Key {
    /// Names it without revealing it.
    pub id: Uuid,
    breaker: Mutex<Breaker>,
}

impl Key {
    /// Whether a call may be made now.
    #[must_use]
    pub fn admit(&self) -> Admission {
        lock(&self.breaker).admit(SystemClock.now())
    }

    /// Notes how a call went. Returns whether the breaker moved.
    pub fn record(&self, error: Option<&PanelError>) -> bool {
        let now = SystemClock.now();
        let mut breaker = lock(&self.breaker);
        match error {
            Some(PanelError::Permanent(perm)) if perm.kind.is_whole_key() => {
                breaker.trip(now, perm.kind.code());
                true
            }
            Some(error) => breaker.record(now, error.is_trouble()),
            None => breaker.record(now, false),
        }
    }

    /// Why it is paused.
    #[must_use]
    pub fn tripped(&self) -> Option<Trip> {
        lock(&self.breaker).tripped()
    }

    /// Whether an open breaker wants the connection tested now.
    #[must_use]
    pub fn wants_probe(&self) -> Option<Trip> {
        lock(&self.breaker).wants_probe(SystemClock.now())
    }

    /// The connection test succeeded. Returns whether that lets calls through again.
    #[must_use]
    pub fn probed_well(&self) -> bool {
        lock(&self.breaker).probed_well()
    }

    /// Its settings were corrected.
    pub fn reset(&self) {
        lock(&self.breaker).close();
    }
}

/// Why a panel cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The sealed key does not open.
    #[error("the panel's API key cannot be opened; enter it again")]
    Sealed(#[from] ottery_kit::keyring::SealError),
    /// The stored address is none.
    #[error("the panel's address is not a URL; enter it again")]
    Address(#[from] url::ParseError),
    /// The stored kind is none.
    #[error("no driver for panels of the kind `{0}`; choose another kind")]
    Kind(String),
}

/// All of them.
pub struct Panels {
    http: GuardedClient,
    keyring: Keyring,
    limiter: Arc<dyn Limiter>,
    rules: BreakerRules,
    connected: Mutex<HashMap<Uuid, Arc<Connected>>>,
    keys: Mutex<HashMap<Uuid, Arc<Key>>>,
}

impl Panels {
    /// None connected yet.
    #[must_use]
    pub fn new(http: GuardedClient, keyring: Keyring, limiter: Arc<dyn Limiter>, rules: BreakerRules) -> Self {
        Self { http, keyring, limiter, rules, connected: Mutex::default(), keys: Mutex::default() }
    }

    /// The connection made with this version of the panel's settings, if there is one.
    #[must_use]
    pub fn known(&self, id: Uuid, version: i64) -> Option<Arc<Connected>> {
        lock(&self.connected).get(&id).filter(|known| known.row.version == version).cloned()
    }

    /// Connects a panel, or gives the connection that is there.
    ///
    /// # Errors
    /// When its key does not open or its address is none.
    pub fn connect(&self, row: &Row) -> Result<Arc<Connected>, ConnectError> {
        if let Some(known) = self.known(row.id, row.version) {
            return Ok(known);
        }
        let api_key = self.keyring.open_text(&key_place(row), &row.api_key_sealed)?;
        let connected = Arc::new(Connected {
            driver: self.driver(&row.driver, &row.base_url, api_key)?,
            gate: Gate::new(
                row.key_id,
                row.rate_per_second,
                usize::try_from(row.concurrency).unwrap_or(1),
                Arc::clone(&self.limiter),
            ),
            key: self.key(row.key_id),
            packages_s: Mutex::default(),
            row: row.clone(),
        });
        lock(&self.connected).insert(row.id, Arc::clone(&connected));
        Ok(connected)
    }

    /// A driver of this kind.
    ///
    /// # Errors
    /// When the kind or the address is none.
    pub fn driver(&self, kind: &str, base_url: &str, api_key: Secret) -> Result<Arc<dyn PanelDriver>, ConnectError> {
        let kind = Kind::parse(kind).ok_or_else(|| ConnectError::Kind(kind.to_owned()))?;
        Ok(kind.connect(Arc::new(self.http.clone()), Url::parse(base_url)?, api_key))
    }

    /// The state of a key.
    #[must_use]
    pub fn key(&self, id: Uuid) -> Arc<Key> {
        let mut keys = lock(&self.keys);
        let key = keys.entry(id).or_insert_with(|| Arc::new(Key { id, breaker: Mutex::new(Breaker::new(self.rules)) }));
        Arc::clone(key)
    }

    /// Keys that are paused and want their connection tested now, with a panel that uses each.
    #[must_use]
    pub fn wanting_probe(&self) -> Vec<Arc<Connected>> {
        let connected: Vec<_> = lock(&self.connected).values().cloned().collect();
        connected.into_iter().filter(|panel| panel.key.wants_probe().is_some()).collect()
    }

    /// Forgets a panel.
    pub fn forget(&self, id: Uuid) {
        lock(&self.connected).remove(&id);
    }
}

/// Where a panel's key is sealed.
#[must_use]
pub fn key_place(row: &Row) -> Place<'static> {
    Place { table: "panel", column: "api_key_sealed", row: row.id, brand: Some(row.brand()) }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
