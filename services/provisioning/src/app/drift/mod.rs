//! The drift doctor: compares every panel with what is wanted there, and says what differs. It writes nothing on a panel by itself:
//! what a person or a rule has repaired is the reconciler's work.

pub mod decide;
mod judge;
mod read;
mod repair;
pub mod rules;
mod scan;
mod work;

pub use read::{Summary, page, scan_now, summaries};
pub use work::run;

use ottery_kernel::PanelId;
use ottery_kit::telemetry::Gauge;
use sqlx::postgres::PgTransaction;

use super::App;
use crate::domain::drift::Kind;
use crate::store::drift;

fn gauge(app: &App) -> Gauge {
    app.host.metrics.gauge("ottery_drift_open", "Differences between panels and what is wanted there")
}

/// Says nothing more of a panel that is gone.
pub(super) fn forget(app: &App, panel: PanelId) {
    for kind in Kind::ALL {
        gauge(app).remove(&[("panel", &panel.to_string()), ("kind", kind.as_str())]);
    }
}

/// Says how many differences of each kind are open on a panel.
async fn count(app: &App, tx: &mut PgTransaction<'_>, panel: PanelId) -> sqlx::Result<()> {
    let open = drift::open(tx, Some(panel)).await?;
    let gauge = gauge(app);
    let panel = panel.to_string();
    for kind in Kind::ALL {
        let count = open.iter().find(|count| count.kind == kind.as_str()).map_or(0, |count| count.count);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        gauge.set(&[("panel", &panel), ("kind", kind.as_str())], f64::from(count));
    }
    Ok(())
}
