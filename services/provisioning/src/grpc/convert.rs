//! Between use cases and the contract.

use std::str::FromStr;

use ottery_kernel::{CallId, PanelId, ServiceId, TaskId};
use ottery_kit::grpc::Problem;
use ottery_kit::secret::Secret;
use ottery_proto::provisioning::v1 as proto;

use crate::app::diagnose::Diagnosis;
use crate::app::panel::Input;
use crate::app::read::{Shown, Which};
use crate::app::reveal::Credentials;
use crate::domain::diagnosis::Step;
use crate::driver::Catalog;
use crate::events::publish::{panel_proto, service_proto, timestamp};
use crate::store::{call, task};

/// An id, or which field has none.
pub fn id<T>(field: &'static str, text: &str) -> Result<T, Problem>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Problem::invalid(field, "ID_INVALID", format!("{field}: {error}")))
}

/// An id that may be left out.
pub fn optional<T>(field: &'static str, text: &str) -> Result<Option<T>, Problem>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}

pub fn input(request: proto::PutPanelRequest) -> Result<Input, Problem> {
    let panel = request.panel.ok_or_else(|| Problem::invalid("panel", "PANEL_INVALID", "panel is missing"))?;
    Ok(Input {
        id: optional("panel.id", &panel.id)?,
        name: panel.name,
        driver: panel.driver,
        base_url: panel.base_url,
        player_url: panel.player_url,
        region: panel.region,
        pool: panel.pool,
        capacity: panel.capacity,
        rate_per_second: panel.rate_per_second,
        concurrency: panel.concurrency,
        enabled: panel.enabled,
        sandbox: panel.sandbox,
        sandbox_control_url: panel.sandbox_control_url,
        time_zone: panel.time_zone,
        api_key: Secret::new(request.api_key.trim()),
        expected_version: request.expected_version,
        is_dry_run: request.dry_run,
    })
}

pub fn which(request: &proto::GetServiceRequest) -> Result<Which, Problem> {
    match (request.service_id.as_str(), request.subscription_id.as_str(), request.order_id.as_str()) {
        (service, "", "") if !service.is_empty() => id("service_id", service).map(Which::Service),
        ("", subscription, "") if !subscription.is_empty() => {
            id("subscription_id", subscription).map(Which::Subscription)
        }
        ("", "", order) if !order.is_empty() => {
            id::<ottery_kernel::OrderId>("order_id", order).map(|order| Which::Order(order.to_string()))
        }
        _ => Err(Problem::invalid(
            "service_id",
            "SERVICE_UNNAMED",
            "name one of service_id, subscription_id and order_id",
        )),
    }
}

pub fn shown(shown: &Shown) -> proto::Service {
    proto::Service {
        next_attempt_at: shown.next_attempt_at.map(timestamp),
        ..service_proto(&shown.row, shown.panel.as_ref())
    }
}

pub fn credentials(credentials: &Credentials) -> proto::Credentials {
    let base = &credentials.server_url;
    // Names and passwords are made of letters and digits, so nothing needs escaping in an address; those that a panel
    // chose itself might.
    let pair: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("username", &credentials.username)
        .append_pair("password", credentials.password.expose())
        .finish();
    proto::Credentials {
        username: credentials.username.clone(),
        password: credentials.password.expose().to_owned(),
        server_url: base.clone(),
        playlist_url: format!("{base}/get.php?{pair}&type=m3u_plus&output=m3u8"),
        epg_url: format!("{base}/xmltv.php?{pair}"),
    }
}

pub fn catalog(catalog: Catalog) -> proto::GetPanelCatalogReply {
    proto::GetPanelCatalogReply {
        packages: catalog
            .packages
            .into_iter()
            .map(|package| proto::PanelPackage {
                id: package.id,
                name: package.name,
                credits: package.credits.map(|credits| credits.normalize().to_string()).unwrap_or_default(),
                connections: package.connections,
                bouquet_ids: package.bouquets,
                duration: package.duration,
            })
            .collect(),
        bouquets: catalog
            .bouquets
            .into_iter()
            .map(|bouquet| proto::PanelBouquet { id: bouquet.id, name: bouquet.name })
            .collect(),
    }
}

pub fn panel_call(row: &call::Row) -> proto::PanelCall {
    proto::PanelCall {
        id: CallId::from_uuid(row.id).to_string(),
        service_id: ServiceId::from_uuid(row.service_id).to_string(),
        panel_id: PanelId::from_uuid(row.panel_id).to_string(),
        action: row.action.clone(),
        state: row.state.clone(),
        outcome: row.outcome.clone(),
        duration_ms: u32::try_from(row.duration_ms).unwrap_or(0),
        request_summary: row.request.clone(),
        reply_summary: row.reply.clone(),
        started_at: Some(timestamp(row.started_at)),
        trace_id: row.trace_id.clone(),
    }
}

pub fn task(row: &task::Row) -> proto::ProvisioningTask {
    proto::ProvisioningTask {
        id: TaskId::from_uuid(row.id).to_string(),
        kind: row.kind.clone(),
        service_id: row.service_id.map(|id| ServiceId::from_uuid(id).to_string()).unwrap_or_default(),
        summary: row.summary.clone(),
        remedy: row.remedy.clone(),
    }
}

pub fn diagnosis(found: &Diagnosis, egress: &str) -> proto::Diagnosis {
    let step = |step: &Step| {
        let fault = step.fault.as_ref();
        proto::DiagnosisStep {
            name: step.name.as_str().to_owned(),
            verdict: step.verdict.as_str().to_owned(),
            seen: step.seen.clone(),
            cause_code: fault.map(|fault| fault.code.to_owned()).unwrap_or_default(),
            cause: fault.map(|fault| fault.cause.clone()).unwrap_or_default(),
            remedy: fault.map(|fault| fault.remedy.clone()).unwrap_or_default(),
            duration_ms: u32::try_from(step.took.as_millis()).unwrap_or(u32::MAX),
        }
    };
    proto::Diagnosis {
        panel_id: found.row.panel_id().to_string(),
        at: Some(timestamp(found.at)),
        verdict: found.verdict().as_str().to_owned(),
        egress_address: egress.to_owned(),
        steps: found.steps.iter().map(step).collect(),
        panel: Some(panel_proto(&found.row)),
    }
}
