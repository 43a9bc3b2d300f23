//! Looking after panels: connection tests, test clocks of simulated panels.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{BrandId, Clock as _, PanelId, SystemClock};
use ottery_kit::db::{self, Scope};
use ottery_kit::http::GuardedClient;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::App;
use super::panels::Connected;
use super::reconcile::listen;
use crate::driver::{Cause, PanelError, PanelInfo};
use crate::events::publish;
use crate::store::panel::{self, Due, Row};
use crate::store::{due, task};

/// Channel on which a commit says that a panel wants to be looked at.
pub const CHANNEL: &str = "ottery_provisioning_panel";
/// Lease of one look.
const LEASE: Duration = Duration::from_secs(120);
/// How often a panel that is down is tried at least.
const DOWN_EVERY: Duration = Duration::from_secs(10);
/// Kind of the task that a panel is down or out of credits.
const PROBLEM_TASK: &str = "panel_problem";
/// Panels looked at with one claim.
const BATCH: i64 = 8;

/// Tests panels until `shutdown`.
///
/// # Errors
/// Never by itself.
pub async fn run(app: App, shutdown: CancellationToken) -> anyhow::Result<()> {
    let wake = Arc::new(Notify::new());
    let mut side = JoinSet::new();
    side.spawn(listen(app.clone(), CHANNEL, Arc::clone(&wake), shutdown.clone()));
    let pause = Duration::from_millis(u64::try_from(app.config.breaker.probe_every_ms).unwrap_or(1_000) / 4)
        .clamp(Duration::from_millis(50), Duration::from_secs(1));
    while !shutdown.is_cancelled() {
        match panel::claim(&app.pool, BATCH, LEASE).await {
            Ok(claimed) => {
                let mut looks = JoinSet::new();
                for look in claimed {
                    let app = app.clone();
                    looks.spawn(async move { look_at(&app, look).await });
                }
                while looks.join_next().await.is_some() {}
            }
            Err(error) => tracing::warn!(%error, "cannot claim panels; trying again"),
        }
        for paused in app.panels.wanting_probe() {
            let app = app.clone();
            // A dead panel must not keep the others from being looked at.
            side.spawn(async move { revive(&app, &paused).await });
        }
        while side.try_join_next().is_some() {}
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    Ok(())
}

async fn look_at(app: &App, look: Due) {
    let every = Duration::from_secs(app.config.health.probe_every_s.max(1));
    let after = match check(app, look).await {
        // A panel that came back should not be left waiting for a whole round.
        Ok(Some(row)) if row.health == "down" => every.min(DOWN_EVERY),
        Ok(_) => every,
        Err(error) => {
            tracing::warn!(panel.id = %look.panel, error = format!("{error:#}"), "the panel could not be looked at");
            every.min(DOWN_EVERY)
        }
    };
    if let Err(error) = panel::release(&app.pool, look.panel, after).await {
        tracing::warn!(%error, "the panel is looked at again when its lease ends");
    }
}

async fn check(app: &App, look: Due) -> anyhow::Result<Option<Row>> {
    let Some(row) = read(app, look.brand, look.panel).await? else { return Ok(None) };
    if let Some(now) = row.clock_wanted.filter(|_| row.clock_wanted != row.clock_told) {
        match tell_clock(&app.http, &row.sandbox_control_url, now).await {
            Ok(()) => {
                let mut tx = db::begin(&app.pool, Scope::Brand(look.brand)).await?;
                panel::clock_told(&mut tx, look.panel, now).await?;
                tx.commit().await?;
            }
            Err(error) => {
                tracing::warn!(panel.id = %look.panel, error = format!("{error:#}"), "the simulated panel does not take the time")
            }
        }
    }
    if !row.enabled {
        return Ok(None);
    }
    let connected = app.panels.connect(&row)?;
    Ok(Some(probe(app, &connected, look.brand).await?))
}

async fn read(app: &App, brand: BrandId, id: PanelId) -> sqlx::Result<Option<Row>> {
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let row = panel::get(&mut tx, id).await?;
    tx.commit().await?;
    Ok(row)
}

/// An open breaker's connection test.
async fn revive(app: &App, connected: &Connected) {
    if let Err(error) = probe(app, connected, connected.row.brand()).await {
        tracing::warn!(panel.id = %connected.id(), error = format!("{error:#}"), "the paused panel could not be tested");
    }
}

/// Tests the connection and writes down what was found. A good test lets a paused key try again.
///
/// # Errors
/// The database; a failing panel is a result, not an error.
pub async fn probe(app: &App, connected: &Connected, brand: BrandId) -> anyhow::Result<Row> {
    probe_telling(app, connected, brand).await.map(|(row, _)| row)
}

/// As [`probe`], with what the panel answered.
///
/// # Errors
/// The database; a failing panel is a result, not an error.
pub async fn probe_telling(
    app: &App,
    connected: &Connected,
    brand: BrandId,
) -> anyhow::Result<(Row, Result<PanelInfo, PanelError>)> {
    let place = connected.gate.enter(1).await;
    let found = connected.driver.probe().await;
    drop(place);
    if found.is_ok() && connected.wants_packages() {
        match connected.driver.catalog().await {
            Ok(catalog) => connected
                .learn_packages(catalog.packages.iter().filter_map(|package| Some((package.id, package.duration_s?)))),
            Err(error) => tracing::warn!(panel.id = %connected.id(), %error, "packages are not known yet"),
        }
    }
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let Some(mut row) = panel::lock(&mut tx, connected.id()).await? else { anyhow::bail!("the panel is gone") };
    let now = ottery_kit::clock::brand_now(&mut tx, brand, &*app.host.clock).await?;
    let before = (row.health.clone(), row.problem_code.clone());
    let usable = judge(app, connected, &mut row, &found, now);
    row.checked_at = Some(now);
    let moved = before != (row.health.clone(), row.problem_code.clone());
    if moved {
        row.event_version += 1;
        publish::panel_changed(&mut tx, &row, now).await?;
        tracing::info!(panel.id = %connected.id(), health = %row.health, problem = %row.problem_code, "panel health moved");
    }
    if row.health == "down" || row.problem_code == "insufficient_credits" {
        let new = task::New {
            kind: PROBLEM_TASK.to_owned(),
            service: None,
            panel: Some(row.id),
            summary: format!("panel `{}`: {}", row.name, row.problem),
            remedy: row.remedy.clone(),
        };
        task::open(&mut tx, brand, &new, now).await?;
    } else if moved {
        task::close_of_panel(&mut tx, row.id, PROBLEM_TASK, now).await?;
    }
    panel::update_health(&mut tx, &row).await?;
    tx.commit().await?;
    if usable && connected.key.probed_well() {
        due::wake_key(&app.pool, connected.key.id).await?;
    }
    if moved && row.health != "down" {
        let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
        due::wake_unplaced(&mut tx, brand).await?;
        tx.commit().await?;
    }
    Ok((row, found))
}

/// Health, problem and remedy from the answer of a test. Returns whether paused calls may be tried again.
fn judge(
    app: &App,
    connected: &Connected,
    row: &mut Row,
    found: &Result<PanelInfo, PanelError>,
    brand_now: DateTime<Utc>,
) -> bool {
    let set = |row: &mut Row, health: &str, code: &str, problem: String, remedy: String| {
        health.clone_into(&mut row.health);
        code.clone_into(&mut row.problem_code);
        row.problem = problem;
        row.remedy = remedy;
    };
    let info = match found {
        Ok(info) => info,
        Err(error) => {
            let mut remedy = error.remedy().to_owned();
            if names_us(error) && !app.config.egress_address.is_empty() {
                remedy = format!("{remedy} Our address is {}.", app.config.egress_address);
            }
            set(row, "down", error.code(), error.to_string(), remedy);
            return false;
        }
    };
    row.credits = info.credits.map(|credits| credits.normalize().to_string()).unwrap_or_default();
    // A simulated panel on a test clock is compared with that clock, any other with ours.
    let ours = if row.clock_told.is_some() { brand_now } else { SystemClock.now() };
    row.clock_skew_ms = info.panel_time.map_or(0, |theirs| {
        // The header has whole seconds.
        let skew = (theirs - ours + TimeDelta::milliseconds(i64::from(info.latency_ms) / 2)).num_milliseconds();
        if skew.abs() < 2_000 { 0 } else { skew }
    });
    let has_credits = !connected.driver.caps().reseller_credits
        || info.credits.is_none_or(|credits| credits > rust_decimal::Decimal::ZERO);
    if !has_credits {
        let kind = crate::driver::PermKind::InsufficientCredits;
        set(row, "degraded", kind.code(), kind.to_string(), kind.remedy().to_owned());
        return false;
    }
    if row.clock_skew_ms.abs() > app.config.health.skew_warn_ms && row.clock_told.is_none() {
        let seconds = row.clock_skew_ms / 1_000;
        set(
            row,
            "degraded",
            "clock_skew",
            format!("the panel's clock is off by {seconds} s"),
            "Synchronise the panel's clock (NTP); lines would expire at the wrong time.".to_owned(),
        );
        return true;
    }
    set(row, "healthy", "", String::new(), String::new());
    true
}

/// Whether the remedy is about our address.
fn names_us(error: &PanelError) -> bool {
    use crate::driver::PermKind;
    matches!(error, PanelError::Retryable { cause: Cause::ConnectTimeout, .. })
        || matches!(error.refusal(), Some(PermKind::IpNotAllowed | PermKind::IpBanned))
}

/// Tells a simulated panel what time it is for its brand.
///
/// # Errors
/// When it does not take it.
pub async fn tell_clock(http: &GuardedClient, url: &str, now: DateTime<Utc>) -> anyhow::Result<()> {
    let body = json!({ "now": now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true) }).to_string();
    let request = http.request(Method::POST, url)?.header(CONTENT_TYPE, "application/json").body(body);
    let response = http.send(request.timeout(Duration::from_secs(5))).await?;
    let status = response.status();
    anyhow::ensure!(status.is_success(), "HTTP {status}");
    Ok(())
}
