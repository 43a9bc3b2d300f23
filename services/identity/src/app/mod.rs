//! Use cases: one public function, one effect. Where a password is hashed, which takes long, what is known before and what is
//! decided after are transactions of their own, and the second one looks again.

mod access;
mod account;
mod api_key;
mod argon;
mod audit;
mod devices;
mod error;
mod hasher;
mod housekeeping;
mod mail;
mod page;
mod password;
mod session;
mod sign_in;
mod sign_up;
mod staff;
mod totp;
mod tries;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, Clock};
use ottery_kit::grpc::{Actor, ActorKind};
use ottery_kit::keyring::Keyring;
use ottery_kit::limit::Limiter;
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;

pub use api_key::NewApiKey;
use audit::Change;
pub use audit::{Verdict, verify_chain};
pub use error::AppError;
pub use hasher::{Cost, CostError};
pub use housekeeping::keep_house;
pub use mail::MintedToken;
pub use page::Page;
pub use session::{Authenticated, NewSession};
pub use sign_in::SignedIn;
pub use sign_up::SignUp;
pub use totp::Enrolment;

pub use crate::store::api_key::Stored as StoredApiKey;
pub use crate::store::grant::Stored as StoredGrant;
pub use crate::store::session::Stored as StoredSession;

use crate::config::Config;
use crate::domain::{Account, Device, Realm};
use crate::events::publish;
use hasher::Hasher;

/// What the use cases are built from.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The database, as the application role.
    pub pool: PgPool,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Seals second factors, keys hashes.
    pub keyring: Keyring,
    /// Counts tries.
    pub limiter: Arc<dyn Limiter>,
}

/// What the use cases work with.
#[derive(Clone, Debug)]
pub struct App {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    keyring: Keyring,
    limiter: Arc<dyn Limiter>,
    hasher: Hasher,
    limits: tries::Limits,
}

impl App {
    /// Use cases over these parts.
    ///
    /// # Errors
    /// Passwords would be hashed too cheaply.
    pub fn try_new(parts: Parts, config: &Config) -> Result<Self, CostError> {
        let cost = Cost::try_new(config.password_memory_kib, config.password_passes, config.password_lanes)?;
        Ok(Self {
            hasher: Hasher::new(cost, config.password_queue, parts.keyring.clone()),
            pool: parts.pool,
            clock: parts.clock,
            keyring: parts.keyring,
            limiter: parts.limiter,
            limits: tries::Limits::new(config),
        })
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    async fn begin(&self, realm: Realm) -> sqlx::Result<PgTransaction<'static>> {
        ottery_kit::db::begin(&self.pool, realm.scope()).await
    }

    /// What time events of a realm carry: the brand's. Deadlines of identity itself are judged by real time.
    async fn event_time(&self, tx: &mut PgTransaction<'_>, realm: Realm) -> sqlx::Result<DateTime<Utc>> {
        match realm.brand() {
            Some(brand) => ottery_kit::clock::brand_now(tx, brand, &*self.clock).await,
            None => Ok(self.now()),
        }
    }

    /// Ends every session of an account in the caller's transaction and tells the caches.
    async fn end_sessions(&self, tx: &mut PgTransaction<'_>, account: &Account) -> sqlx::Result<u32> {
        let ended = crate::store::session::revoke_all(tx, account.id, self.now()).await?;
        let told_at = self.event_time(tx, account.realm).await?;
        publish::session_revoked(tx, account, None, told_at).await?;
        Ok(ended)
    }
}

/// The caller as the account that they just proved to be.
fn proven(actor: &Actor, account: &Account, device: &Device) -> Actor {
    let kind = if account.realm.is_staff() { ActorKind::Staff } else { ActorKind::Customer };
    let client_ip = Some(device.client_ip.clone()).filter(|ip| !ip.is_empty()).or_else(|| actor.client_ip.clone());
    Actor { kind, subject: account.id.to_string(), client_ip, ..actor.clone() }
}

/// The realm people of the call's brand sign in to.
fn customer_realm(actor: &Actor) -> Result<Realm, AppError> {
    let brand: BrandId = actor.brand_or_problem()?;
    Ok(Realm::Customer(brand))
}
