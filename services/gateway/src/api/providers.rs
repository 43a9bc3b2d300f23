//! Accounts at payment providers. Their secrets go in and never come out.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use ottery_kit::secret::Secret;
use ottery_proto::billing::v1 as billing;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{DryRun, List, Time, view};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// An account at a payment provider.
    ProviderAccount from billing::ProviderAccount {
        id: String,
        provider: String,
        base_url: Option<String>,
        /// The end of the key, to tell keys apart.
        api_key_hint: Option<String>,
        test_mode: bool,
        updated_at: Option<Time>,
        /// Address to enter at the provider, below the brand's host.
        webhook_path: String,
        version: u64,
    }
}

/// An account at a payment provider.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderInput {
    /// `sandbox`
    pub provider: String,
    /// Where its API is.
    #[serde(default)]
    pub base_url: String,
    /// Its key for us; the stored one is kept when left out.
    #[serde(default)]
    #[schema(value_type = String)]
    pub api_key: Secret,
    /// What it signs with, newest last; two during a rotation. The stored ones are kept when left out.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 2)]
    pub webhook_secrets: Vec<Secret>,
    /// The version that was read; 0 to create.
    #[serde(default)]
    pub version: u64,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(update))
}

/// List provider accounts.
#[utoipa::path(get, path = "/provider-accounts", tag = "providers", operation_id = "list_provider_accounts", responses((status = 200, body = List<ProviderAccount>)))]
async fn list(State(state): State<AppState>, caller: Caller) -> Reply<Json<List<ProviderAccount>>> {
    let request = billing::ListProviderAccountsRequest {};
    let reply = state.clients.billing(&caller.call()).list_provider_accounts(request).await?.into_inner();
    Ok(Json(List::of(reply.accounts)))
}

/// Add a provider account.
#[utoipa::path(post, path = "/provider-accounts", tag = "providers", operation_id = "create_provider_account", params(DryRun), request_body = ProviderInput, responses((status = 201, body = ProviderAccount)))]
async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Query(mode): Query<DryRun>,
    Json(input): Json<ProviderInput>,
) -> Reply<Response> {
    let account = put(&state, &caller, String::new(), input, mode).await?;
    Ok((mode.created(), Json(account)).into_response())
}

/// Change a provider account.
#[utoipa::path(put, path = "/provider-accounts/{id}", tag = "providers", operation_id = "update_provider_account", params(("id" = String, Path), DryRun), request_body = ProviderInput, responses((status = 200, body = ProviderAccount)))]
async fn update(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(mode): Query<DryRun>,
    Json(input): Json<ProviderInput>,
) -> Reply<Json<ProviderAccount>> {
    put(&state, &caller, id, input, mode).await.map(Json)
}

async fn put(
    state: &AppState,
    caller: &Caller,
    id: String,
    input: ProviderInput,
    mode: DryRun,
) -> Reply<ProviderAccount> {
    let request = billing::PutProviderAccountRequest {
        id,
        provider: input.provider,
        base_url: input.base_url,
        api_key: input.api_key.expose().to_owned(),
        webhook_secrets: input.webhook_secrets.iter().map(|secret| secret.expose().to_owned()).collect(),
        expected_version: input.version,
        dry_run: mode.dry_run,
    };
    Ok(state.clients.billing(&caller.call()).put_provider_account(request).await?.into_inner().into())
}
