#![doc = include_str!("../README.md")]

pub mod app;
mod config;
pub mod domain;
pub mod events;
pub mod grpc;
mod store;

use ottery_kit::doctor::Finding;
use ottery_kit::{Host, Service};
use ottery_proto::affiliate::v1::affiliate_service_server::AffiliateServiceServer;
use sqlx::PgPool;
use tonic::service::Routes;

pub use config::Config;
use events::consume;

/// Name of the service: of its database, its configuration section, its events.
pub const NAME: &str = "affiliate";
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
    let (approvals, due) = (app.clone(), app.clone());
    let mut service = Service::new(NAME, &host, pool)
        .grpc(Routes::new(AffiliateServiceServer::new(grpc::Api::new(app))))
        .consumer(consume::brands_group(), consume::Brands)
        .consumer(consume::referrals_group(), consume::Referrals)
        .due(move |brand, now| app::due(due.clone(), brand, now));
    if config.approvals {
        service = service.worker("approvals", move |context| app::run_approvals(approvals.clone(), context.shutdown));
    }
    Ok(service)
}

/// What must hold in the database besides what its constraints say.
///
/// # Errors
/// The database cannot be read.
pub async fn invariants(pool: &PgPool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = ottery_kit::doctor::invariants(pool).await?;
    let undue = sqlx::query_scalar!(
        "SELECT count(*) FROM commission c FULL JOIN due d ON d.commission_id = c.id \
         WHERE (c.state = 'pending' AND NOT c.is_held) IS DISTINCT FROM (d.commission_id IS NOT NULL)"
    )
    .fetch_one(pool)
    .await?
    .unwrap_or(0);
    if undue > 0 {
        findings.push(Finding::error(
            "commission.due",
            format!("{undue} commissions are pending and not due, or due and not pending"),
        ));
    }
    let unreversed = sqlx::query_scalar!(
        "SELECT count(*) FROM commission c JOIN (SELECT brand_id, invoice_id, sum(amount_minor) AS refunded, max(invoice_total_minor) AS total \
         FROM refund GROUP BY brand_id, invoice_id) r USING (brand_id, invoice_id) WHERE r.refunded >= r.total AND c.reversed_minor < c.amount_minor"
    )
    .fetch_one(pool)
    .await?
    .unwrap_or(0);
    if unreversed > 0 {
        findings.push(Finding::error(
            "commission.reversed",
            format!("{unreversed} commissions of fully refunded invoices were not taken back"),
        ));
    }
    let unheld = sqlx::query_scalar!(
        "SELECT count(*) FROM commission c WHERE c.state = 'pending' AND c.is_held IS DISTINCT FROM EXISTS \
         (SELECT FROM dispute d WHERE d.brand_id = c.brand_id AND d.invoice_id = c.invoice_id AND d.is_open)"
    )
    .fetch_one(pool)
    .await?
    .unwrap_or(0);
    if unheld > 0 {
        findings.push(Finding::error(
            "commission.held",
            format!("{unheld} pending commissions are held without an open dispute, or not held with one"),
        ));
    }
    Ok(findings)
}
