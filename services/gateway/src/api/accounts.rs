//! People, as staff see them.

use axum::extract::{Path, State};
use ottery_proto::billing::v1 as billing;
use ottery_proto::identity::v1 as identity;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::auth::{Account, Realm};
use super::sessions::Revoked;
use super::view::{Page, page, view, words};
use crate::idempotency::IdempotencyKey;
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

/// Into whom, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeInput {
    /// The customer who gets everything.
    pub into_account_id: String,
    /// For the audit; 1 to 500 characters.
    pub reason: String,
}

words! {
    /// What became of the billing address of who was merged away: they had typed none, it is the other one's now, or the other
    /// one has kept their own.
    MergedAddress from billing::merge_customers_reply::BillingAddress { None, Moved, Kept }
}

view! {
    /// What went to the other customer.
    Merged from billing::MergeCustomersReply {
        /// Subscriptions, running and over.
        subscriptions: u32,
        /// Invoices, open and closed.
        invoices: u32,
        /// What became of the billing address.
        billing_address: MergedAddress,
    }
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read)).routes(routes!(sign_out)).routes(routes!(merge))
}

/// Merge a customer into another one.
///
/// For one person with two accounts: subscriptions, invoices, payments, saved methods and balances go to the other account.
/// Invoices keep the name they were issued to, balances move by entries of their own in the ledger. A billing address moves
/// when the other account has typed none. Nothing can be ordered under the merged account afterwards; signing in to it stays
/// possible.
#[utoipa::path(post, path = "/accounts/{id}/merge", tag = "accounts", operation_id = "merge_customer", params(("id" = String, Path)), request_body = MergeInput, responses((status = 200, body = Merged)))]
async fn merge(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(account_id): Path<String>,
    Json(input): Json<MergeInput>,
) -> Reply<Json<Merged>> {
    Ok(Json(merge_into(&state, &caller, key, account_id, input).await?.into()))
}

/// Merges an account into another one of the brand; pages use it as well.
///
/// # Errors
/// When the brand has no such customer, or billing refuses it.
pub(crate) async fn merge_into(
    state: &AppState,
    caller: &Caller,
    key: IdempotencyKey,
    account_id: String,
    input: MergeInput,
) -> Reply<billing::MergeCustomersReply> {
    let asked = identity::GetAccountRequest { account_id: input.into_account_id };
    let into = state.clients.identity(&caller.call()).get_account(asked).await?.into_inner();
    let request = billing::MergeCustomersRequest {
        account_id,
        into_account_id: into.id,
        email: into.email,
        display_name: into.display_name,
        country: into.country,
        locale: into.locale,
        reason: input.reason,
    };
    Ok(state.clients.billing(&caller.call().idempotency_key(key.0)).merge_customers(request).await?.into_inner())
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
