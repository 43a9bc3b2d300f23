#![doc = include_str!("../README.md")]

pub mod app;
mod config;
pub mod domain;
pub mod driver;
pub mod events;
mod grpc;
mod invariants;
pub mod store;

use ottery_kit::{Host, Service};
use ottery_proto::provisioning::v1::provisioning_service_server::ProvisioningServiceServer;
use tonic::service::Routes;

pub use config::Config;
pub use invariants::invariants;

/// Name of the service: its database, its settings, its address.
pub const NAME: &str = "provisioning";
/// Every setting with its default and a comment.
pub const DEFAULTS: &str = include_str!("../config.default.toml");
/// The service's own tables.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Connects; serves nothing yet.
///
/// # Errors
/// When the database is away or TLS cannot be set up.
pub async fn build(config: Config, host: Host) -> anyhow::Result<Service> {
    let pool = host.pool(NAME).await?;
    let app = app::App::new(pool.clone(), host.clone(), config)?;
    let routes = Routes::new(ProvisioningServiceServer::new(grpc::Api(app.clone())));
    let (reconciler, health, drift, drained) = (app.clone(), app.clone(), app.clone(), app.clone());
    Ok(Service::new(NAME, &host, pool)
        .grpc(routes)
        .consumer(events::consume::entitlements(), events::consume::Entitlements(app))
        .consumer(events::consume::clocks(), events::consume::Clocks)
        .worker("reconciler", move |context| app::reconcile::run(reconciler.clone(), context.shutdown))
        .worker("panel health", move |context| app::health::run(health.clone(), context.shutdown))
        .worker("panel drift", move |context| app::drift::run(drift.clone(), context.shutdown))
        .due(move |brand, _| app::due::waiting(drained.clone(), brand)))
}
