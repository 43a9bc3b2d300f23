//! Staff: who they are and what they hold.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use ottery_proto::identity::v1 as identity;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::passwords::AboutAccount;
use super::view::{List, view};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// A set of permissions with a name.
    Role from identity::Role { name: String, permissions: Vec<String> }
}

view! {
    /// A role somebody holds.
    Grant from identity::Grant {
        id: String,
        account_id: String,
        role: String,
        /// Null: the whole platform.
        brand_id: Option<String>,
    }
}

/// Whose grants.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GrantQuery {
    /// `acc_…`
    account_id: String,
}

/// A role for somebody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantInput {
    /// `acc_…`
    pub account_id: String,
    /// One of the roles.
    pub role: String,
    /// The whole platform when left out.
    #[serde(default)]
    pub brand_id: String,
}

/// A new colleague.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteInput {
    /// Gets a mail with a link.
    pub email: String,
    /// How mails greet.
    pub display_name: String,
    /// One of the roles.
    pub role: String,
    /// The whole platform when left out.
    #[serde(default)]
    pub brand_id: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(roles))
        .routes(routes!(list, grant))
        .routes(routes!(revoke))
        .routes(routes!(invite))
}

/// List roles.
#[utoipa::path(get, path = "/roles", tag = "staff", operation_id = "list_roles", responses((status = 200, body = List<Role>)))]
async fn roles(State(state): State<AppState>, caller: Caller) -> Reply<Json<List<Role>>> {
    let reply = state.clients.identity(&caller.call()).list_roles(identity::ListRolesRequest {}).await?.into_inner();
    Ok(Json(List::of(reply.roles)))
}

/// List what somebody holds.
#[utoipa::path(get, path = "/grants", tag = "staff", operation_id = "list_grants", params(GrantQuery), responses((status = 200, body = List<Grant>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<GrantQuery>,
) -> Reply<Json<List<Grant>>> {
    let request = identity::ListGrantsRequest { account_id: query.account_id };
    let reply = state.clients.identity(&caller.call()).list_grants(request).await?.into_inner();
    Ok(Json(List::of(reply.grants)))
}

/// Give a role.
#[utoipa::path(post, path = "/grants", tag = "staff", operation_id = "grant_role", request_body = GrantInput, responses((status = 201, body = Grant)))]
async fn grant(State(state): State<AppState>, caller: Caller, Json(input): Json<GrantInput>) -> Reply<Response> {
    let request =
        identity::GrantRoleRequest { account_id: input.account_id, role: input.role, brand_id: input.brand_id };
    let grant = state.clients.identity(&caller.call()).grant_role(request).await?.into_inner();
    state.sessions.forget_all();
    Ok((StatusCode::CREATED, Json(Grant::from(grant))).into_response())
}

/// Take a role away.
#[utoipa::path(delete, path = "/grants/{id}", tag = "staff", operation_id = "revoke_grant", params(("id" = String, Path)), responses((status = 204)))]
async fn revoke(State(state): State<AppState>, caller: Caller, Path(grant_id): Path<String>) -> Reply<StatusCode> {
    state.clients.identity(&caller.call()).revoke_grant(identity::RevokeGrantRequest { grant_id }).await?;
    state.sessions.forget_all();
    Ok(StatusCode::NO_CONTENT)
}

/// Invite a colleague.
#[utoipa::path(post, path = "/staff", tag = "staff", operation_id = "invite_staff", request_body = InviteInput, responses((status = 201, body = AboutAccount)))]
async fn invite(State(state): State<AppState>, caller: Caller, Json(input): Json<InviteInput>) -> Reply<Response> {
    let request = identity::InviteStaffRequest {
        email: input.email,
        display_name: input.display_name,
        role: input.role,
        brand_id: input.brand_id,
    };
    let reply = state.clients.identity(&caller.call()).invite_staff(request).await?.into_inner();
    Ok((StatusCode::CREATED, Json(AboutAccount { account_id: reply.account_id })).into_response())
}
