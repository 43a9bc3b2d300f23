//! Tells the metrics which brands' suspensions are stopped, so that somebody is woken.

use std::collections::HashSet;
use std::time::Duration;

use ottery_kernel::BrandId;
use ottery_kit::WorkerContext;

use crate::app::Billing;
use crate::store;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(15);

/// Watches until the process stops.
///
/// # Errors
/// When the database is away; kit starts the worker again.
pub async fn watch(billing: Billing, context: WorkerContext) -> anyhow::Result<()> {
    let halted = billing.host.metrics.gauge(
        "ottery_billing_suspensions_halted",
        "1 for a brand whose suspensions were stopped by the guard and wait for staff",
    );
    let mut known: HashSet<BrandId> = HashSet::new();
    loop {
        let now: HashSet<BrandId> = store::suspension::halted_brands(&billing.pool).await?.into_iter().collect();
        for brand in known.union(&now) {
            halted.set(&[("brand", &brand.to_string())], if now.contains(brand) { 1.0 } else { 0.0 });
        }
        known = now;
        tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
