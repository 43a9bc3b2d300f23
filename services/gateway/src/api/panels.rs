//! Streaming panels. Their keys go in and never come out.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use ottery_kit::secret::Secret;
use ottery_proto::provisioning::v1 as provisioning;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{DryRun, Page, PageQuery, Show as _, Time, view, words};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

/// A panel may be slow, and saying so is the point of the test.
const PANEL_TIMEOUT: Duration = Duration::from_secs(38);
/// A test with many steps, and a line that is removed whatever the panel answers.
pub(crate) const DIAGNOSIS_TIMEOUT: Duration = Duration::from_secs(120);

words! {
    /// How a panel is.
    PanelHealth from provisioning::panel::Health { Healthy, Degraded, Down }
}

view! {
    /// A streaming panel.
    Panel from provisioning::Panel {
        id: String,
        name: String,
        driver: String,
        base_url: String,
        player_url: String,
        region: Option<String>,
        pool: Option<String>,
        /// 0: no limit.
        capacity: u32,
        lines: u32,
        rate_per_second: f64,
        concurrency: u32,
        health: PanelHealth,
        /// What is wrong.
        problem: Option<String>,
        /// What to do about it.
        remedy: Option<String>,
        checked_at: Option<Time>,
        credits: Option<String>,
        /// Milliseconds the panel's clock is ahead.
        clock_skew_ms: i64,
        enabled: bool,
        version: u64,
        api_key_hint: Option<String>,
        /// A simulated panel.
        sandbox: bool,
        sandbox_control_url: Option<String>,
        time_zone: Option<String>,
    }
}

view! {
    /// What the panel sells.
    PanelPackage from provisioning::PanelPackage {
        id: i64,
        name: String,
        credits: Option<String>,
        connections: u32,
        bouquet_ids: Vec<i64>,
        duration: Option<String>,
    }
}

view! {
    /// A group of channels on the panel.
    PanelBouquet from provisioning::PanelBouquet { id: i64, name: String }
}

view! {
    /// One step of a connection test.
    DiagnosisStep from provisioning::DiagnosisStep {
        /// `dns`, `tcp`, `tls`, `api`, `whitelist`, `ban`, `credentials`, `role`, `version`, `clock`, `credits`, `packages`; with a test
        /// line `line_create`, `line_suspend`, `line_delete` too.
        name: String,
        /// `good`, `warning`, `bad` or `skipped`
        verdict: String,
        seen: Option<String>,
        /// Stable; null when nothing is wrong.
        cause_code: Option<String>,
        cause: Option<String>,
        remedy: Option<String>,
        duration_ms: u32,
    }
}

view! {
    /// What a connection test found.
    Diagnosis from provisioning::Diagnosis {
        panel_id: String,
        at: Option<Time>,
        /// The worst of the steps.
        verdict: String,
        /// Our address as panels see it; null when the setting is empty.
        egress_address: Option<String>,
        steps: Vec<DiagnosisStep>,
        /// The panel with its health after the test.
        panel: Option<Panel>,
    }
}

/// How to test.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiagnosisInput {
    /// Makes a line on the panel, suspends it and deletes it; a reseller's key pays for it.
    #[serde(default)]
    pub test_line: bool,
}

/// What plans can be mapped to.
#[derive(Debug, Serialize, ToSchema)]
pub struct PanelCatalog {
    /// Packages of reseller keys.
    pub packages: Vec<PanelPackage>,
    /// Bouquets.
    pub bouquets: Vec<PanelBouquet>,
}

/// A streaming panel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PanelInput {
    /// For people.
    pub name: String,
    /// `xui`, `xui-reseller` for a reseller's key, or `xtream`.
    pub driver: String,
    /// Admin API below its access code.
    pub base_url: String,
    /// Where customers' players connect.
    pub player_url: String,
    /// Where it stands.
    #[serde(default)]
    pub region: String,
    /// Group that plans choose from.
    #[serde(default)]
    pub pool: String,
    /// Lines it may hold; 0 for no limit.
    #[serde(default)]
    pub capacity: u32,
    /// Calls a second; the default when left out.
    #[serde(default)]
    pub rate_per_second: f64,
    /// Calls at a time; the default when left out.
    #[serde(default)]
    pub concurrency: u32,
    /// Whether new lines may go there.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// A simulated panel.
    #[serde(default)]
    pub sandbox: bool,
    /// Control address of a simulated panel.
    #[serde(default)]
    pub sandbox_control_url: String,
    /// IANA zone in which its API user reads dates.
    #[serde(default)]
    pub time_zone: String,
    /// Its key for us; the stored one is kept when left out.
    #[serde(default)]
    #[schema(value_type = String)]
    pub api_key: Secret,
    /// The version that was read; 0 to create.
    #[serde(default)]
    pub version: u64,
}

const fn yes() -> bool {
    true
}

/// The version that was read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VersionQuery {
    /// A newer one is not deleted.
    version: u64,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, update, delete))
        .routes(routes!(probe))
        .routes(routes!(diagnose))
        .routes(routes!(catalog))
}

/// List panels.
#[utoipa::path(get, path = "/panels", tag = "panels", operation_id = "list_panels", params(PageQuery), responses((status = 200, body = Page<Panel>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Page<Panel>>> {
    let request = provisioning::ListPanelsRequest { page: query.request()? };
    let reply = state.clients.provisioning(&caller.call()).list_panels(request).await?.into_inner();
    Ok(Json(Page::of(reply.panels, reply.page)))
}

/// Get a panel.
#[utoipa::path(get, path = "/panels/{id}", tag = "panels", operation_id = "get_panel", params(("id" = String, Path)), responses((status = 200, body = Panel)))]
async fn read(State(state): State<AppState>, caller: Caller, Path(panel_id): Path<String>) -> Reply<Json<Panel>> {
    let request = provisioning::GetPanelRequest { panel_id };
    Ok(Json(state.clients.provisioning(&caller.call()).get_panel(request).await?.into_inner().into()))
}

/// Add a panel.
#[utoipa::path(post, path = "/panels", tag = "panels", operation_id = "create_panel", params(DryRun), request_body = PanelInput, responses((status = 201, body = Panel)))]
async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Query(mode): Query<DryRun>,
    Json(input): Json<PanelInput>,
) -> Reply<Response> {
    let panel = put(&state, &caller, String::new(), input, mode).await?;
    Ok((mode.created(), Json(panel)).into_response())
}

/// Change a panel.
#[utoipa::path(put, path = "/panels/{id}", tag = "panels", operation_id = "update_panel", params(("id" = String, Path), DryRun), request_body = PanelInput, responses((status = 200, body = Panel)))]
async fn update(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(mode): Query<DryRun>,
    Json(input): Json<PanelInput>,
) -> Reply<Json<Panel>> {
    put(&state, &caller, id, input, mode).await.map(Json)
}

async fn put(state: &AppState, caller: &Caller, id: String, input: PanelInput, mode: DryRun) -> Reply<Panel> {
    let panel = provisioning::Panel {
        id,
        name: input.name,
        driver: input.driver,
        base_url: input.base_url,
        player_url: input.player_url,
        region: input.region,
        pool: input.pool,
        capacity: input.capacity,
        rate_per_second: input.rate_per_second,
        concurrency: input.concurrency,
        enabled: input.enabled,
        sandbox: input.sandbox,
        sandbox_control_url: input.sandbox_control_url,
        time_zone: input.time_zone,
        ..Default::default()
    };
    let request = provisioning::PutPanelRequest {
        panel: Some(panel),
        api_key: input.api_key.expose().to_owned(),
        expected_version: input.version,
        dry_run: mode.dry_run,
    };
    Ok(state.clients.provisioning(&caller.call()).put_panel(request).await?.into_inner().into())
}

/// Delete a panel.
#[utoipa::path(delete, path = "/panels/{id}", tag = "panels", operation_id = "delete_panel", params(("id" = String, Path), VersionQuery), responses((status = 204)))]
async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path(panel_id): Path<String>,
    Query(query): Query<VersionQuery>,
) -> Reply<StatusCode> {
    let request = provisioning::DeletePanelRequest { panel_id, expected_version: query.version };
    state.clients.provisioning(&caller.call()).delete_panel(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Test the connection to a panel.
///
/// The answer says what is wrong and what to do about it.
#[utoipa::path(post, path = "/panels/{id}/probe", tag = "panels", operation_id = "probe_panel", params(("id" = String, Path)), responses((status = 200, body = Panel)))]
async fn probe(State(state): State<AppState>, caller: Caller, Path(panel_id): Path<String>) -> Reply<Json<Panel>> {
    let request = provisioning::ProbePanelRequest { panel_id };
    let context = caller.call().timeout(PANEL_TIMEOUT);
    Ok(Json(state.clients.provisioning(&context).probe_panel(request).await?.into_inner().into()))
}

/// Test the connection to a panel step by step.
///
/// Every step says what was seen and, when something is wrong, its cause and what to do. A test line is removed again whatever happens; the
/// answer says so when it could not be.
#[utoipa::path(post, path = "/panels/{id}/diagnosis", tag = "panels", operation_id = "diagnose_panel", params(("id" = String, Path)), request_body = DiagnosisInput, responses((status = 200, body = Diagnosis)))]
async fn diagnose(
    State(state): State<AppState>,
    caller: Caller,
    Path(panel_id): Path<String>,
    Json(input): Json<DiagnosisInput>,
) -> Reply<Json<Diagnosis>> {
    let request = provisioning::DiagnosePanelRequest { panel_id, test_line: input.test_line };
    let context = caller.call().timeout(DIAGNOSIS_TIMEOUT);
    Ok(Json(state.clients.provisioning(&context).diagnose_panel(request).await?.into_inner().into()))
}

/// Ask a panel what it offers.
#[utoipa::path(get, path = "/panels/{id}/catalog", tag = "panels", operation_id = "get_panel_catalog", params(("id" = String, Path)), responses((status = 200, body = PanelCatalog)))]
async fn catalog(
    State(state): State<AppState>,
    caller: Caller,
    Path(panel_id): Path<String>,
) -> Reply<Json<PanelCatalog>> {
    let request = provisioning::GetPanelCatalogRequest { panel_id };
    let context = caller.call().timeout(PANEL_TIMEOUT);
    let reply = state.clients.provisioning(&context).get_panel_catalog(request).await?.into_inner();
    Ok(Json(PanelCatalog { packages: reply.packages.show(), bouquets: reply.bouquets.show() }))
}
