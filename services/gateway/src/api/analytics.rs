//! Recurring revenue.

use axum::extract::State;
use ottery_proto::analytics::v1 as analytics;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{Money, Page, PageQuery, Time, view, words};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// Why recurring revenue moved.
    MovementKind from analytics::movement::Kind { New, Expansion, Contraction, Churn, Reactivation }
}

view! {
    /// A change of recurring revenue; churn and contraction are negative.
    Movement from analytics::Movement {
        id: String,
        kind: MovementKind,
        account_id: String,
        subscription_id: String,
        delta: Option<Money>,
        effective_at: Option<Time>,
    }
}

view! {
    /// Monthly recurring revenue, one amount per currency, each the sum of its movements.
    Mrr from analytics::GetMrrReply {
        mrr: Vec<Money>,
        paying_customers: u64,
        as_of: Option<Time>,
    }
}

view! {
    /// What computing everything again came to.
    Rebuilt from analytics::RebuildReply {
        events: u64,
        movements: u64,
        /// Nothing differed.
        identical: bool,
    }
}

/// At which instant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MrrQuery {
    /// RFC 3339; now when left out.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Time>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(mrr)).routes(routes!(movements)).routes(routes!(rebuild))
}

/// Get monthly recurring revenue.
#[utoipa::path(get, path = "/analytics/mrr", tag = "analytics", operation_id = "get_mrr", params(MrrQuery), responses((status = 200, body = Mrr)))]
async fn mrr(State(state): State<AppState>, caller: Caller, Query(query): Query<MrrQuery>) -> Reply<Json<Mrr>> {
    let request = analytics::GetMrrRequest { at: query.at.map(Into::into) };
    Ok(Json(state.clients.analytics(&caller.call()).get_mrr(request).await?.into_inner().into()))
}

/// List movements.
#[utoipa::path(get, path = "/analytics/movements", tag = "analytics", operation_id = "list_movements", params(PageQuery), responses((status = 200, body = Page<Movement>)))]
async fn movements(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Page<Movement>>> {
    let request = analytics::ListMovementsRequest { page: query.request()? };
    let reply = state.clients.analytics(&caller.call()).list_movements(request).await?.into_inner();
    Ok(Json(Page::of(reply.movements, reply.page)))
}

/// Compute everything again from the events.
#[utoipa::path(post, path = "/analytics/rebuild", tag = "analytics", operation_id = "rebuild_analytics", responses((status = 200, body = Rebuilt)))]
async fn rebuild(State(state): State<AppState>, caller: Caller) -> Reply<Json<Rebuilt>> {
    let context = caller.call().timeout(state.config.http.timeout());
    Ok(Json(state.clients.analytics(&context).rebuild(analytics::RebuildRequest {}).await?.into_inner().into()))
}
