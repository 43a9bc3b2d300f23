//! The first run: the single-use token that was printed at the start makes the first owner.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ottery_kit::secret::Secret;
use ottery_proto::identity::v1 as identity;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::auth::Opened;
use super::view::view;
use crate::limits::{self, Json};
use crate::problem::{Refusal, Reply};
use crate::session::{Caller, Portal};
use crate::state::AppState;

view! {
    /// Whether the first owner is still missing.
    Setup from identity::GetSetupReply { open: bool }
}

/// Makes the first owner.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupInput {
    /// Printed once when the system started for the first time.
    #[schema(value_type = String)]
    pub setup_token: Secret,
    /// Address to sign in with.
    pub email: String,
    /// At least 15 characters.
    #[schema(value_type = String)]
    pub password: Secret,
    /// How mails and the console greet.
    pub display_name: String,
}

/// The owner's session, which may only enrol a second factor yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct SetupDone {
    /// The first owner.
    pub account_id: String,
    /// The session just opened.
    pub session: Opened,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_setup, complete_setup))
}

/// Is set-up open?
#[utoipa::path(get, path = "/setup", tag = "setup", responses((status = 200, body = Setup)))]
async fn get_setup(State(state): State<AppState>, caller: Caller) -> Reply<Json<Setup>> {
    let reply = state.clients.identity(&caller.call()).get_setup(identity::GetSetupRequest {}).await?;
    Ok(Json(reply.into_inner().into()))
}

/// Complete set-up.
///
/// Works once; afterwards 410.
#[utoipa::path(post, path = "/setup", tag = "setup", request_body = SetupInput, responses((status = 201, body = SetupDone)))]
async fn complete_setup(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<SetupInput>,
) -> Reply<Response> {
    limits::credentials(&state, &caller.request).await?;
    let request = identity::CompleteSetupRequest {
        setup_token: input.setup_token.expose().to_owned(),
        email: input.email,
        password: input.password.expose().to_owned(),
        display_name: input.display_name,
        device: Some(caller.request.device()),
    };
    let reply = state.clients.identity(&caller.call()).complete_setup(request).await?.into_inner();
    let session =
        reply.enrolment.ok_or_else(|| Refusal::internal(&std::io::Error::other("set-up opened no session")))?;
    let cookie = Portal::Staff.sign_in(&session, &caller.request, state.host.clock.now())?;
    let body = SetupDone { account_id: reply.account_id, session: Opened::enrolment(session) };
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], Json(body)).into_response())
}
