//! Who looks for work, for as long as the process lives.

use std::sync::Arc;

use ottery_kit::WorkerContext;

use crate::app::Billing;
use crate::store;

/// Brands looked at in one round; the others come in the next.
const BRANDS_MAX: i64 = 64;

/// Works off due subscriptions until the process stops. Several of them share the work: while one waits for the database,
/// another decides.
///
/// # Errors
/// When the database is away; kit starts the worker again.
pub async fn run(billing: Arc<Billing>, context: WorkerContext) -> anyhow::Result<()> {
    let lag = billing.host.metrics.gauge(
        "ottery_billing_renewal_lag_seconds",
        "How long the first due subscription has been waiting for a scheduler; brands on test clocks do not count",
    );
    loop {
        let mut worked = 0;
        let now = billing.clock.now();
        let due = store::due::brands(&billing.pool, now, BRANDS_MAX).await?;
        let oldest = due.iter().filter_map(|due| due.waiting_since).min();
        lag.set(&[], oldest.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0)));
        for brand in due.into_iter().map(|due| due.brand) {
            if context.shutdown.is_cancelled() {
                return Ok(());
            }
            // One brand's defect must not keep the others from their renewals.
            match billing.run_batch(brand).await {
                Ok(count) => worked += count,
                Err(error) => {
                    tracing::error!(brand.id = %brand, error = format!("{error:#}"), "a renewal batch failed")
                }
            }
        }
        if worked == 0 {
            tokio::select! {
                () = context.shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(billing.config.renewals.poll()) => {}
            }
        }
    }
}
