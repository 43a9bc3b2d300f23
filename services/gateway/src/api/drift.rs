//! Differences between panels and what is paid for.

use axum::extract::{Path, State};
use ottery_proto::provisioning::v1 as provisioning;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{Page, Show as _, Time, page, view};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// Something that is not the same on a panel and here.
    Drift from provisioning::Drift {
        /// `drf_…`
        id: String,
        panel_id: String,
        panel_name: String,
        /// `unpaid_served`, `paid_dead`, `expiry`, `package`, `connections` or `stranger`
        kind: String,
        /// `open`, `repaired` (proven when `closed_at` is set), `adopted`, `ignored` or `gone`
        state: String,
        /// Null for strangers.
        service_id: Option<String>,
        account_id: Option<String>,
        /// Id on the panel.
        line_id: Option<String>,
        /// Name on the panel.
        username: Option<String>,
        /// In words.
        wanted: String,
        /// In words.
        observed: String,
        /// The wanted version it was compared with; 0 for strangers.
        wanted_version: u64,
        first_seen_at: Option<Time>,
        last_seen_at: Option<Time>,
        decided_at: Option<Time>,
        /// Who; `rule` when a rule did.
        decided_by: Option<String>,
        reason: Option<String>,
        /// How often it came back after a repair.
        returns: u32,
        /// Null while scans see it.
        closed_at: Option<Time>,
    }
}

view! {
    /// Open differences of a kind.
    DriftCount from provisioning::DriftCount { kind: String, count: u64 }
}

view! {
    /// How far the comparison of a panel got.
    DriftScan from provisioning::DriftScan {
        panel_id: String,
        panel_name: String,
        /// False: the panel's API lists no lines, so that strangers are never found there.
        lists: bool,
        /// `never`, `running`, `done` or `stopped`
        state: String,
        began_at: Option<Time>,
        ended_at: Option<Time>,
        /// When the next one is due, or this one goes on.
        next_at: Option<Time>,
        pages: u32,
        lines: u32,
        problem_code: Option<String>,
        problem: Option<String>,
        remedy: Option<String>,
        open: Vec<DriftCount>,
    }
}

view! {
    /// What is done with differences of a kind that a scan finds.
    DriftRule from provisioning::DriftRule {
        /// Null: every panel without a rule of its own.
        panel_id: Option<String>,
        kind: String,
        /// `repair`, `adopt`, `ignore` or `ask`
        action: String,
        updated_by: Option<String>,
        updated_at: Option<Time>,
    }
}

view! {
    /// Differences that stay as they are.
    DriftLeft from provisioning::DriftLeft {
        /// `gone`, `already`, `stranger`, `needs_service`, `packages`, `in_flight`
        code: String,
        why: String,
        count: u32,
    }
}

view! {
    /// What became of a decision.
    DriftDecided from provisioning::DecideDriftReply {
        /// Changed, or with `dry_run` what would be.
        changed: u32,
        left: Vec<DriftLeft>,
        /// More match than are decided at once; ask again.
        more: bool,
    }
}

/// Scans, one per panel.
#[derive(Debug, Serialize, ToSchema)]
pub struct DriftScans {
    /// One per panel.
    pub items: Vec<DriftScan>,
}

/// Rules of the brand.
#[derive(Debug, Serialize, ToSchema)]
pub struct DriftRules {
    /// Kinds without a rule are asked about.
    pub items: Vec<DriftRule>,
}

/// Which differences.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DriftQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Of one panel.
    panel_id: Option<String>,
    /// Of one kind.
    kind: Option<String>,
    /// In one state.
    state: Option<String>,
}

/// A decision about one or many differences.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftDecision {
    /// `repair`, `adopt`, `ignore` or `reopen`
    pub action: String,
    /// These, at most 1000; when left out, everything open of the panel and the kind below.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Of one panel; any when left out.
    #[serde(default)]
    pub panel_id: String,
    /// Of one kind; any when left out.
    #[serde(default)]
    pub kind: String,
    /// Whose line a stranger becomes; for adopting one stranger.
    #[serde(default)]
    pub service_id: String,
    /// Stays in the audit chain.
    #[serde(default)]
    pub reason: String,
    /// Says how many it would be, changes nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Refused unless it would change so many; 0 or left out: whatever it is.
    #[serde(default)]
    pub expected: u32,
}

/// A rule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftRuleInput {
    /// Of one panel; every panel without a rule of its own when left out.
    #[serde(default)]
    pub panel_id: String,
    /// `unpaid_served`, `paid_dead`, `expiry`, `package`, `connections` or `stranger`
    pub kind: String,
    /// `repair`, `adopt`, `ignore` or `ask`; strangers are ignored or asked about only.
    pub action: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(decide))
        .routes(routes!(scans))
        .routes(routes!(scan))
        .routes(routes!(rules, put_rule))
}

/// List differences between panels and what is paid for.
#[utoipa::path(get, path = "/drift", tag = "panels", operation_id = "list_drift", params(DriftQuery), responses((status = 200, body = Page<Drift>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<DriftQuery>,
) -> Reply<Json<Page<Drift>>> {
    let request = provisioning::ListDriftRequest {
        page: page(query.cursor, query.limit)?,
        panel_id: query.panel_id.unwrap_or_default(),
        kind: query.kind.unwrap_or_default(),
        state: query.state.unwrap_or_default(),
    };
    let reply = state.clients.provisioning(&caller.call()).list_drift(request).await?.into_inner();
    Ok(Json(Page::of(reply.drift, reply.page)))
}

/// Repair, adopt, ignore or reopen differences.
///
/// A repair makes the reconciler write what is wanted; nothing is deleted because nobody here knows it.
#[utoipa::path(post, path = "/drift/decisions", tag = "panels", operation_id = "decide_drift", request_body = DriftDecision, responses((status = 200, body = DriftDecided)))]
async fn decide(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<DriftDecision>,
) -> Reply<Json<DriftDecided>> {
    let request = provisioning::DecideDriftRequest {
        action: input.action,
        ids: input.ids,
        panel_id: input.panel_id,
        kind: input.kind,
        service_id: input.service_id,
        reason: input.reason,
        dry_run: input.dry_run,
        expected: input.expected,
    };
    Ok(Json(state.clients.provisioning(&caller.call()).decide_drift(request).await?.into_inner().into()))
}

/// List how far comparisons of panels got.
#[utoipa::path(get, path = "/drift/scans", tag = "panels", operation_id = "list_drift_scans", responses((status = 200, body = DriftScans)))]
async fn scans(State(state): State<AppState>, caller: Caller) -> Reply<Json<DriftScans>> {
    let request = provisioning::ListDriftScansRequest {};
    let reply = state.clients.provisioning(&caller.call()).list_drift_scans(request).await?.into_inner();
    Ok(Json(DriftScans { items: reply.scans.show() }))
}

/// Compare a panel with what is paid for now.
///
/// It is done in the background, at a share of the panel's calls a second.
#[utoipa::path(post, path = "/panels/{id}/scan", tag = "panels", operation_id = "scan_panel", params(("id" = String, Path)), responses((status = 200, body = DriftScan)))]
async fn scan(State(state): State<AppState>, caller: Caller, Path(panel_id): Path<String>) -> Reply<Json<DriftScan>> {
    let request = provisioning::ScanPanelRequest { panel_id };
    Ok(Json(state.clients.provisioning(&caller.call()).scan_panel(request).await?.into_inner().into()))
}

/// List rules for differences.
#[utoipa::path(get, path = "/drift/rules", tag = "panels", operation_id = "list_drift_rules", responses((status = 200, body = DriftRules)))]
async fn rules(State(state): State<AppState>, caller: Caller) -> Reply<Json<DriftRules>> {
    let request = provisioning::ListDriftRulesRequest {};
    let reply = state.clients.provisioning(&caller.call()).list_drift_rules(request).await?.into_inner();
    Ok(Json(DriftRules { items: reply.rules.show() }))
}

/// Set a rule for differences.
#[utoipa::path(put, path = "/drift/rules", tag = "panels", operation_id = "put_drift_rule", request_body = DriftRuleInput, responses((status = 200, body = DriftRule)))]
async fn put_rule(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<DriftRuleInput>,
) -> Reply<Json<DriftRule>> {
    let rule = provisioning::DriftRule {
        panel_id: input.panel_id,
        kind: input.kind,
        action: input.action,
        ..Default::default()
    };
    let request = provisioning::PutDriftRuleRequest { rule: Some(rule) };
    Ok(Json(state.clients.provisioning(&caller.call()).put_drift_rule(request).await?.into_inner().into()))
}
