#![doc = include_str!("../README.md")]

pub mod app;
mod config;
pub mod domain;
pub mod events;
pub mod grpc;
pub mod store;

use ottery_kit::doctor::Finding;
use ottery_kit::{Host, Service};
use ottery_proto::analytics::v1::analytics_service_server::AnalyticsServiceServer;
use sqlx::PgPool;
use tonic::service::Routes;

pub use config::Config;

/// Name of the service: of its database, its configuration section, its events.
pub const NAME: &str = "analytics";
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
    let app = app::App::new(pool.clone(), host.clock.clone());
    let group = events::group().concurrency(config.consumers);
    Ok(Service::new(NAME, &host, pool)
        .grpc(Routes::new(AnalyticsServiceServer::new(grpc::Api::new(app))))
        .consumer(group, events::Subscriptions))
}

/// What must hold in the database besides what its constraints say: movements are what the log makes of them.
///
/// # Errors
/// The database cannot be read.
pub async fn invariants(pool: &PgPool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = ottery_kit::doctor::invariants(pool).await?;
    // Read first, so that the connection is back before the next one is asked for.
    let brands = store::log::brands(&mut *pool.acquire().await?).await?;
    for brand in brands {
        let rebuilt = app::differences(pool, brand).await?;
        if rebuilt.different > 0 {
            let detail = format!(
                "{brand}: stored movements of {} customers are not what their events say; rebuild the brand",
                rebuilt.different
            );
            findings.push(Finding::error("movement.log", detail));
        }
    }
    Ok(findings)
}
