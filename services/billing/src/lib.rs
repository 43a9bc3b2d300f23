#![doc = include_str!("../README.md")]

pub mod app;
pub mod config;
pub mod contract;
pub mod domain;
pub mod events;
pub mod grpc;
pub mod provider;
pub mod store;
pub mod validator;

use std::sync::Arc;

use ottery_kit::doctor::Finding;
use ottery_kit::{Host, Service};
use ottery_proto::billing::v1::billing_service_server::BillingServiceServer;
use ottery_proto::billing::v1::dunning_service_server::DunningServiceServer;
use ottery_proto::billing::v1::gift_service_server::GiftServiceServer;
use ottery_proto::billing::v1::reseller_service_server::ResellerServiceServer;
use ottery_proto::billing::v1::screening_service_server::ScreeningServiceServer;
use ottery_proto::billing::v1::time_machine_service_server::TimeMachineServiceServer;
use sqlx::PgPool;

use app::Billing;
pub use config::Config;

/// The service's name: of its database, its settings and its address in the directory.
pub const NAME: &str = "billing";
/// Every setting with its default and what it means.
pub const DEFAULTS: &str = include_str!("../config.default.toml");
/// The scratch database of the time machine and its role are called so; it is provisioned with the others.
pub const SCRATCH: &str = app::time_machine::SCRATCH;
/// The schema.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Connects; serves nothing yet.
///
/// # Errors
/// When the database cannot be used; the message says what to do.
pub async fn build(config: Config, host: Host) -> anyhow::Result<Service> {
    let pool = host.pool(NAME).await?;
    let billing = Billing::new(config, &host, pool.clone())?;
    let routes = tonic::service::Routes::new(
        BillingServiceServer::new(grpc::service::BillingGrpc { app: billing.clone() })
            .max_decoding_message_size(grpc::MESSAGE_BYTES_MAX),
    )
    .add_service(DunningServiceServer::new(grpc::dunning::DunningGrpc { app: billing.clone() }))
    .add_service(GiftServiceServer::new(grpc::gift::GiftGrpc { app: billing.clone() }))
    .add_service(ResellerServiceServer::new(grpc::reseller::ResellerGrpc { app: billing.clone() }))
    .add_service(ScreeningServiceServer::new(grpc::screening::ScreeningGrpc { app: billing.clone() }))
    .add_service(TimeMachineServiceServer::new(grpc::time_machine::TimeMachineGrpc { app: billing.clone() }));
    let (counting, watching) = (billing.clone(), billing.clone());
    let expiring = Arc::new(billing.clone());
    let mut service = Service::new(NAME, &host, pool)
        .grpc(routes)
        .consumer(events::consume::brands(), events::consume::KeepBrand { clock: host.clock.clone() })
        .consumer(events::consume::taxes(), events::consume::KeepTaxes)
        .worker("suspension-watch", move |context| app::dunning::watch(watching.clone(), context));
    for _ in 0..billing.config.renewals.workers {
        let scheduler = Arc::new(billing.clone());
        service = service.worker("renewals", move |context| app::renewals::run(scheduler.clone(), context));
    }
    let recognising = Arc::new(billing.clone());
    let service = service.worker("revenue", move |context| app::deferral::run(recognising.clone(), context));
    let service = service.worker("wallet-expiry", move |context| app::wallet::run(expiring.clone(), context));
    let announcing = Arc::new(billing.clone());
    let service = service.worker("method-expiry", move |context| app::payment::announce(announcing.clone(), context));
    let serving = Arc::new(billing.clone());
    let service = service.worker("resellers", move |context| app::reseller::run(serving.clone(), context));
    let travelling = Arc::new(billing.clone());
    let service = service.worker("time-machine", move |context| app::time_machine::run(travelling.clone(), context));
    let service = service.due(move |brand, now| {
        let billing = counting.clone();
        async move { billing.still_due(brand, now).await }
    });
    Ok(app::payment::workers(&billing, service))
}

/// Checks what must be true of the data at any moment.
///
/// # Errors
/// When the database fails.
pub async fn invariants(pool: &PgPool) -> anyhow::Result<Vec<Finding>> {
    app::invariants::check(pool).await
}
