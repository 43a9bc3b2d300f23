//! Differences between the contract and use cases.

use std::collections::HashMap;

use ottery_kernel::{DriftId, PanelId, ServiceId};
use ottery_kit::grpc::Problem;
use ottery_proto::provisioning::v1 as proto;
use uuid::Uuid;

use super::convert::{id, optional};
use crate::app::drift::Summary;
use crate::app::drift::decide::{Decision, Outcome};
use crate::domain::drift::Kind;
use crate::events::publish::timestamp;
use crate::store::drift::{Filter, Row};
use crate::store::drift_rule;

fn unsigned<T: TryInto<u32>>(number: T) -> u32 {
    number.try_into().unwrap_or(0)
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

pub fn filter(panel: &str, kind: String, state: String) -> Result<Filter, Problem> {
    let panel = optional::<PanelId>("panel_id", panel)?;
    Ok(Filter { panel: panel.map(|id| id.as_uuid()), kind: some(kind), state: some(state) })
}

pub fn decision(request: proto::DecideDriftRequest) -> Result<Decision, Problem> {
    Ok(Decision {
        action: request.action,
        ids: request.ids.iter().map(|text| id::<DriftId>("ids", text)).collect::<Result<_, _>>()?,
        panel: optional("panel_id", &request.panel_id)?,
        kind: some(request.kind),
        service: optional::<ServiceId>("service_id", &request.service_id)?,
        reason: request.reason.trim().to_owned(),
        is_dry_run: request.dry_run,
        expected: request.expected,
    })
}

pub fn outcome(outcome: Outcome) -> proto::DecideDriftReply {
    let left = outcome.left.into_iter().map(|(code, (why, count))| proto::DriftLeft {
        code: code.to_owned(),
        why: why.to_owned(),
        count,
    });
    proto::DecideDriftReply { changed: outcome.changed, left: left.collect(), more: outcome.more }
}

pub fn row(row: &Row, panels: &HashMap<Uuid, String>) -> proto::Drift {
    proto::Drift {
        id: DriftId::from_uuid(row.id).to_string(),
        panel_id: PanelId::from_uuid(row.panel_id).to_string(),
        panel_name: panels.get(&row.panel_id).cloned().unwrap_or_default(),
        kind: row.kind.clone(),
        state: row.state.clone(),
        service_id: row.service_id.map(|id| ServiceId::from_uuid(id).to_string()).unwrap_or_default(),
        account_id: row.account_id.clone(),
        line_id: row.line_id.clone(),
        username: row.username.clone(),
        wanted: row.wanted.clone(),
        observed: row.observed.clone(),
        wanted_version: u64::try_from(row.wanted_version).unwrap_or(0),
        first_seen_at: Some(timestamp(row.first_seen_at)),
        last_seen_at: Some(timestamp(row.last_seen_at)),
        decided_at: row.decided_at.map(timestamp),
        decided_by: row.decided_by.clone(),
        reason: row.reason.clone(),
        returns: unsigned(row.returns),
        closed_at: row.closed_at.map(timestamp),
    }
}

pub fn summary(summary: &Summary) -> proto::DriftScan {
    let scan = summary.scan.as_ref();
    proto::DriftScan {
        panel_id: summary.panel.panel_id().to_string(),
        panel_name: summary.panel.name.clone(),
        lists: summary.lists,
        state: summary.state().to_owned(),
        began_at: scan.map(|scan| timestamp(scan.began_at)),
        ended_at: scan.and_then(|scan| scan.ended_at).map(timestamp),
        next_at: summary.next_at.map(timestamp),
        pages: scan.map_or(0, |scan| unsigned(scan.pages)),
        lines: scan.map_or(0, |scan| unsigned(scan.lines)),
        problem_code: scan.map(|scan| scan.problem_code.clone()).unwrap_or_default(),
        problem: scan.map(|scan| scan.problem.clone()).unwrap_or_default(),
        remedy: scan.map(|scan| scan.remedy.clone()).unwrap_or_default(),
        open: Kind::ALL
            .into_iter()
            .map(|kind| proto::DriftCount {
                kind: kind.as_str().to_owned(),
                count: u64::try_from(summary.open_of(kind)).unwrap_or(0),
            })
            .collect(),
    }
}

pub fn rule(row: &drift_rule::Row) -> proto::DriftRule {
    proto::DriftRule {
        panel_id: if row.panel_id.is_nil() { String::new() } else { PanelId::from_uuid(row.panel_id).to_string() },
        kind: row.kind.clone(),
        action: row.action.clone(),
        updated_by: row.updated_by.clone(),
        updated_at: Some(timestamp(row.updated_at)),
    }
}
