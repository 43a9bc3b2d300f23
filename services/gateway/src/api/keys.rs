//! API keys: of one brand, or outside any brand of the platform. A platform's key works in every brand its maker works in,
//! also in those that come later; with the header `Ottery-Brand` in one of them, without it on the platform itself.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use ottery_proto::identity::v1 as identity;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{List, Time, view};
use crate::limits::Json;
use crate::problem::{Refusal, Reply};
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// A program's key.
    Key from identity::ApiKey {
        id: String,
        name: String,
        /// The one brand it works in; none: it is the platform's and works in all of them.
        brand_id: Option<String>,
        permissions: Vec<String>,
        created_at: Option<Time>,
        expires_at: Option<Time>,
        last_used_at: Option<Time>,
        revoked: bool,
    }
}

/// A new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyInput {
    /// For people.
    pub name: String,
    /// What it may; never more than whoever makes it.
    pub permissions: Vec<String>,
    /// Never when left out.
    #[serde(default)]
    pub expires_at: Option<Time>,
}

/// The key with its secret, shown once.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewKey {
    /// The key.
    pub key: Key,
    /// `otk_…`
    pub secret: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// List API keys.
#[utoipa::path(get, path = "/api-keys", tag = "api-keys", operation_id = "list_api_keys", responses((status = 200, body = List<Key>)))]
async fn list(State(state): State<AppState>, caller: Caller) -> Reply<Json<List<Key>>> {
    let reply =
        state.clients.identity(&caller.call()).list_api_keys(identity::ListApiKeysRequest {}).await?.into_inner();
    Ok(Json(List::of(reply.keys)))
}

/// Make an API key.
#[utoipa::path(post, path = "/api-keys", tag = "api-keys", operation_id = "create_api_key", request_body = KeyInput, responses((status = 201, body = NewKey)))]
async fn create(State(state): State<AppState>, caller: Caller, Json(input): Json<KeyInput>) -> Reply<Response> {
    let request = identity::CreateApiKeyRequest {
        name: input.name,
        permissions: input.permissions,
        expires_at: input.expires_at.map(Into::into),
    };
    let reply = state.clients.identity(&caller.call()).create_api_key(request).await?.into_inner();
    let key = reply.key.ok_or_else(|| Refusal::internal(&std::io::Error::other("a key was made without one")))?;
    Ok((StatusCode::CREATED, Json(NewKey { key: key.into(), secret: reply.secret })).into_response())
}

/// Revoke an API key.
#[utoipa::path(delete, path = "/api-keys/{id}", tag = "api-keys", operation_id = "revoke_api_key", params(("id" = String, Path)), responses((status = 204)))]
async fn revoke(State(state): State<AppState>, caller: Caller, Path(key_id): Path<String>) -> Reply<StatusCode> {
    state.clients.identity(&caller.call()).revoke_api_key(identity::RevokeApiKeyRequest { key_id }).await?;
    state.sessions.forget_all();
    Ok(StatusCode::NO_CONTENT)
}
