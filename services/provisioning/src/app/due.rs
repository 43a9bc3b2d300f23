//! Whether a brand has nothing left to do here.

use ottery_kernel::BrandId;
use ottery_kit::db::{self, Scope};

use super::App;
use crate::store::{due, panel};

/// What is left for a brand, in words. Services that wait for a panel or a person do not count: nothing of ours moves
/// them on.
///
/// # Errors
/// The database.
pub async fn waiting(app: App, brand: BrandId) -> anyhow::Result<Option<String>> {
    let busy = due::busy_of_brand(&app.pool, brand).await?;
    if busy > 0 {
        return Ok(Some(format!("{busy} services to bring in line with their panels")));
    }
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let behind = panel::clocks_behind(&mut tx).await?;
    tx.commit().await?;
    Ok((behind > 0).then(|| format!("{behind} simulated panels to be told the time")))
}
