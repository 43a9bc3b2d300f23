#![doc = include_str!("../README.md")]

pub mod app;
mod config;
mod doctor;
pub mod domain;
mod events;
pub mod grpc;
mod store;

use anyhow::Context as _;
use ottery_kit::secret::Secret;
use ottery_kit::{Host, Service};
use ottery_proto::identity::v1::identity_service_server::IdentityServiceServer;
use sqlx::PgPool;
use tonic::service::Routes;

pub use config::Config;
pub use doctor::invariants;

/// Name of the service: of its database, its configuration section, its events.
pub const NAME: &str = "identity";
/// Documented defaults of every setting.
pub const DEFAULTS: &str = include_str!("../config.default.toml");
/// The schema.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Connects; serves nothing yet.
///
/// # Errors
/// The database cannot be reached, or passwords would be hashed too cheaply.
pub async fn build(config: Config, host: Host) -> anyhow::Result<Service> {
    let pool = host.pool(NAME).await?;
    let parts = app::Parts {
        pool: pool.clone(),
        clock: host.clock.clone(),
        keyring: host.keyring.clone(),
        limiter: host.limiter.clone(),
    };
    let app = app::App::try_new(parts, &config)?;
    let keeper = app.clone();
    Ok(Service::new(NAME, &host, pool)
        .grpc(Routes::new(IdentityServiceServer::new(grpc::Api::new(app))))
        .consumer(events::audit_group(), events::LinkAudit)
        .consumer(events::brand_group(), events::FollowBrands)
        .worker("housekeeping", move |context| app::keep_house(keeper.clone(), context))
        .due(|_, _| async { Ok(None) }))
}

/// The single-use token that makes the first owner, when it is minted by this very call: once in the life of a database.
/// Only its hash is kept, so print it now.
///
/// # Errors
/// The database cannot be reached.
pub async fn setup_token(pool: &PgPool) -> anyhow::Result<Option<Secret>> {
    let (token, hash) = domain::token::mint();
    let mut connection = pool.acquire().await.context("minting the set-up token")?;
    Ok(store::setup::mint(&mut connection, &hash).await?.then_some(token))
}
