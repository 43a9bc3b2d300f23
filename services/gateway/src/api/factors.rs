//! The second factor.

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
use crate::brand::Site;
use crate::limits::{self, Json};
use crate::problem::Reply;
use crate::session::{Caller, Portal};
use crate::state::AppState;

view! {
    /// Shown once.
    TotpSecret from identity::EnrolTotpReply {
        /// Base32, for typing in.
        secret: String,
        /// For the QR code.
        otpauth_url: String,
    }
}

/// The first code of the new factor.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeInput {
    /// Six digits.
    #[schema(value_type = String)]
    pub code: Secret,
}

/// The factor is on.
#[derive(Debug, Serialize, ToSchema)]
pub struct TotpConfirmed {
    /// Ten single-use codes for the day the device is lost; shown once.
    pub recovery_codes: Vec<String>,
    /// The session that replaces the present one.
    pub session: Option<Opened>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(enrol)).routes(routes!(confirm)).routes(routes!(remove))
}

/// Begin enrolling a second factor.
#[utoipa::path(post, path = "/auth/totp/enrol", tag = "auth", responses((status = 200, body = TotpSecret)))]
async fn enrol(State(state): State<AppState>, caller: Caller) -> Reply<Json<TotpSecret>> {
    limits::credentials(&state, &caller.request).await?;
    let request = identity::EnrolTotpRequest { account_id: caller.account_id()?.to_owned() };
    let reply = state.clients.identity(&caller.call()).enrol_totp(request).await?;
    Ok(Json(reply.into_inner().into()))
}

/// Finish enrolling it with its first code.
#[utoipa::path(post, path = "/auth/totp/confirm", tag = "auth", request_body = CodeInput, responses((status = 200, body = TotpConfirmed)))]
async fn confirm(
    State(state): State<AppState>,
    site: Site,
    caller: Caller,
    Json(input): Json<CodeInput>,
) -> Reply<Response> {
    limits::credentials(&state, &caller.request).await?;
    let request = identity::ConfirmTotpRequest {
        account_id: caller.account_id()?.to_owned(),
        session_secret: caller.secret()?.expose().to_owned(),
        code: input.code.expose().to_owned(),
    };
    let reply = state.clients.identity(&caller.call()).confirm_totp(request).await?.into_inner();
    state.sessions.forget_all();
    let Some(session) = reply.session else {
        return Ok(Json(TotpConfirmed { recovery_codes: reply.recovery_codes, session: None }).into_response());
    };
    let cookie = Portal::of(&site).sign_in(&session, &caller.request, state.host.clock.now())?;
    let body = TotpConfirmed { recovery_codes: reply.recovery_codes, session: Some(Opened::full(session)) };
    Ok(([(header::SET_COOKIE, cookie)], Json(body)).into_response())
}

/// Remove the second factor.
#[utoipa::path(delete, path = "/auth/totp", tag = "auth", responses((status = 204)))]
async fn remove(State(state): State<AppState>, caller: Caller) -> Reply<StatusCode> {
    let request = identity::RemoveTotpRequest { account_id: caller.account_id()?.to_owned() };
    state.clients.identity(&caller.call()).remove_totp(request).await?;
    state.sessions.forget_all();
    Ok(StatusCode::NO_CONTENT)
}
