//! What people decide about differences, one or many at once.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, DriftId, PanelId, ServiceId};
use ottery_kit::audit;
use ottery_kit::db::{self, Scope};
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::secret::Secret;
use serde_json::json;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::judge::action_of;
use super::{count, repair};
use crate::app::App;
use crate::domain::Goal;
use crate::domain::drift::{Kind, State};
use crate::driver::{LineKey, LineRef};
use crate::store::drift::{self, Filter, Row};
use crate::store::{drift_scan, panel, service};

/// Differences decided with one call; whoever has more asks again.
pub const AT_ONCE: usize = 1_000;
/// Ids written into the audit chain.
const IDS_MAX: usize = 50;
/// Characters of a reason.
const REASON_MAX: usize = 500;

/// What is decided about which differences.
#[derive(Clone, Debug)]
pub struct Decision {
    /// `repair`, `adopt`, `ignore` or `reopen`.
    pub action: String,
    /// These; when there are none, everything open of the filter.
    pub ids: Vec<DriftId>,
    pub panel: Option<PanelId>,
    pub kind: Option<String>,
    /// Whose line a stranger becomes.
    pub service: Option<ServiceId>,
    pub reason: String,
    pub is_dry_run: bool,
    /// Refused unless it would change so many; 0: whatever it is.
    pub expected: u32,
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub changed: u32,
    /// Differences that stay as they are, by code, with why.
    pub left: BTreeMap<&'static str, (&'static str, u32)>,
    pub more: bool,
}

const GONE: (&str, &str) = ("gone", "no scan sees it any more");
const ALREADY: (&str, &str) = ("already", "that was decided already");
const STRANGER: (&str, &str) = ("stranger", "a stranger's line is never written: adopt it for a service, or ignore it");
const NEEDS_SERVICE: (&str, &str) =
    ("needs_service", "a stranger is adopted by itself, for the service whose line it becomes");
const PACKAGES: (&str, &str) =
    ("packages", "a key that buys packages writes no fields; set it right on the panel, or adopt it");
const IN_FLIGHT: (&str, &str) = ("in_flight", "a call for its service is under way; the next scan looks again");

/// Decides.
///
/// # Errors
/// Names the field and the rule; when it would be another number than expected; for a stranger, when its line or the service is not as
/// it has to be.
pub async fn decide(app: &App, actor: &Actor, brand: BrandId, decision: Decision) -> Result<Outcome, Problem> {
    let state = checked(&decision)?;
    let given = match decision.service {
        Some(service) if state == State::Adopted => Some((service, given(app, brand, &decision).await?)),
        Some(_) => {
            return Err(Problem::invalid(
                "service_id",
                "DRIFT_SERVICE",
                "only a stranger that is adopted needs a service",
            ));
        }
        None => None,
    };
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let mut rows = chosen(&mut tx, &decision, state).await?;
    let mut outcome = Outcome { more: rows.len() > AT_ONCE, ..Outcome::default() };
    rows.truncate(AT_ONCE);
    let now = drift_scan::now(&mut tx).await?;
    let absolute = absolute(app, &mut tx).await?;
    let mut done = Vec::new();
    for mut row in rows {
        let may_write = absolute.get(&row.panel_id).copied().unwrap_or(false);
        if let Err((code, why)) = fits(&row, state, may_write, given.is_some())? {
            outcome.left.entry(code).or_insert((why, 0)).1 += 1;
            continue;
        }
        if let Some((service, password)) = &given {
            adopt(app, &mut tx, &row, *service, password, now).await?;
            // The line has an owner now, so that nothing is left to see.
            row.closed_at = Some(now);
        } else if state == State::Repaired && !repair::order(&mut tx, &row).await? {
            outcome.left.entry(IN_FLIGHT.0).or_insert((IN_FLIGHT.1, 0)).1 += 1;
            continue;
        }
        state.as_str().clone_into(&mut row.state);
        row.decided_at = Some(now);
        row.decided_by.clone_from(&actor.subject);
        row.reason.clone_from(&decision.reason);
        drift::save(&mut tx, &row).await?;
        outcome.changed += 1;
        done.push(row);
    }
    if decision.expected != 0 && decision.expected != outcome.changed {
        let why = format!("it would be {} now and not {}; look at them again", outcome.changed, decision.expected);
        return Err(Problem::conflict("DRIFT_MOVED", why).with("changed", outcome.changed));
    }
    if decision.is_dry_run || done.is_empty() {
        tx.rollback().await?;
        return Ok(outcome);
    }
    let ids: Vec<String> = done.iter().take(IDS_MAX).map(|row| DriftId::from_uuid(row.id).to_string()).collect();
    let target = match ids.as_slice() {
        [only] => only.clone(),
        _ => decision.panel.map_or_else(|| brand.to_string(), |panel| panel.to_string()),
    };
    let after = json!({
        "count": done.len(), "ids": ids, "kind": decision.kind, "reason": decision.reason,
        "service": decision.service.map(|id| id.to_string()),
    });
    audit::append(&mut tx, actor, action_of(state), target, None, Some(after)).await?;
    let panels: std::collections::BTreeSet<Uuid> = done.iter().map(|row| row.panel_id).collect();
    for panel in panels {
        count(app, &mut tx, PanelId::from_uuid(panel)).await?;
    }
    tx.commit().await?;
    Ok(outcome)
}

fn checked(decision: &Decision) -> Result<State, Problem> {
    let state = match decision.action.as_str() {
        "repair" => State::Repaired,
        "adopt" => State::Adopted,
        "ignore" => State::Ignored,
        "reopen" => State::Open,
        _ => {
            let why = "the action is one of repair, adopt, ignore and reopen";
            return Err(Problem::invalid("action", "DRIFT_ACTION_INVALID", why));
        }
    };
    if let Some(kind) = &decision.kind {
        super::rules::kind_of("kind", kind)?;
    }
    if decision.ids.len() > AT_ONCE {
        return Err(Problem::invalid("ids", "DRIFT_TOO_MANY", format!("at most {AT_ONCE} at once")));
    }
    if decision.reason.chars().count() > REASON_MAX {
        return Err(Problem::invalid("reason", "REASON_LONG", format!("at most {REASON_MAX} characters")));
    }
    if decision.service.is_some() && decision.ids.len() != 1 {
        return Err(Problem::invalid("service_id", "DRIFT_SERVICE", "name the one stranger that the service gets"));
    }
    Ok(state)
}

async fn chosen(tx: &mut PgTransaction<'_>, decision: &Decision, state: State) -> sqlx::Result<Vec<Row>> {
    if !decision.ids.is_empty() {
        let ids: Vec<Uuid> = decision.ids.iter().map(|id| id.as_uuid()).collect();
        return drift::lock_these(tx, &ids).await;
    }
    let filter = Filter {
        panel: decision.panel.map(|id| id.as_uuid()),
        kind: decision.kind.clone(),
        state: (state != State::Open).then(|| State::Open.as_str().to_owned()),
    };
    drift::lock_fitting(tx, &filter, i64::try_from(AT_ONCE).unwrap_or(i64::MAX) + 1).await
}

/// On which panels fields of lines can be written.
async fn absolute(app: &App, tx: &mut PgTransaction<'_>) -> sqlx::Result<HashMap<Uuid, bool>> {
    let rows = panel::all(tx).await?;
    let writes = |row: &panel::Row| app.panels.connect(row).is_ok_and(|one| one.driver.caps().absolute_expiry);
    Ok(rows.iter().map(|row| (row.id, writes(row))).collect())
}

type Fits = Result<(), (&'static str, &'static str)>;

fn fits(row: &Row, state: State, absolute: bool, has_service: bool) -> Result<Fits, Problem> {
    let kind = row.kind().map_err(sqlx::Error::from)?;
    let was = row.known().map_err(sqlx::Error::from)?.state;
    Ok(match state {
        _ if row.closed_at.is_some() => Err(GONE),
        _ if was == state => Err(ALREADY),
        State::Open if was == State::Repaired => Err(ALREADY),
        State::Repaired if kind == Kind::Stranger => Err(STRANGER),
        State::Repaired if !kind.is_repairable(absolute) => Err(PACKAGES),
        State::Adopted if kind == Kind::Stranger && !has_service => Err(NEEDS_SERVICE),
        State::Repaired | State::Adopted | State::Ignored | State::Open | State::Gone => Ok(()),
    })
}

/// The password of the stranger that a service gets, as the panel has it now. No transaction is open meanwhile.
async fn given(app: &App, brand: BrandId, decision: &Decision) -> Result<Secret, Problem> {
    let ids: Vec<Uuid> = decision.ids.iter().map(|id| id.as_uuid()).collect();
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let row = drift::lock_these(&mut tx, &ids).await?.pop();
    let row = row.ok_or_else(|| Problem::not_found("DRIFT_NOT_FOUND", "there is no such difference in this brand"))?;
    if row.kind != Kind::Stranger.as_str() {
        return Err(Problem::invalid("service_id", "DRIFT_SERVICE", "only a stranger that is adopted needs a service"));
    }
    let panel = panel::get(&mut tx, PanelId::from_uuid(row.panel_id)).await?;
    tx.commit().await?;
    let panel = panel.ok_or_else(|| Problem::not_found("PANEL_NOT_FOUND", "the panel is gone"))?;
    let connected =
        app.panels.connect(&panel).map_err(|error| Problem::refused("PANEL_UNUSABLE", error.to_string()))?;
    let line = LineRef { id: row.line_id.clone(), username: row.username.clone(), password: Secret::default() };
    let place = connected.gate.enter(1).await;
    let found = connected.driver.find(&LineKey::Line(line)).await;
    drop(place);
    let found = found.map_err(|error| {
        Problem::unavailable("PANEL_UNAVAILABLE", format!("{error}. {}", error.remedy())).with("cause", error.code())
    })?;
    match found {
        Some(line) if line.username == row.username => Ok(line.password),
        Some(_) | None => {
            Err(Problem::refused("DRIFT_MOVED", "the line is not on the panel any more as it was seen; scan again"))
        }
    }
}

async fn adopt(
    app: &App,
    tx: &mut PgTransaction<'_>,
    drift: &Row,
    id: ServiceId,
    password: &Secret,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let mut row = service::lock(tx, id).await?.ok_or_else(crate::app::read::missing)?;
    let refuse = |why: &str| Err(Problem::refused("DRIFT_SERVICE", why.to_owned()).on_field("service_id"));
    if row.line_id.is_some() {
        return refuse("the service has a line; only one without a line can get this one");
    }
    if row.open_call.is_some() {
        return refuse("a call for the service is under way; try again in a moment");
    }
    if row.wanted == Goal::Terminated.as_str() {
        return refuse("the service has ended: its line would be deleted on the panel");
    }
    repair::give(app, tx, &mut row, drift, password, now).await?;
    Ok(())
}
