//! The devices somebody is signed in on.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ottery_kit::secret::Secret;
use ottery_proto::identity::v1 as identity;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{List, Show as _, Time, view};
use crate::brand::Site;
use crate::limits::{self, Json};
use crate::problem::Reply;
use crate::session::{Caller, Portal};
use crate::state::AppState;

view! {
    /// A device somebody is signed in on.
    SessionInfo from identity::SessionInfo {
        id: String,
        user_agent: String,
        client_ip: String,
        created_at: Option<Time>,
        last_seen_at: Option<Time>,
    }
}

/// How many sessions ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct Revoked {
    /// So many.
    pub revoked: u32,
}

/// Proves again who is signed in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReauthInput {
    /// The password.
    #[schema(value_type = String)]
    pub password: Secret,
    /// The second factor's code, when one is enrolled.
    #[serde(default)]
    #[schema(value_type = String)]
    pub code: Secret,
}

/// The proof counts for ten minutes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reauthenticated {
    /// When it was given.
    pub authenticated_at: Option<Time>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_sessions))
        .routes(routes!(revoke_session))
        .routes(routes!(sign_out_everywhere))
        .routes(routes!(reauthenticate))
}

/// List my sessions.
#[utoipa::path(get, path = "/auth/sessions", tag = "auth", responses((status = 200, body = List<SessionInfo>)))]
async fn list_sessions(State(state): State<AppState>, caller: Caller) -> Reply<Json<List<SessionInfo>>> {
    let request = identity::ListSessionsRequest { account_id: caller.account_id()?.to_owned() };
    let reply = state.clients.identity(&caller.call()).list_sessions(request).await?.into_inner();
    Ok(Json(List::of(reply.sessions)))
}

/// End one of my sessions.
#[utoipa::path(delete, path = "/auth/sessions/{id}", tag = "auth", params(("id" = String, Path)), responses((status = 204)))]
async fn revoke_session(
    State(state): State<AppState>,
    caller: Caller,
    Path(session_id): Path<String>,
) -> Reply<StatusCode> {
    state.clients.identity(&caller.call()).revoke_session(identity::RevokeSessionRequest { session_id }).await?;
    state.sessions.forget_all();
    Ok(StatusCode::NO_CONTENT)
}

/// Sign out everywhere.
#[utoipa::path(post, path = "/auth/sign-out-everywhere", tag = "auth", responses((status = 200, body = Revoked)))]
async fn sign_out_everywhere(State(state): State<AppState>, site: Site, caller: Caller) -> Reply<Response> {
    let request = identity::SignOutEverywhereRequest { account_id: caller.account_id()?.to_owned() };
    let reply = state.clients.identity(&caller.call()).sign_out_everywhere(request).await?.into_inner();
    state.sessions.forget_all();
    let cookie = Portal::of(&site).sign_out(&caller.request)?;
    Ok(([(header::SET_COOKIE, cookie)], Json(Revoked { revoked: reply.revoked })).into_response())
}

/// Confirm who I am.
///
/// Refunds, secrets and rights ask for a proof that is at most ten minutes old.
#[utoipa::path(post, path = "/auth/reauth", tag = "auth", request_body = ReauthInput, responses((status = 200, body = Reauthenticated)))]
async fn reauthenticate(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<ReauthInput>,
) -> Reply<Json<Reauthenticated>> {
    limits::credentials(&state, &caller.request).await?;
    let request = identity::ReauthenticateRequest {
        session_secret: caller.secret()?.expose().to_owned(),
        password: input.password.expose().to_owned(),
        code: input.code.expose().to_owned(),
    };
    let reply = state.clients.identity(&caller.call()).reauthenticate(request).await?.into_inner();
    state.sessions.forget_all();
    Ok(Json(Reauthenticated { authenticated_at: reply.authenticated_at.show() }))
}
