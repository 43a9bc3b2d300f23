#![doc = include_str!("../README.md")]

pub mod app;
mod config;
pub mod domain;
mod events;
pub mod grpc;
mod store;

use ottery_kit::doctor::Finding;
use ottery_kit::{Host, Service};
use ottery_proto::support::v1::support_service_server::SupportServiceServer;
use sqlx::PgPool;
use tonic::service::Routes;

pub use config::Config;

/// Name of the service: of its database, its configuration section, its events.
pub const NAME: &str = "support";
/// Documented defaults of every setting.
pub const DEFAULTS: &str = include_str!("../config.default.toml");
/// The schema.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Connects; serves nothing yet.
///
/// # Errors
/// No department is configured, or the database cannot be reached.
pub async fn build(config: Config, host: Host) -> anyhow::Result<Service> {
    anyhow::ensure!(!config.departments.is_empty(), "`support.departments` is empty: name at least one");
    let pool = host.pool(NAME).await?;
    let app = app::App::new(pool.clone(), host.clock.clone(), config.departments);
    Ok(Service::new(NAME, &host, pool).grpc(Routes::new(SupportServiceServer::new(grpc::Api::new(app)))))
}

/// What must hold in the database besides what its constraints say.
///
/// # Errors
/// The database cannot be read.
pub async fn invariants(pool: &PgPool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = ottery_kit::doctor::invariants(pool).await?;
    let silent = sqlx::query_scalar!(
        "SELECT count(*) FROM ticket t WHERE NOT EXISTS (SELECT FROM ticket_message m WHERE m.ticket_id = t.id AND NOT m.internal)"
    )
    .fetch_one(pool)
    .await?
    .unwrap_or(0);
    if silent > 0 {
        findings.push(Finding::error("ticket.message", format!("{silent} tickets have no public message")));
    }
    Ok(findings)
}
