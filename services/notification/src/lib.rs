#![doc = include_str!("../README.md")]

pub mod app;
mod config;
pub mod domain;
mod events;
pub mod grpc;
mod invariants;
mod smtp;
mod store;

use ottery_kit::{Host, Service};
use ottery_proto::notification::v1::notification_service_server::NotificationServiceServer;
use tonic::service::Routes;

pub use config::{Config, Platform, Public, Smtp, Tls};
pub use invariants::invariants;

/// Name of the service: of its database, its configuration section, its events.
pub const NAME: &str = "notification";
/// Documented defaults of every setting.
pub const DEFAULTS: &str = include_str!("../config.default.toml");
/// The schema.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Connects; serves nothing yet.
///
/// # Errors
/// A setting cannot be, those of the mail server contradict themselves, or the database cannot be reached.
pub async fn build(config: Config, host: Host) -> anyhow::Result<Service> {
    anyhow::ensure!(
        matches!(config.public.scheme.as_str(), "http" | "https"),
        "`notification.public.scheme` is `{}`: use http or https",
        config.public.scheme
    );
    anyhow::ensure!(
        config.lease_seconds > 0,
        "`notification.lease_seconds` is 0, so every replica would take every mail: use 1 or more (15 is usual)"
    );
    let pool = host.pool(NAME).await?;
    let app = app::App::new(pool.clone(), host.clone(), config)?;
    let (sender, drained) = (app.clone(), app.clone());
    Ok(Service::new(NAME, &host, pool)
        .grpc(Routes::new(NotificationServiceServer::new(grpc::Api::new(app.clone()))))
        .consumer(events::consume::brands_group(), events::consume::Brands)
        .consumer(events::consume::mails_group(), events::consume::Mails { app: app.clone() })
        .consumer(events::consume::subscriptions_group(), events::consume::Subscriptions { app })
        .worker("mail sender", move |context| app::send::run(sender.clone(), context.shutdown))
        .due(move |brand, _| {
            let app = drained.clone();
            async move { app.waiting(brand).await }
        }))
}
