//! People, as staff see them.

use axum::extract::{Path, State};
use ottery_proto::identity::v1 as identity;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::auth::{Account, Realm};
use super::sessions::Revoked;
use super::view::{Page, page};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

/// Which accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AccountQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// The address begins so.
    query: Option<String>,
    /// Customers of the brand when one is named, else staff, when left out.
    #[param(inline)]
    realm: Option<Realm>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read)).routes(routes!(sign_out))
}

/// List accounts.
#[utoipa::path(get, path = "/accounts", tag = "accounts", operation_id = "list_accounts", params(AccountQuery), responses((status = 200, body = Page<Account>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<AccountQuery>,
) -> Reply<Json<Page<Account>>> {
    let usual = if caller.actor.brand.is_some() { Realm::Customer } else { Realm::Staff };
    let request = identity::ListAccountsRequest {
        page: page(query.cursor, query.limit)?,
        query: query.query.unwrap_or_default(),
        realm: query.realm.unwrap_or(usual).into(),
    };
    let reply = state.clients.identity(&caller.call()).list_accounts(request).await?.into_inner();
    Ok(Json(Page::of(reply.accounts, reply.page)))
}

/// Get an account.
#[utoipa::path(get, path = "/accounts/{id}", tag = "accounts", operation_id = "get_account", params(("id" = String, Path)), responses((status = 200, body = Account)))]
async fn read(State(state): State<AppState>, caller: Caller, Path(account_id): Path<String>) -> Reply<Json<Account>> {
    let request = identity::GetAccountRequest { account_id };
    Ok(Json(state.clients.identity(&caller.call()).get_account(request).await?.into_inner().into()))
}

/// Sign somebody out everywhere.
#[utoipa::path(post, path = "/accounts/{id}/sign-out-everywhere", tag = "accounts", operation_id = "sign_out_account", params(("id" = String, Path)), responses((status = 200, body = Revoked)))]
async fn sign_out(
    State(state): State<AppState>,
    caller: Caller,
    Path(account_id): Path<String>,
) -> Reply<Json<Revoked>> {
    let request = identity::SignOutEverywhereRequest { account_id };
    let reply = state.clients.identity(&caller.call()).sign_out_everywhere(request).await?.into_inner();
    state.sessions.forget_all();
    Ok(Json(Revoked { revoked: reply.revoked }))
}
