//! Looking after panels: connection tests, test clocks of simulated panels, comparison of all lines.

use std::collections::HashMap;
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
use crate::app::reconcile::password_place;
use crate::domain::Goal;
use crate::domain::plan::{self, Action, Rules};
use crate::driver::{Cause, LineKey, LineRef, LineState, PanelError, PanelInfo};
use crate::events::publish;
use crate::store::panel::{self, Due, Row};
use crate::store::{due, service, task};

/// Channel on which a commit says that a panel wants to be looked at.
pub const CHANNEL: &str = "ottery_provisioning_panel";
/// Lease of one look; a comparison of all lines may take longer and is then done twice, which does no harm.
const LEASE: Duration = Duration::from_secs(120);
/// How often a panel that is down is tried at least.
const DOWN_EVERY: Duration = Duration::from_secs(10);
/// Panels looked at with one claim.
const BATCH: i64 = 8;
/// Services compared in one transaction.
const COMPARED_AT_ONCE: i64 = 200;

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
        match panel::claim(&app.pool, BATCH, LEASE, app.config.health.drift_every()).await {
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
    let row = probe(app, &connected, look.brand).await?;
    if look.drift && row.health != "down" {
        compare(app, &connected, look.brand).await?;
    }
    Ok(Some(row))
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
            kind: "panel_problem".to_owned(),
            service: None,
            panel: Some(row.id),
            summary: format!("panel `{}`: {}", row.name, row.problem),
            remedy: row.remedy.clone(),
        };
        task::open(&mut tx, brand, &new, now).await?;
    } else if moved {
        task::close_of_panel(&mut tx, row.id, now).await?;
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
    Ok(row)
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

/// Compares every line of a panel with what is wanted. Only our own lines are touched: what differs is noted and made
/// due, what is missing becomes a task by the ordinary plan. Lines of others are left alone.
async fn compare(app: &App, connected: &Connected, brand: BrandId) -> anyhow::Result<()> {
    let lists = connected.driver.caps().list;
    let lines = if lists {
        let Some(lines) = all_lines(connected).await else { return Ok(()) };
        lines
    } else {
        HashMap::new()
    };
    let mut before = None;
    loop {
        let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
        let rows = service::page(&mut tx, None, Some(connected.row.id), before, COMPARED_AT_ONCE).await?;
        tx.commit().await?;
        let Some(last) = rows.last() else { return Ok(()) };
        before = Some((last.created_at, last.id));
        for row in &rows {
            let Some(id) = &row.line_id else { continue };
            if !lists {
                if let Some(found) = look(app, connected, row, id).await?
                    && differs(app, connected, row, found.as_ref())?
                {
                    note_drift(app, brand, row, found.is_some()).await?;
                }
                continue;
            }
            let line = lines.get(id).filter(|line| line.username == row.username);
            let whole = match line {
                Some(line) if is_silent(connected, row, line) => read_whole(connected, line).await,
                Some(_) | None => None,
            };
            let line = whole.as_ref().or(line);
            if differs(app, connected, row, line)? {
                note_drift(app, brand, row, line.is_some()).await?;
            }
        }
    }
}

/// Every line of the panel by its id; nothing when they cannot be read now.
async fn all_lines(connected: &Connected) -> Option<HashMap<String, LineState>> {
    let mut lines = HashMap::new();
    let mut cursor = None;
    loop {
        let place = connected.gate.enter(1).await;
        let page = connected.driver.list(cursor).await;
        drop(place);
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(panel.id = %connected.id(), %error, "lines could not be compared this time");
                return None;
            }
        };
        lines.extend(page.items.into_iter().map(|line| (line.id.clone(), line)));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Some(lines),
        }
    }
}

/// One line of a panel that lists none: as it is, or gone. Nothing when it cannot be read now.
async fn look(
    app: &App,
    connected: &Connected,
    row: &service::Row,
    id: &str,
) -> anyhow::Result<Option<Option<LineState>>> {
    let Some(sealed) = &row.password_sealed else { return Ok(None) };
    let password = app.host.keyring.open_text(&password_place(row), sealed)?;
    let line = LineRef { id: id.to_owned(), username: row.username.clone(), password };
    let place = connected.gate.enter(1).await;
    let found = connected.driver.find(&LineKey::Line(line)).await;
    drop(place);
    Ok(match found {
        // Another line with our name and password is not ours, so that ours is gone.
        Ok(found) => Some(found.filter(|found| found.id == id)),
        Err(error) => {
            tracing::warn!(panel.id = %connected.id(), %error, "a line could not be compared this time");
            None
        }
    })
}

/// Whether a row of the list leaves out a lock we would write, so that the line itself has to be read.
fn is_silent(connected: &Connected, row: &service::Row, line: &LineState) -> bool {
    let hides_lock = row.isp_lock.is_some() && line.isp_locked.is_none();
    let hides_country = row.country_lock.is_some() && line.country.is_none();
    connected.driver.caps().absolute_expiry && row.wanted == Goal::Active.as_str() && (hides_lock || hides_country)
}

/// The line itself; nothing when it cannot be read now, and what the list says has to do.
async fn read_whole(connected: &Connected, line: &LineState) -> Option<LineState> {
    let place = connected.gate.enter(1).await;
    let found = connected.driver.find(&LineKey::Line(line.reference())).await;
    drop(place);
    match found {
        Ok(found) => found.filter(|found| found.username == line.username),
        Err(error) => {
            tracing::warn!(panel.id = %connected.id(), %error, "the locks of a line could not be compared this time");
            None
        }
    }
}

/// Whether the panel shows something else than what was last seen and wanted.
fn differs(app: &App, connected: &Connected, row: &service::Row, line: Option<&LineState>) -> anyhow::Result<bool> {
    if row.open_call.is_some() {
        return Ok(false);
    }
    let Some(line) = line else { return Ok(true) };
    let mut shown = row.clone();
    let now = SystemClock.now();
    shown.see(line, now);
    let settings = &app.config.reconcile;
    let rules = Rules {
        time: connected.time(row.package),
        settle_s: settings.settle_s,
        unknown_deadline_s: settings.unknown_deadline_s,
    };
    let action = plan::plan(&shown.wanted()?, &shown.observed()?, None, now, &rules);
    Ok(!matches!(action, Action::Rest(_)))
}

/// Has the line read by the reconciler, which then writes our truth over it or hands it to a person.
async fn note_drift(app: &App, brand: BrandId, row: &service::Row, is_there: bool) -> anyhow::Result<()> {
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let Some(mut fresh) = service::lock(&mut tx, row.service_id()).await? else { return Ok(()) };
    if fresh.open_call.is_some() || fresh.line_id != row.line_id {
        return Ok(());
    }
    tracing::warn!(service.id = %row.service_id(), is_there, "the line was changed on the panel by somebody else");
    app.host
        .metrics
        .counter("ottery_reconcile_differences", "Lines that others changed")
        .inc(&[("missing", if is_there { "no" } else { "yes" })]);
    fresh.verify_at = Some(DateTime::<Utc>::UNIX_EPOCH);
    service::save(&mut tx, &fresh).await?;
    due::wake(&mut tx, fresh.service_id()).await?;
    tx.commit().await?;
    Ok(())
}
