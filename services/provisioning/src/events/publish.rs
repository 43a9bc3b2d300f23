//! What other services hear: services and panels as the contract shows them. Never a password, never a key.

use chrono::{DateTime, Utc};
use ottery_kernel::{PanelId, SubscriptionId};
use ottery_kit::outbox::{self, Event};
use ottery_proto::billing::v1::entitlement_changed::Wanted as WantedProto;
use ottery_proto::provisioning::v1 as proto;
use prost_types::Timestamp;
use sqlx::postgres::PgTransaction;

use crate::domain::{Goal, Step};
use crate::store::{panel, service};

/// Type of the event that tells of a service.
pub const SERVICE_CHANGED: &str = "provisioning.service.changed.v1";
/// Type of the event that tells of a panel.
pub const PANEL_CHANGED: &str = "provisioning.panel.changed.v1";

/// An instant as the contract writes it.
#[must_use]
pub fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: at.timestamp(), nanos: i32::try_from(at.timestamp_subsec_nanos()).unwrap_or(0) }
}

/// Steps that are worth an event; the others pass within one call.
#[must_use]
pub const fn is_shown(step: Step) -> bool {
    match step {
        Step::Creating
        | Step::Ready
        | Step::Waiting
        | Step::Unknown
        | Step::Suspended
        | Step::Terminated
        | Step::Stuck => true,
        Step::Placing | Step::Verifying | Step::Updating => false,
    }
}

/// Tells of a service, in the transaction of the change.
pub async fn service_changed(
    tx: &mut PgTransaction<'_>,
    row: &service::Row,
    panel: Option<&panel::Row>,
    previous: &str,
    first_ready: bool,
) -> sqlx::Result<()> {
    let previous = Step::parse(previous).map_or(proto::service::Step::Unspecified, step_proto);
    let payload = proto::ServiceChanged {
        service: Some(service_proto(row, panel.map(PanelName::from).as_ref())),
        previous_step: previous.into(),
        email: row.email.clone(),
        locale: row.locale.clone(),
        first_ready,
    };
    let mut event = Event::new(SERVICE_CHANGED, row.service_id(), row.version, row.brand(), row.updated_at, &payload);
    event.causation_id.clone_from(&row.causation_id);
    event.correlation_id.clone_from(&row.correlation_id);
    outbox::append(tx, event).await.map(drop)
}

/// Tells of a panel, in the transaction of the change.
pub async fn panel_changed(tx: &mut PgTransaction<'_>, row: &panel::Row, now: DateTime<Utc>) -> sqlx::Result<()> {
    let payload = proto::PanelChanged { panel: Some(panel_proto(row)) };
    let event = Event::new(PANEL_CHANGED, row.panel_id(), row.event_version, row.brand(), now, &payload).optional();
    outbox::append(tx, event).await.map(drop)
}

/// What a service shows of its panel.
pub struct PanelName {
    /// Its name.
    pub name: String,
    /// Whether it is a simulation.
    pub sandbox: bool,
    /// Its region.
    pub region: String,
}

impl From<&panel::Row> for PanelName {
    fn from(row: &panel::Row) -> Self {
        Self { name: row.name.clone(), sandbox: row.sandbox, region: row.region.clone() }
    }
}

/// A service as the contract shows it.
#[must_use]
pub fn service_proto(row: &service::Row, panel: Option<&PanelName>) -> proto::Service {
    let step = Step::parse(&row.step).unwrap_or(Step::Stuck);
    proto::Service {
        id: row.service_id().to_string(),
        subscription_id: SubscriptionId::from_uuid(row.subscription_id).to_string(),
        account_id: row.account_id.clone(),
        order_id: row.order_id.clone(),
        wanted: match Goal::parse(&row.wanted) {
            Some(Goal::Active) => WantedProto::Active,
            Some(Goal::Suspended) => WantedProto::Suspended,
            Some(Goal::Terminated) => WantedProto::Terminated,
            None => WantedProto::Unspecified,
        }
        .into(),
        wanted_version: unsigned(row.wanted_version),
        step: step_proto(step).into(),
        status_code: row.status_code.clone(),
        status_text: status_text(step, &row.status_code).to_owned(),
        panel_id: row.panel_id.map(|id| PanelId::from_uuid(id).to_string()).unwrap_or_default(),
        panel_name: panel.map(|panel| panel.name.clone()).unwrap_or_default(),
        username: row.username.clone(),
        expires_at: row.line_expires_at.map(timestamp),
        connections: u32::try_from(row.connections).unwrap_or(0),
        plan_name: row.plan_name.clone(),
        ready_at: row.ready_at.map(timestamp),
        next_attempt_at: None,
        attempts: u32::try_from(row.attempts).unwrap_or(0),
        version: unsigned(row.version),
        region: panel.map_or_else(|| row.region.clone(), |panel| panel.region.clone()),
        sandbox: panel.is_some_and(|panel| panel.sandbox),
        updated_at: Some(timestamp(row.updated_at)),
        observed_version: unsigned(row.observed_version),
    }
}

/// A panel as the contract shows it; its key is a hint.
#[must_use]
pub fn panel_proto(row: &panel::Row) -> proto::Panel {
    proto::Panel {
        id: row.panel_id().to_string(),
        name: row.name.clone(),
        driver: row.driver.clone(),
        base_url: row.base_url.clone(),
        player_url: row.player_url.clone(),
        region: row.region.clone(),
        pool: row.pool.clone(),
        capacity: u32::try_from(row.capacity).unwrap_or(0),
        lines: u32::try_from(row.lines).unwrap_or(0),
        rate_per_second: row.rate_per_second,
        concurrency: u32::try_from(row.concurrency).unwrap_or(0),
        health: match row.health.as_str() {
            "healthy" => proto::panel::Health::Healthy,
            "degraded" => proto::panel::Health::Degraded,
            "down" => proto::panel::Health::Down,
            _ => proto::panel::Health::Unspecified,
        }
        .into(),
        problem: row.problem.clone(),
        remedy: row.remedy.clone(),
        checked_at: row.checked_at.map(timestamp),
        credits: row.credits.clone(),
        clock_skew_ms: row.clock_skew_ms,
        enabled: row.enabled,
        version: unsigned(row.version),
        api_key_hint: row.api_key_hint.clone(),
        sandbox: row.sandbox,
        sandbox_control_url: row.sandbox_control_url.clone(),
        time_zone: row.time_zone.clone(),
    }
}

const fn step_proto(step: Step) -> proto::service::Step {
    use proto::service::Step as Proto;
    match step {
        Step::Placing => Proto::Placing,
        Step::Creating => Proto::Creating,
        Step::Verifying => Proto::Verifying,
        Step::Ready => Proto::Ready,
        Step::Waiting => Proto::Waiting,
        Step::Unknown => Proto::Unknown,
        Step::Suspended => Proto::Suspended,
        Step::Terminated => Proto::Terminated,
        Step::Stuck => Proto::Stuck,
        Step::Updating => Proto::Updating,
    }
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// What the customer may read about a step.
#[must_use]
pub fn status_text(step: Step, code: &str) -> &'static str {
    match step {
        Step::Placing => "We are choosing a server for you.",
        Step::Creating => "Your access is being set up.",
        Step::Verifying => "Your access is being checked.",
        Step::Ready => "Ready to watch.",
        Step::Updating => "Your access is being updated.",
        Step::Suspended => "Your access is paused.",
        Step::Terminated => "Your access has ended.",
        Step::Unknown => "The server is slow to answer; we are checking that everything arrived.",
        Step::Waiting => match code {
            "no_panel" | "panels_full" => "There is no free server at the moment; your order keeps its place.",
            _ => "The server is busy; your access follows by itself. Nothing is lost.",
        },
        Step::Stuck => match code {
            "line_missing" => "Your access was removed on the server; our staff is on it.",
            "banned_on_panel" => "Your access is blocked on the server; our staff is on it.",
            _ => "Our staff is looking at your access.",
        },
    }
}

/// What a person reads of a lock that does not hold.
#[must_use]
pub fn unlocked_text(code: &str) -> &'static str {
    match code {
        "country_unknown" => {
            "The line plays from everywhere: it was sold as locked to its customer's country, which nobody knows."
        }
        _ => {
            "The line is not locked to its customer's country: where it plays is decided by the package of the panel's key."
        }
    }
}

/// What a person does about a service that is stuck, or lacks something.
#[must_use]
pub fn remedy(code: &str) -> &'static str {
    use crate::driver::PermKind;
    match code {
        "line_missing" => "The line was deleted on the panel by hand. Retry to make it again, or end the subscription.",
        "banned_on_panel" => {
            "Somebody banned the line on the panel. Lift the ban there and retry, or end the subscription."
        }
        "names_taken" => "Every name we would give the line is taken by others. Look at the panel's lines, then retry.",
        "panel_disagrees" => {
            "The panel accepted a change and shows something else. Check bouquets and formats of the plan and locks of the line on the panel, then retry."
        }
        "purchase_unclear" => {
            "A package was perhaps bought: expiry and credits moved differently. Compare the line and the credit log on the panel, then retry."
        }
        "panel_missing" => {
            "The service's panel does not exist any more. Retry to place it anew, or end the subscription."
        }
        "package_missing" => "Name the package in the plan's panel mapping; a reseller key sells nothing without.",
        "country_unknown" => {
            "Give the customer a billing address with a country by its two letters (`GB`, not `UK`); the line is locked with the subscription's next renewal or change."
        }
        "country_of_package" => {
            "A reseller key locks no lines. Set the country of the package or of the line on the panel and retry, or serve the plan from a panel with an admin key."
        }
        other => [
            PermKind::NotFound,
            PermKind::Conflict,
            PermKind::InvalidInput,
            PermKind::BrokenMapping,
            PermKind::NotPermitted,
            PermKind::Unsupported,
            PermKind::QuotaExhausted,
        ]
        .into_iter()
        .find(|kind| kind.code() == other)
        .map_or("Look at the last calls of the service, correct the cause, then retry.", PermKind::remedy),
    }
}
