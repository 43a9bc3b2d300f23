//! Signing up, in and out.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ottery_kit::secret::Secret;
use ottery_proto::identity::v1 as identity;
use ottery_proto::identity::v1::sign_in_reply::Outcome;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{Show as _, Time, view, words};
use crate::brand::Site;
use crate::limits::{self, Json};
use crate::problem::{Refusal, Reply};
use crate::session::{Caller, Portal};
use crate::state::AppState;

words! {
    /// Which kind of account.
    Realm from identity::Realm { Customer, Staff }
}

view! {
    /// An account.
    Account from identity::Account {
        id: String,
        realm: Realm,
        /// Null for staff.
        brand_id: Option<String>,
        email: String,
        email_verified: bool,
        display_name: String,
        locale: String,
        country: Option<String>,
        totp_enrolled: bool,
        created_at: Option<Time>,
    }
}

/// A session just opened; its cookie is in the answer's headers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Opened {
    /// `ses_…`
    pub id: String,
    /// Ends when unused until then.
    pub idle_deadline: Option<Time>,
    /// Ends then in any case.
    pub absolute_deadline: Option<Time>,
    /// Whose it is.
    pub account: Option<Account>,
    /// It may only enrol a second factor, which staff must have.
    pub enrolment_only: bool,
}

impl Opened {
    pub(super) fn full(session: identity::Session) -> Self {
        Self {
            id: session.id,
            idle_deadline: session.idle_deadline.show(),
            absolute_deadline: session.absolute_deadline.show(),
            account: session.account.show(),
            enrolment_only: false,
        }
    }

    pub(super) fn enrolment(session: identity::Session) -> Self {
        Self { enrolment_only: true, ..Self::full(session) }
    }
}

/// What signing in came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum SignedIn {
    /// Signed in.
    Session {
        /// The session.
        session: Opened,
    },
    /// The password was right; now the code of the second factor.
    Totp {
        /// Send it back with the code.
        challenge: String,
        /// It is good until then.
        expires_at: Option<Time>,
    },
    /// Signed in as far as enrolling the second factor.
    Enrolment {
        /// The session.
        session: Opened,
    },
}

/// A new customer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignUpInput {
    /// Gets a verification mail.
    pub email: String,
    /// At least 12 characters.
    #[schema(value_type = String)]
    pub password: Secret,
    /// How mails greet.
    #[serde(default)]
    pub display_name: String,
    /// BCP 47; the brand's default when left out.
    #[serde(default)]
    pub locale: String,
    /// ISO 3166-1 alpha-2, for tax.
    #[serde(default)]
    pub country: String,
}

/// What signing up came to. An address that is taken answers the same, without a session.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedUp {
    /// Null when a mail tells the address's owner how to go on.
    pub session: Option<Opened>,
}

/// First factor.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInInput {
    /// The address.
    pub email: String,
    /// The password.
    #[schema(value_type = String)]
    pub password: Secret,
}

/// Second factor.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TotpInput {
    /// From the first factor.
    pub challenge: String,
    /// Six digits, or a recovery code.
    #[schema(value_type = String)]
    pub code: Secret,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(sign_up))
        .routes(routes!(sign_in))
        .routes(routes!(sign_in_totp))
        .routes(routes!(sign_out))
        .routes(routes!(me))
}

/// Sign up.
#[utoipa::path(post, path = "/auth/sign-up", tag = "auth", request_body = SignUpInput, responses((status = 201, body = SignedUp)))]
async fn sign_up(State(state): State<AppState>, caller: Caller, Json(input): Json<SignUpInput>) -> Reply<Response> {
    limits::sign_up(&state, &caller.request).await?;
    let request = identity::SignUpRequest {
        email: input.email,
        password: input.password.expose().to_owned(),
        locale: input.locale,
        country: input.country,
        display_name: input.display_name,
        device: Some(caller.request.device()),
    };
    let context = visitor(&caller);
    let reply = state.clients.identity(&context).sign_up(request).await?.into_inner();
    let Some(session) = reply.session else {
        return Ok((StatusCode::CREATED, Json(SignedUp { session: None })).into_response());
    };
    let cookie = Portal::Shop.sign_in(&session, &caller.request, state.host.clock.now())?;
    let body = SignedUp { session: Some(Opened::full(session)) };
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], Json(body)).into_response())
}

/// Whoever signs in is nobody yet, whatever cookie the browser still has: a session is never carried over a sign-in.
fn visitor(caller: &Caller) -> ottery_kit::grpc::CallContext {
    caller.request.call(ottery_kit::grpc::Actor::anonymous(caller.actor.brand))
}

/// Sign in.
///
/// On a brand's host customers sign in, on the staff host staff.
#[utoipa::path(post, path = "/auth/sign-in", tag = "auth", request_body = SignInInput, responses((status = 200, body = SignedIn)))]
async fn sign_in(
    State(state): State<AppState>,
    site: Site,
    caller: Caller,
    Json(input): Json<SignInInput>,
) -> Reply<Response> {
    limits::credentials(&state, &caller.request).await?;
    let portal = Portal::of(&site);
    let request = identity::SignInRequest {
        realm: portal.realm().into(),
        email: input.email,
        password: input.password.expose().to_owned(),
        device: Some(caller.request.device()),
    };
    let reply = state.clients.identity(&visitor(&caller)).sign_in(request).await?.into_inner();
    signed_in(&state, portal, &caller, reply.outcome)
}

/// Sign in: second factor.
#[utoipa::path(post, path = "/auth/totp", tag = "auth", request_body = TotpInput, responses((status = 200, body = SignedIn)))]
async fn sign_in_totp(
    State(state): State<AppState>,
    site: Site,
    caller: Caller,
    Json(input): Json<TotpInput>,
) -> Reply<Response> {
    limits::credentials(&state, &caller.request).await?;
    let request = identity::SignInTotpRequest {
        challenge: input.challenge,
        code: input.code.expose().to_owned(),
        device: Some(caller.request.device()),
    };
    let reply = state.clients.identity(&visitor(&caller)).sign_in_totp(request).await?.into_inner();
    signed_in(&state, Portal::of(&site), &caller, reply.outcome)
}

fn signed_in(state: &AppState, portal: Portal, caller: &Caller, outcome: Option<Outcome>) -> Reply<Response> {
    let now = state.host.clock.now();
    match outcome {
        Some(Outcome::Session(session)) => {
            let cookie = portal.sign_in(&session, &caller.request, now)?;
            Ok(([(header::SET_COOKIE, cookie)], Json(SignedIn::Session { session: Opened::full(session) }))
                .into_response())
        }
        Some(Outcome::Enrolment(session)) => {
            let cookie = portal.sign_in(&session, &caller.request, now)?;
            let body = SignedIn::Enrolment { session: Opened::enrolment(session) };
            Ok(([(header::SET_COOKIE, cookie)], Json(body)).into_response())
        }
        Some(Outcome::Totp(totp)) => {
            let body = SignedIn::Totp { challenge: totp.challenge, expires_at: totp.expires_at.show() };
            Ok(Json(body).into_response())
        }
        None => Err(Refusal::internal(&std::io::Error::other("signing in had no outcome"))),
    }
}

/// Sign out.
#[utoipa::path(post, path = "/auth/sign-out", tag = "auth", responses((status = 204)))]
async fn sign_out(State(state): State<AppState>, site: Site, caller: Caller) -> Reply<Response> {
    if let Some(session) = caller.session.as_ref().filter(|session| session.account.is_some()) {
        let request = identity::SignOutRequest { session_secret: session.secret.expose().to_owned() };
        state.clients.identity(&caller.call()).sign_out(request).await?;
        state.sessions.forget_all();
    }
    let cookie = Portal::of(&site).sign_out(&caller.request)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Who is signed in, and what they may do in the brand of the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// The account.
    pub account: Account,
    /// The session.
    pub session_id: String,
    /// Permissions as `resource.action`; `*` is everything.
    pub permissions: Vec<String>,
    /// The brand of the request.
    pub brand_id: Option<String>,
    /// Brands in which a staff account holds something.
    pub brand_ids: Vec<String>,
    /// Whether it holds something in every brand.
    pub all_brands: bool,
    /// The session may only enrol a second factor.
    pub enrolment_only: bool,
    /// When they last proved who they are.
    pub authenticated_at: Option<Time>,
}

/// Who am I?
#[utoipa::path(get, path = "/me", tag = "auth", responses((status = 200, body = Me)))]
async fn me(caller: Caller) -> Reply<Json<Me>> {
    let session = caller.session.clone().ok_or_else(Refusal::sign_in)?;
    let account = session.account.clone().ok_or_else(Refusal::sign_in)?;
    Ok(Json(Me {
        account: account.into(),
        session_id: session.id.clone(),
        permissions: caller.actor.permissions.iter().cloned().collect(),
        brand_id: caller.actor.brand.map(|brand| brand.to_string()),
        brand_ids: session.brands.iter().map(ToString::to_string).collect(),
        all_brands: session.has_all_brands,
        enrolment_only: session.is_enrolment_only,
        authenticated_at: caller.actor.authenticated_at.map(Time),
    }))
}
