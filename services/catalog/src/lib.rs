#![doc = include_str!("../README.md")]

pub mod app;
mod config;
pub mod domain;
mod events;
pub mod grpc;
mod store;

use ottery_kit::doctor::Finding;
use ottery_kit::{Host, Service};
use ottery_proto::catalog::v1::catalog_service_server::CatalogServiceServer;
use sqlx::PgPool;
use tonic::service::Routes;

pub use config::Config;

/// Name of the service: of its database, its configuration section, its events.
pub const NAME: &str = "catalog";
/// Documented defaults of every setting.
pub const DEFAULTS: &str = include_str!("../config.default.toml");
/// The schema.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Connects; serves nothing yet.
///
/// # Errors
/// The database cannot be reached.
pub async fn build(config: Config, host: Host) -> anyhow::Result<Service> {
    let pool = host.pool(NAME).await?;
    let app = app::App::new(pool.clone(), host.clock.clone(), config.test_clocks_allowed);
    let drain = app.clone();
    Ok(Service::new(NAME, &host, pool)
        .grpc(Routes::new(CatalogServiceServer::new(grpc::Api::new(app))))
        .worker("test-clocks", move |context| app::drain_advancing(drain.clone(), context)))
}

/// What must hold in the database besides what its constraints say.
///
/// # Errors
/// The database cannot be read.
pub async fn invariants(pool: &PgPool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = ottery_kit::doctor::invariants(pool).await?;
    let hostless = sqlx::query_scalar!(
        "SELECT slug FROM brand b WHERE NOT EXISTS (SELECT FROM brand_host h WHERE h.brand_id = b.id) \
         OR jsonb_array_length(b.content -> 'hosts') <> (SELECT count(*) FROM brand_host h WHERE h.brand_id = b.id)"
    )
    .fetch_all(pool)
    .await?;
    findings.extend(hostless.into_iter().map(|slug| {
        Finding::error("brand hosts agree", format!("brand `{slug}`: its hosts are not those it is found by"))
    }));
    Ok(findings)
}
