//! Signing in and up, for the pages that do it: checkout, account, staff.

use axum::http::HeaderValue;
use ottery_kit::grpc::Actor;
use ottery_proto::identity::v1 as identity;
use ottery_proto::identity::v1::sign_in_reply::Outcome;

use super::block::{Block, Field, Form, Link, Sent, Tone};
use super::words::COUNTRIES;
use crate::brand::Brand;
use crate::limits;
use crate::problem::{Refusal, Reply};
use crate::request::RequestInfo;
use crate::session::Portal;
use crate::state::AppState;

/// How far signing in came.
#[derive(Clone, Debug)]
pub enum Entry {
    /// Signed in; the cookie says so.
    In(HeaderValue),
    /// Signed in to enrol a second factor, and nothing else.
    Enrolling(HeaderValue),
    /// A code is wanted; the challenge goes with it.
    Code(String),
    /// Signing up went as for everybody, but nobody is signed in: perhaps there is such an account already.
    Perhaps,
}

/// First factor.
///
/// # Errors
/// Wrong credentials, too many attempts.
pub async fn sign_in(
    state: &AppState,
    portal: Portal,
    brand: Option<&Brand>,
    request: &RequestInfo,
    sent: &Sent,
) -> Reply<Entry> {
    limits::credentials(state, request).await?;
    let call = request.call(Actor::anonymous(brand.map(|brand| brand.id)));
    let asked = identity::SignInRequest {
        realm: portal.realm().into(),
        email: sent.text("email"),
        password: sent.raw("password"),
        device: Some(request.device()),
    };
    let reply = state.clients.identity(&call).sign_in(asked).await?.into_inner();
    entry(state, portal, request, reply)
}

/// Second factor.
///
/// # Errors
/// A wrong code, too many attempts.
pub async fn sign_in_code(
    state: &AppState,
    portal: Portal,
    brand: Option<&Brand>,
    request: &RequestInfo,
    sent: &Sent,
) -> Reply<Entry> {
    limits::credentials(state, request).await?;
    let call = request.call(Actor::anonymous(brand.map(|brand| brand.id)));
    let asked = identity::SignInTotpRequest {
        challenge: sent.text("challenge"),
        code: sent.text("code"),
        device: Some(request.device()),
    };
    let reply = state.clients.identity(&call).sign_in_totp(asked).await?.into_inner();
    entry(state, portal, request, reply)
}

fn entry(state: &AppState, portal: Portal, request: &RequestInfo, reply: identity::SignInReply) -> Reply<Entry> {
    let cookie = |session: &identity::Session| portal.sign_in(session, request, state.host.clock.now());
    match reply.outcome {
        Some(Outcome::Session(session)) => Ok(Entry::In(cookie(&session)?)),
        Some(Outcome::Enrolment(session)) => Ok(Entry::Enrolling(cookie(&session)?)),
        Some(Outcome::Totp(challenge)) => Ok(Entry::Code(challenge.challenge)),
        None => Err(Refusal::internal(&std::io::Error::other("identity answered without an outcome"))),
    }
}

/// A new customer.
///
/// # Errors
/// A password that is too weak, an address that is none, too many attempts.
pub async fn sign_up(state: &AppState, brand: &Brand, request: &RequestInfo, sent: &Sent) -> Reply<Entry> {
    limits::sign_up(state, request).await?;
    let call = request.call(Actor::anonymous(Some(brand.id)));
    let asked = identity::SignUpRequest {
        email: sent.text("email"),
        password: sent.raw("password"),
        locale: brand.default_locale.clone(),
        country: sent.text("country"),
        display_name: sent.text("display_name"),
        device: Some(request.device()),
    };
    let reply = state.clients.identity(&call).sign_up(asked).await?.into_inner();
    match reply.session {
        Some(session) => Ok(Entry::In(Portal::Shop.sign_in(&session, request, state.host.clock.now())?)),
        None => Ok(Entry::Perhaps),
    }
}

/// Asks for address and password.
#[must_use]
pub fn sign_in_form(title: &str, action: &str, hidden: &[(&str, &str)]) -> Form {
    Form::new(title, action, "Sign in")
        .fields(hidden.iter().map(|(name, value)| Field::hidden(*name, *value)))
        .field(Field { autocomplete: "username", ..Field::new("email", "email", "E-mail") }.required())
        .field(Field::password("password", "Password", "current-password").required())
}

/// Asks for what a new account needs.
#[must_use]
pub fn sign_up_form(title: &str, action: &str, brand: &Brand, hidden: &[(&str, &str)]) -> Form {
    let country = brand.entity.as_ref().map(|entity| entity.country.clone()).unwrap_or_default();
    let countries = COUNTRIES.iter().map(|(code, name)| ((*code).to_owned(), (*name).to_owned())).collect();
    Form::new(title, action, "Create account")
        .fields(hidden.iter().map(|(name, value)| Field::hidden(*name, *value)))
        .field(Field { autocomplete: "email", ..Field::new("email", "email", "E-mail") }.required())
        .field(
            Field::password("password", "Password", "new-password")
                .help("At least 12 characters; a few words are fine.")
                .required(),
        )
        .field(
            Field { autocomplete: "name", ..Field::text("display_name", "Name") }
                .help("As it should be on your invoices."),
        )
        .field(
            Field { autocomplete: "country", ..Field::select("country", "Country", countries) }
                .value(country)
                .help("For tax."),
        )
}

/// The way on from recovery codes, which are shown only once.
#[must_use]
pub fn codes_kept(href: &str) -> Block {
    let text = "Print them, or keep them in a password manager: not only on the phone with the app.";
    Block::advice(Tone::Neutral, "Did you keep them?", text, Link::new("I kept them", href))
}

/// Asks for the code of the second factor.
#[must_use]
pub fn code_form(action: &str, challenge: &str, hidden: &[(&str, &str)]) -> Form {
    Form::new("", action, "Continue")
        .fields(hidden.iter().map(|(name, value)| Field::hidden(*name, *value)))
        .field(Field::hidden("challenge", challenge))
        .field(
            // A recovery code has letters too.
            Field { inputmode: "", ..Field::code("code", "Code") }
                .required()
                .help("The six digits your authenticator app shows, or one of your recovery codes."),
        )
}
