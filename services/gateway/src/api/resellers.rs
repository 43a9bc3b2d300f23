//! Resellers and their clients.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use ottery_proto::billing::v1 as billing;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{Page, PageQuery, Time, view, words};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// `fine`: nothing is overdue. `overdue`: something is, and clients are served until `until`. `lapsed`: clients are not served
    /// until the reseller has paid.
    ResellerStanding from billing::reseller::Standing { Fine, Overdue, Lapsed }
}

view! {
    /// A customer who sells on to clients of their own.
    Reseller from billing::Reseller {
        account_id: String,
        name: String,
        email: String,
        /// Days of 24 hours from the due date of what is not paid until clients are not served any more.
        grace_days: u32,
        created_at: Option<Time>,
        standing: ResellerStanding,
        /// When what they owe the longest was due; null when they are fine.
        overdue_since: Option<Time>,
        /// The end of the grace; null when they are fine.
        until: Option<Time>,
        /// How many clients they have.
        clients: u64,
    }
}

view! {
    /// A client of a reseller.
    ResellerClient from billing::Client {
        account_id: String,
        name: String,
        email: String,
        since: Option<Time>,
        /// Subscriptions that are not served because the reseller does not pay.
        stopped: u64,
    }
}

/// What a reseller is given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResellerInput {
    /// For how many days clients are served after the due date of what the reseller does not pay, 0 to 365.
    pub grace_days: u32,
}

/// Who gets the clients.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RemoveQuery {
    /// `operator`, or the account of another reseller. A reseller without clients needs none.
    clients_to: Option<String>,
}

/// What became of the clients.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResellerRemoved {
    /// How many clients went to somebody else.
    pub clients_moved: u64,
}

/// Whose client somebody is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientInput {
    /// The account of the reseller; null: the operator's customer.
    pub reseller_id: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(put))
        .routes(routes!(remove))
        .routes(routes!(clients))
        .routes(routes!(assign))
}

/// List resellers.
#[utoipa::path(get, path = "/resellers", tag = "resellers", operation_id = "list_resellers", params(PageQuery), responses((status = 200, body = Page<Reseller>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Page<Reseller>>> {
    let asked = billing::ListResellersRequest { page: query.request()? };
    let found = state.clients.resellers(&caller.call()).list_resellers(asked).await?.into_inner();
    Ok(Json(Page::of(found.resellers, found.page)))
}

/// Get a reseller.
#[utoipa::path(get, path = "/resellers/{id}", tag = "resellers", operation_id = "get_reseller", params(("id" = String, Path)), responses((status = 200, body = Reseller)))]
async fn read(State(state): State<AppState>, caller: Caller, Path(account_id): Path<String>) -> Reply<Json<Reseller>> {
    let asked = billing::GetResellerRequest { account_id };
    Ok(Json(state.clients.resellers(&caller.call()).get_reseller(asked).await?.into_inner().into()))
}

/// Make a customer a reseller, or change their grace.
///
/// While a reseller does not pay, clients are served for the grace, counted from the due date of the oldest open invoice; then
/// their subscriptions are suspended, and served again when the reseller has paid.
#[utoipa::path(put, path = "/resellers/{id}", tag = "resellers", operation_id = "put_reseller", params(("id" = String, Path)), request_body = ResellerInput, responses((status = 200, body = Reseller)))]
async fn put(
    State(state): State<AppState>,
    caller: Caller,
    Path(account_id): Path<String>,
    Json(input): Json<ResellerInput>,
) -> Reply<Json<Reseller>> {
    let asked = billing::PutResellerRequest { account_id, grace_days: input.grace_days };
    Ok(Json(state.clients.resellers(&caller.call()).put_reseller(asked).await?.into_inner().into()))
}

/// Make a reseller an ordinary customer again.
#[utoipa::path(delete, path = "/resellers/{id}", tag = "resellers", operation_id = "remove_reseller", params(("id" = String, Path), RemoveQuery), responses((status = 200, body = ResellerRemoved)))]
async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Path(account_id): Path<String>,
    Query(query): Query<RemoveQuery>,
) -> Reply<Json<ResellerRemoved>> {
    let asked = billing::RemoveResellerRequest { account_id, clients_to: query.clients_to.unwrap_or_default() };
    let removed = state.clients.resellers(&caller.call()).remove_reseller(asked).await?.into_inner();
    Ok(Json(ResellerRemoved { clients_moved: removed.clients_moved }))
}

/// List clients of a reseller.
#[utoipa::path(get, path = "/resellers/{id}/clients", tag = "resellers", operation_id = "list_reseller_clients", params(("id" = String, Path), PageQuery), responses((status = 200, body = Page<ResellerClient>)))]
async fn clients(
    State(state): State<AppState>,
    caller: Caller,
    Path(reseller_id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Page<ResellerClient>>> {
    let asked = billing::ListClientsRequest { reseller_id, page: query.request()? };
    let found = state.clients.resellers(&caller.call()).list_clients(asked).await?.into_inner();
    Ok(Json(Page::of(found.clients, found.page)))
}

/// Say whose client a customer is.
#[utoipa::path(put, path = "/accounts/{id}/reseller", tag = "resellers", operation_id = "assign_reseller_client", params(("id" = String, Path)), request_body = ClientInput, responses((status = 204)))]
async fn assign(
    State(state): State<AppState>,
    caller: Caller,
    Path(account_id): Path<String>,
    Json(input): Json<ClientInput>,
) -> Reply<StatusCode> {
    let asked = billing::AssignClientRequest { account_id, reseller_id: input.reseller_id.unwrap_or_default() };
    state.clients.resellers(&caller.call()).assign_client(asked).await?;
    Ok(StatusCode::NO_CONTENT)
}
