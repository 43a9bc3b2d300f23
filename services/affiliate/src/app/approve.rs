//! The end of the hold window, by each brand's own time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_kit::clock;
use ottery_kit::db::{Scope, begin};
use tokio_util::sync::CancellationToken;

use super::App;
use crate::events::publish;
use crate::store::commission;

const BATCH: i64 = 200;
/// Commissions wait for days; brands on a test clock are worked off when asked for what is due.
const PAUSE: Duration = Duration::from_secs(1);

/// Worker: approves what is due, batch by batch, brand by brand. Any number of replicas may run it.
pub async fn run_approvals(app: App, shutdown: CancellationToken) -> anyhow::Result<()> {
    loop {
        let brands = commission::brands_with_pending(&mut *app.pool.acquire().await?).await?;
        for brand in brands {
            while !shutdown.is_cancelled() && app.approve_batch(brand).await? == BATCH {}
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// What of a brand is due at its time; for the test clock.
pub async fn due(app: App, brand: BrandId, now: DateTime<Utc>) -> anyhow::Result<Option<String>> {
    let count = commission::count_due(&mut *app.pool.acquire().await?, brand, now).await?;
    Ok((count > 0).then(|| format!("{count} commissions to approve")))
}

impl App {
    /// Approves up to a batch of a brand's due commissions; gives their number.
    pub async fn approve_batch(&self, brand: BrandId) -> sqlx::Result<i64> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let now = clock::brand_now(&mut tx, brand, &*self.clock).await?;
        let mut count = 0;
        for before in commission::lock_due(&mut tx, now, BATCH).await? {
            if let Some(after) = before.approve(now) {
                commission::update(&mut tx, brand, &after).await?;
                publish::changed(&mut tx, brand, &after, Some(before.state), now).await?;
                count += 1;
            }
        }
        tx.commit().await?;
        Ok(count)
    }
}
