//! What was bought, as it is on the streaming panel.

use axum::extract::{Path, State};
use ottery_proto::billing::v1::entitlement_changed;
use ottery_proto::provisioning::v1 as provisioning;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{Page, PageQuery, Time, page, view, words};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// What the customer is entitled to.
    Wanted from entitlement_changed::Wanted { Active, Suspended, Terminated }
}

words! {
    /// Where a service stands. `waiting`: nothing is lost, it goes on by itself. `stuck`: needs a person.
    ServiceStep from provisioning::service::Step {
        Placing, Creating, Verifying, Ready, Waiting, Unknown, Suspended, Terminated, Stuck, Updating
    }
}

view! {
    /// A line on a panel.
    Service from provisioning::Service {
        id: String,
        subscription_id: String,
        account_id: String,
        order_id: Option<String>,
        wanted: Wanted,
        step: ServiceStep,
        /// Stable.
        status_code: Option<String>,
        /// For the customer.
        status_text: Option<String>,
        panel_id: Option<String>,
        panel_name: Option<String>,
        username: Option<String>,
        expires_at: Option<Time>,
        connections: u32,
        plan_name: String,
        ready_at: Option<Time>,
        next_attempt_at: Option<Time>,
        attempts: u32,
        region: Option<String>,
        /// On a simulated panel.
        sandbox: bool,
        updated_at: Option<Time>,
        version: u64,
    }
}

view! {
    /// What a player needs. Every reveal is in the audit chain.
    Credentials from provisioning::Credentials {
        username: String,
        password: String,
        server_url: String,
        playlist_url: Option<String>,
        epg_url: Option<String>,
    }
}

view! {
    /// A call made to a panel, redacted.
    PanelCall from provisioning::PanelCall {
        id: String,
        service_id: Option<String>,
        panel_id: String,
        action: String,
        /// `planned`, `sent`, `confirmed`, `rejected`, `unknown`
        state: String,
        outcome: Option<String>,
        duration_ms: u32,
        request_summary: Option<String>,
        reply_summary: Option<String>,
        started_at: Option<Time>,
        trace_id: Option<String>,
    }
}

/// Which services.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ServiceQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// One account's, for staff.
    account_id: Option<String>,
    /// On one panel, for staff.
    panel_id: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(reveal))
        .routes(routes!(retry))
        .routes(routes!(calls))
}

/// List services.
#[utoipa::path(get, path = "/services", tag = "services", operation_id = "list_services", params(ServiceQuery), responses((status = 200, body = Page<Service>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ServiceQuery>,
) -> Reply<Json<Page<Service>>> {
    let request = provisioning::ListServicesRequest {
        page: page(query.cursor, query.limit)?,
        account_id: query.account_id.unwrap_or_default(),
        panel_id: query.panel_id.unwrap_or_default(),
    };
    let reply = state.clients.provisioning(&caller.call()).list_services(request).await?.into_inner();
    Ok(Json(Page::of(reply.services, reply.page)))
}

/// Get a service.
#[utoipa::path(get, path = "/services/{id}", tag = "services", operation_id = "get_service", params(("id" = String, Path)), responses((status = 200, body = Service)))]
async fn read(State(state): State<AppState>, caller: Caller, Path(service_id): Path<String>) -> Reply<Json<Service>> {
    let request = provisioning::GetServiceRequest { service_id, ..Default::default() };
    Ok(Json(state.clients.provisioning(&caller.call()).get_service(request).await?.into_inner().into()))
}

/// Reveal the credentials.
#[utoipa::path(post, path = "/services/{id}/credentials", tag = "services", operation_id = "reveal_credentials", params(("id" = String, Path)), responses((status = 200, body = Credentials)))]
async fn reveal(
    State(state): State<AppState>,
    caller: Caller,
    Path(service_id): Path<String>,
) -> Reply<Json<Credentials>> {
    let request = provisioning::RevealCredentialsRequest { service_id };
    Ok(Json(state.clients.provisioning(&caller.call()).reveal_credentials(request).await?.into_inner().into()))
}

/// Try again now.
#[utoipa::path(post, path = "/services/{id}/retry", tag = "services", operation_id = "retry_service", params(("id" = String, Path)), responses((status = 200, body = Service)))]
async fn retry(State(state): State<AppState>, caller: Caller, Path(service_id): Path<String>) -> Reply<Json<Service>> {
    let request = provisioning::RetryServiceRequest { service_id };
    Ok(Json(state.clients.provisioning(&caller.call()).retry_service(request).await?.into_inner().into()))
}

/// List the calls made for a service.
#[utoipa::path(get, path = "/services/{id}/calls", tag = "services", operation_id = "list_service_calls", params(("id" = String, Path), PageQuery), responses((status = 200, body = Page<PanelCall>)))]
async fn calls(
    State(state): State<AppState>,
    caller: Caller,
    Path(service_id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Page<PanelCall>>> {
    let request = provisioning::ListPanelCallsRequest { page: query.request()?, service_id, panel_id: String::new() };
    let reply = state.clients.provisioning(&caller.call()).list_panel_calls(request).await?.into_inner();
    Ok(Json(Page::of(reply.calls, reply.page)))
}
