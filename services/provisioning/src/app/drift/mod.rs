//! The drift doctor: compares every panel with what is wanted there, and says what differs. It writes nothing on a panel by itself:
//! what a person or a rule has repaired is the reconciler's work.

pub mod decide;
mod judge;
mod read;
mod repair;
pub mod rules;
mod scan;

pub use read::{Summary, page, scan_now, summaries};
pub use scan::run;

use ottery_kernel::PanelId;
use sqlx::postgres::PgTransaction;

use super::App;
use crate::domain::drift::Kind;
use crate::store::drift;

/// Says how many differences of each kind are open on a panel.
pub(super) async fn count(app: &App, tx: &mut PgTransaction<'_>, panel: PanelId) -> sqlx::Result<()> {
    let open = drift::open(tx, Some(panel)).await?;
    let gauge = app.host.metrics.gauge("ottery_drift_open", "Differences between panels and what is wanted there");
    let panel = panel.to_string();
    for kind in Kind::ALL {
        let count = open.iter().find(|count| count.kind == kind.as_str()).map_or(0, |count| count.count);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        gauge.set(&[("panel", &panel), ("kind", kind.as_str())], f64::from(count));
    }
    Ok(())
}
