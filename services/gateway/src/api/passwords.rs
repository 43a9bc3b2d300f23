//! Passwords and the proof that an address is one's own.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ottery_kit::secret::Secret;
use ottery_proto::identity::v1 as identity;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::auth::Opened;
use crate::brand::Site;
use crate::limits::{self, Json};
use crate::problem::{Refusal, Reply};
use crate::session::{Caller, Portal};
use crate::state::AppState;

/// Whose password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetInput {
    /// Gets a mail with a link, when it has an account.
    pub email: String,
}

/// The new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetConfirmInput {
    /// From the mail's link.
    #[schema(value_type = String)]
    pub token: Secret,
    /// At least 12 characters, 15 for staff.
    #[schema(value_type = String)]
    pub password: Secret,
}

/// A change by somebody signed in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordInput {
    /// The present one.
    #[schema(value_type = String)]
    pub current_password: Secret,
    /// At least 12 characters, 15 for staff.
    #[schema(value_type = String)]
    pub new_password: Secret,
}

/// Proof of an address.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyInput {
    /// From the mail's link.
    #[schema(value_type = String)]
    pub token: Secret,
}

/// The account it was about.
#[derive(Debug, Serialize, ToSchema)]
pub struct AboutAccount {
    /// `acc_…`
    pub account_id: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(request_reset))
        .routes(routes!(reset))
        .routes(routes!(change))
        .routes(routes!(verify))
        .routes(routes!(resend))
}

/// Ask for a new password.
///
/// Answers the same whether the address has an account or not.
#[utoipa::path(post, path = "/auth/password-reset", tag = "auth", request_body = ResetInput, responses((status = 202)))]
async fn request_reset(
    State(state): State<AppState>,
    site: Site,
    caller: Caller,
    Json(input): Json<ResetInput>,
) -> Reply<StatusCode> {
    limits::credentials(&state, &caller.request).await?;
    let request = identity::RequestPasswordResetRequest { realm: Portal::of(&site).realm().into(), email: input.email };
    state.clients.identity(&caller.call()).request_password_reset(request).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Set a new password.
///
/// Does not sign in, and ends every session of the account.
#[utoipa::path(post, path = "/auth/password-reset/confirm", tag = "auth", request_body = ResetConfirmInput, responses((status = 200, body = AboutAccount)))]
async fn reset(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<ResetConfirmInput>,
) -> Reply<Json<AboutAccount>> {
    limits::credentials(&state, &caller.request).await?;
    let request = identity::ResetPasswordRequest {
        token: input.token.expose().to_owned(),
        password: input.password.expose().to_owned(),
    };
    let reply = state.clients.identity(&caller.call()).reset_password(request).await?.into_inner();
    state.sessions.forget_all();
    Ok(Json(AboutAccount { account_id: reply.account_id }))
}

/// Change my password.
///
/// Every other session ends; this one is replaced.
#[utoipa::path(post, path = "/auth/password", tag = "auth", request_body = PasswordInput, responses((status = 200, body = Opened)))]
async fn change(
    State(state): State<AppState>,
    site: Site,
    caller: Caller,
    Json(input): Json<PasswordInput>,
) -> Reply<Response> {
    limits::credentials(&state, &caller.request).await?;
    let request = identity::ChangePasswordRequest {
        session_secret: caller.secret()?.expose().to_owned(),
        current_password: input.current_password.expose().to_owned(),
        new_password: input.new_password.expose().to_owned(),
    };
    let reply = state.clients.identity(&caller.call()).change_password(request).await?.into_inner();
    state.sessions.forget_all();
    let session =
        reply.session.ok_or_else(|| Refusal::internal(&std::io::Error::other("no session replaced the old one")))?;
    let cookie = Portal::of(&site).sign_in(&session, &caller.request, state.host.clock.now())?;
    Ok(([(header::SET_COOKIE, cookie)], Json(Opened::full(session))).into_response())
}

/// Verify my address.
#[utoipa::path(post, path = "/auth/verify-email", tag = "auth", request_body = VerifyInput, responses((status = 200, body = AboutAccount)))]
async fn verify(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<VerifyInput>,
) -> Reply<Json<AboutAccount>> {
    limits::credentials(&state, &caller.request).await?;
    let request = identity::VerifyEmailRequest { token: input.token.expose().to_owned() };
    let reply = state.clients.identity(&caller.call()).verify_email(request).await?.into_inner();
    state.sessions.forget_all();
    Ok(Json(AboutAccount { account_id: reply.account_id }))
}

/// Send the verification mail again.
#[utoipa::path(post, path = "/auth/verify-email/resend", tag = "auth", responses((status = 202)))]
async fn resend(State(state): State<AppState>, caller: Caller) -> Reply<StatusCode> {
    limits::credentials(&state, &caller.request).await?;
    let request = identity::ResendVerificationRequest { account_id: caller.account_id()?.to_owned() };
    state.clients.identity(&caller.call()).resend_verification(request).await?;
    Ok(StatusCode::ACCEPTED)
}
