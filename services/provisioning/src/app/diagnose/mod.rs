//! The connection test that explains itself: every step with what was seen, its cause and its remedy.

pub mod line;
mod network;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, Clock as _, PanelId, SystemClock};
use ottery_kit::audit;
use ottery_kit::db::{self, Scope};
use ottery_kit::grpc::{Actor, Problem};

use super::App;
use super::health;
use super::panel::read;
use super::panels::Connected;
use crate::domain::diagnosis::{self, Asks, Name, Step, Verdict};
use crate::driver::{Catalog, Cause, Kind, PanelError};
use crate::store::panel::Row;

/// Longest wait for the list of what can be sold.
const CATALOG_PATIENCE: Duration = Duration::from_secs(10);

/// What was found.
pub struct Diagnosis {
    pub at: DateTime<Utc>,
    pub steps: Vec<Step>,
    /// The panel with its health after the test.
    pub row: Row,
}

impl Diagnosis {
    /// The worst of the steps.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        diagnosis::worst(&self.steps)
    }
}

/// Tests the connection step by step and stores the panel's health; on request with a line that is made, suspended and removed. Whoever
/// asked may go away meanwhile: what was begun is ended.
///
/// # Errors
/// No such panel; what is wrong with the panel itself is in the steps.
pub async fn run(app: &App, actor: &Actor, brand: BrandId, id: PanelId, with_line: bool) -> Result<Diagnosis, Problem> {
    let row = read(app, brand, id).await?;
    if with_line {
        let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
        audit::append(&mut tx, actor, "panel.test_line", id, None, None).await?;
        tx.commit().await?;
    }
    let app = app.clone();
    let work = tokio::spawn(async move { of(&app, brand, row, with_line).await });
    match work.await {
        Ok(found) => Ok(found?),
        Err(error) => Err(Problem::internal(&error)),
    }
}

async fn of(app: &App, brand: BrandId, row: Row, with_line: bool) -> anyhow::Result<Diagnosis> {
    let at = SystemClock.now();
    let connected = app.panels.connect(&row)?;
    let (mut steps, is_reached) = network::steps(app, &row.base_url).await;
    let kind = Kind::parse(&row.driver).map_or_else(|| row.driver.clone(), |kind| kind.title().to_owned());
    let buys = connected.driver.caps().reseller_credits;
    let egress = app.config.egress_address.clone();
    let asks = Asks { kind: &kind, buys, egress: &egress };
    // Asked even when the network is in the way: the panel's health is stored with it.
    let started = Instant::now();
    let (row, found) = health::probe_telling(app, &connected, brand).await?;
    let mut catalog = Catalog::default();
    if is_reached {
        let time = found.as_ref().ok().and_then(|info| info.panel_time);
        let clock = diagnosis::clock(time, row.clock_skew_ms, app.config.health.skew_warn_ms);
        let mut api = diagnosis::api(&found, asks, clock);
        if let Some(first) = api.first_mut() {
            first.took = started.elapsed();
        }
        steps.extend(api);
        if found.is_ok() {
            let started = Instant::now();
            let offered = offered(&connected).await;
            steps.push(diagnosis::packages(&offered, asks).took(started.elapsed()));
            catalog = offered.unwrap_or_default();
        }
    } else {
        steps.extend(Name::CONNECTION[3..].iter().map(|name| Step::skipped(*name, "not reached")));
    }
    if with_line {
        if steps.iter().any(|step| step.verdict == Verdict::Bad && step.name != Name::Credits) {
            steps.extend(Name::LINE.map(|name| Step::skipped(name, "not tried: the connection comes first")));
        } else {
            steps.extend(line::steps(app, &connected, brand, &catalog).await?);
        }
    }
    Ok(Diagnosis { at, steps, row })
}

async fn offered(connected: &Connected) -> Result<Catalog, PanelError> {
    let place = connected.gate.enter(2).await;
    let found = tokio::time::timeout(CATALOG_PATIENCE, connected.driver.catalog()).await;
    drop(place);
    found.unwrap_or_else(|_| Err(PanelError::retryable(Cause::Timeout)))
}
