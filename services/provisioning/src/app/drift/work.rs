//! Who scans when: panels that are due are claimed with a lease, and a scan that stopped is taken over where it is.

use std::time::Duration;

use ottery_kit::db::{self, Scope};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::scan::Scan;
use crate::app::App;
use crate::store::drift_scan;
use crate::store::panel::{self, Due};

/// Scans panels until `shutdown`.
///
/// # Errors
/// Never by itself.
pub async fn run(app: App, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut scans = JoinSet::new();
    let workers = app.config.drift.workers.max(1);
    while !shutdown.is_cancelled() {
        while scans.try_join_next().is_some() {}
        let free = i64::try_from(workers.saturating_sub(scans.len())).unwrap_or(0);
        if free > 0 {
            match drift_scan::claim(&app.pool, free, app.config.drift.lease()).await {
                Ok(claimed) => {
                    for due in claimed {
                        let (app, shutdown) = (app.clone(), shutdown.clone());
                        scans.spawn(async move { of_panel(&app, due, &shutdown).await });
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot claim panels to compare; trying again"),
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(Duration::from_millis(app.config.drift.poll_ms)) => {}
        }
    }
    while scans.join_next().await.is_some() {}
    Ok(())
}

/// Why a scan pauses.
pub(super) enum Pause {
    /// Another turn follows.
    No,
    /// It is done.
    Done,
    /// Something is in the way: later.
    Later,
    /// Somebody else has taken it over.
    Lost,
}

async fn of_panel(app: &App, due: Due, shutdown: &CancellationToken) {
    let after = loop {
        if shutdown.is_cancelled() {
            break Duration::ZERO;
        }
        match turn(app, due).await {
            Ok(Pause::No) => {}
            Ok(Pause::Done) => break app.config.drift.every(),
            Ok(Pause::Later) => break app.config.drift.retry(),
            Ok(Pause::Lost) => return,
            Err(error) => {
                tracing::warn!(panel.id = %due.panel, error = format!("{error:#}"), "the panel could not be compared");
                break app.config.drift.retry();
            }
        }
    };
    if let Err(error) = drift_scan::release(&app.pool, due.panel, after).await {
        tracing::warn!(%error, "the comparison goes on when its lease ends");
    }
}

async fn turn(app: &App, due: Due) -> anyhow::Result<Pause> {
    let mut tx = db::begin(&app.pool, Scope::Brand(due.brand)).await?;
    let Some(row) = panel::get(&mut tx, due.panel).await? else { return Ok(Pause::Done) };
    let stored = drift_scan::get(&mut tx, due.panel).await?;
    tx.commit().await?;
    // What a panel that is off or down has, nobody can say; a scan that stopped there goes on when it is back.
    if !row.enabled || row.health == "down" || row.health == "unknown" {
        return Ok(Pause::Later);
    }
    let connected = app.panels.connect(&row)?;
    let scan = Scan { app, connected: &connected, brand: due.brand };
    match stored {
        Some(row) if row.phase != "done" => {
            if !scan.is_quiet().await? {
                return Ok(Pause::Later);
            }
            match row.phase.as_str() {
                "list" => scan.list(row).await,
                "own" => scan.own(row).await,
                _ => scan.close(row).await,
            }
        }
        Some(_) | None => scan.begin().await,
    }
}
