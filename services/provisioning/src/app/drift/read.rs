//! Reading differences and how far scans got.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, PanelId};
use ottery_kit::audit;
use ottery_kit::db::{self, Scope};
use ottery_kit::grpc::{Actor, Problem};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use crate::app::App;
use crate::app::read::Before;
use crate::domain::drift::{Kind, State};
use crate::store::drift::{Count, Filter, Row};
use crate::store::{drift, drift_scan, panel};

/// How far the comparison of a panel got, and what is open there.
pub struct Summary {
    pub panel: panel::Row,
    /// Whether the panel's API lists its lines.
    pub lists: bool,
    pub scan: Option<drift_scan::Row>,
    pub next_at: Option<DateTime<Utc>>,
    pub open: Vec<Count>,
}

impl Summary {
    /// `never`, `running`, `done` or `stopped`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match &self.scan {
            None => "never",
            Some(scan) if !scan.problem_code.is_empty() => "stopped",
            Some(scan) if scan.phase == "done" => "done",
            Some(_) => "running",
        }
    }
}

/// A page of differences with the names of their panels.
///
/// # Errors
/// A kind or state that is none.
pub async fn page(
    app: &App,
    brand: BrandId,
    filter: Filter,
    (before, limit): (Before, i64),
) -> Result<(Vec<Row>, HashMap<Uuid, String>), Problem> {
    if let Some(kind) = &filter.kind {
        super::rules::kind_of("kind", kind)?;
    }
    if let Some(state) = filter.state.as_ref().filter(|state| State::parse(state).is_none()) {
        let words = State::ALL.map(State::as_str).join(", ");
        let why = format!("`{state}` is no state; it is one of {words}");
        return Err(Problem::invalid("state", "DRIFT_STATE_INVALID", why));
    }
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let rows = drift::page(&mut tx, &filter, before, limit).await?;
    let names = panel::all(&mut tx).await?.into_iter().map(|row| (row.id, row.name)).collect();
    tx.commit().await?;
    Ok((rows, names))
}

/// Every panel of the brand with its scan.
///
/// # Errors
/// The database.
pub async fn summaries(app: &App, brand: BrandId) -> Result<Vec<Summary>, Problem> {
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let found = read(app, &mut tx, brand).await?;
    tx.commit().await?;
    Ok(found)
}

async fn read(app: &App, tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<Vec<Summary>> {
    let panels = panel::all(tx).await?;
    let mut scans: HashMap<Uuid, drift_scan::Row> =
        drift_scan::all(tx).await?.into_iter().map(|scan| (scan.panel_id, scan)).collect();
    let due: HashMap<Uuid, DateTime<Utc>> = drift_scan::due(tx, brand).await?.into_iter().collect();
    let open = drift::open(tx, None).await?;
    Ok(panels
        .into_iter()
        .map(|panel| Summary {
            lists: app.panels.connect(&panel).is_ok_and(|connected| connected.driver.caps().list),
            scan: scans.remove(&panel.id),
            next_at: due.get(&panel.id).copied(),
            open: open.iter().filter(|count| count.panel_id == panel.id).cloned().collect(),
            panel,
        })
        .collect())
}

/// Makes the next scan of a panel due now.
///
/// # Errors
/// No such panel.
pub async fn scan_now(app: &App, actor: &Actor, brand: BrandId, id: PanelId) -> Result<Summary, Problem> {
    let missing = || Problem::not_found("PANEL_NOT_FOUND", format!("there is no panel {id} in this brand"));
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    panel::get(&mut tx, id).await?.ok_or_else(missing)?;
    drift_scan::due_now(&mut tx, id).await?;
    audit::append(&mut tx, actor, "drift.scan", id, None, None).await?;
    let found = read(app, &mut tx, brand).await?.into_iter().find(|one| one.panel.panel_id() == id);
    tx.commit().await?;
    found.ok_or_else(missing)
}

impl Summary {
    /// How many of a kind are open.
    #[must_use]
    pub fn open_of(&self, kind: Kind) -> i64 {
        self.open.iter().find(|count| count.kind == kind.as_str()).map_or(0, |count| count.count)
    }
}
