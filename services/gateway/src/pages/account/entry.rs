//! Signing in, up and out; a new password; confirming the address.

use axum::extract::State;
use axum::response::Response;
use ottery_kit::grpc::Actor;
use ottery_proto::identity::v1 as identity;

use super::card;
use crate::brand::{Brand, BrandHost};
use crate::limits::{self, Form as Body};
use crate::pages::access::{self, Entry};
use crate::pages::block::{Block, Failed, Field, Form, Link, Sent, Tone};
use crate::pages::frame::{Page, Ui, go, go_done, local, quoted, with_cookie};
use crate::problem::{Refusal, Reply};
use crate::session::{Customer, Portal, Visitor};
use crate::state::AppState;

fn next(sent: &Sent) -> &str {
    local(sent.get("next"), "/account")
}

fn sign_in_card(brand: &Brand, ui: &Ui, next: &str, failed: Option<&Failed>) -> Reply<Response> {
    let form = access::sign_in_form("", "/account/sign-in", &[("next", next)]).refused(failed);
    let sign_up = Link::new("Create account", format!("/account/sign-up?next={}", quoted(next)));
    let page = Page::card("Sign in")
        .refused(failed)
        .with(Block::Form(form))
        .with(Block::advice(Tone::Neutral, "New here?", "", sign_up))
        .with(Block::advice(Tone::Neutral, "Forgot your password?", "", Link::new("New password", "/account/forgot")));
    card(brand, ui, page)
}

/// `GET /account/sign-in`
pub async fn sign_in_page(visitor: Visitor, ui: Ui) -> Reply<Response> {
    if visitor.caller.account().is_some() {
        return Ok(go(next(&ui.query)));
    }
    sign_in_card(&visitor.brand, &ui, next(&ui.query), None)
}

/// `POST /account/sign-in`
pub async fn sign_in(
    State(state): State<AppState>,
    BrandHost(brand): BrandHost,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    match access::sign_in(&state, Portal::Shop, Some(&brand), &ui.request, &sent).await {
        Ok(Entry::In(cookie) | Entry::Enrolling(cookie)) => Ok(with_cookie(go(next(&sent)), cookie)),
        Ok(Entry::Code(challenge)) => ask_code(&brand, &ui, &challenge, next(&sent), None),
        Ok(Entry::Perhaps) => Ok(go("/account/sign-in")),
        Err(refusal) => {
            let next = next(&sent).to_owned();
            sign_in_card(&brand, &ui, &next, Some(&Failed { action: String::new(), sent, refusal }))
        }
    }
}

/// Asks for the code of the second factor.
pub fn ask_code(brand: &Brand, ui: &Ui, challenge: &str, next: &str, failed: Option<&Failed>) -> Reply<Response> {
    let form = access::code_form("/account/sign-in/code", challenge, &[("next", next)]).refused(failed);
    card(brand, ui, Page::card("Confirm that it is you").refused(failed).with(Block::Form(form)))
}

/// `POST /account/sign-in/code`
pub async fn code(
    State(state): State<AppState>,
    BrandHost(brand): BrandHost,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    match access::sign_in_code(&state, Portal::Shop, Some(&brand), &ui.request, &sent).await {
        Ok(Entry::In(cookie) | Entry::Enrolling(cookie)) => Ok(with_cookie(go(next(&sent)), cookie)),
        Ok(Entry::Code(challenge)) => ask_code(&brand, &ui, &challenge, next(&sent), None),
        Ok(Entry::Perhaps) => Ok(go("/account/sign-in")),
        Err(refusal) => {
            let (challenge, next) = (sent.text("challenge"), next(&sent).to_owned());
            ask_code(&brand, &ui, &challenge, &next, Some(&Failed { action: String::new(), sent, refusal }))
        }
    }
}

fn sign_up_card(brand: &Brand, ui: &Ui, next: &str, failed: Option<&Failed>, note: Option<Block>) -> Reply<Response> {
    let form = access::sign_up_form("", "/account/sign-up", brand, &[("next", next)]).refused(failed);
    let sign_in = Link::new("Sign in", format!("/account/sign-in?next={}", quoted(next)));
    let page = Page::card("Create account")
        .refused(failed)
        .with_some(note)
        .with(Block::Form(form))
        .with(Block::advice(Tone::Neutral, "Have an account already?", "", sign_in));
    card(brand, ui, page)
}

/// `GET /account/sign-up`
pub async fn sign_up_page(BrandHost(brand): BrandHost, ui: Ui) -> Reply<Response> {
    sign_up_card(&brand, &ui, next(&ui.query), None, None)
}

/// `POST /account/sign-up`
pub async fn sign_up(
    State(state): State<AppState>,
    BrandHost(brand): BrandHost,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    let next = next(&sent).to_owned();
    match access::sign_up(&state, &brand, &ui.request, &sent).await {
        Ok(Entry::In(cookie) | Entry::Enrolling(cookie)) => Ok(with_cookie(go(&next), cookie)),
        Ok(Entry::Perhaps | Entry::Code(_)) => {
            let text = "We sent a mail to this address that says how it goes on.";
            sign_up_card(&brand, &ui, &next, None, Some(Block::note(Tone::Info, "Check your mail", text)))
        }
        Err(refusal) => sign_up_card(&brand, &ui, &next, Some(&Failed { action: String::new(), sent, refusal }), None),
    }
}

/// `POST /account/sign-out`
pub async fn sign_out(State(state): State<AppState>, visitor: Visitor, ui: Ui) -> Reply<Response> {
    if let Ok(secret) = visitor.caller.secret() {
        let asked = identity::SignOutRequest { session_secret: secret.expose().to_owned() };
        state.clients.identity(&visitor.caller.call()).sign_out(asked).await?;
        state.sessions.forget_all();
    }
    Ok(with_cookie(go_done("/account/sign-in", "signed-out"), Portal::Shop.sign_out(&ui.request)?))
}

fn forgot_card(brand: &Brand, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let form = Form::new("", "/account/forgot", "Send me a link")
        .field(Field { autocomplete: "username", ..Field::new("email", "email", "E-mail") }.required())
        .refused(failed);
    let page = Page::card("New password").intro("We send you a link with which you choose a new one.").refused(failed);
    card(brand, ui, page.up("Sign in", "/account/sign-in").with(Block::Form(form)))
}

/// `GET /account/forgot`
pub async fn forgot_page(BrandHost(brand): BrandHost, ui: Ui) -> Reply<Response> {
    forgot_card(&brand, &ui, None)
}

/// `POST /account/forgot`
pub async fn forgot(
    State(state): State<AppState>,
    BrandHost(brand): BrandHost,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::credentials(&state, &ui.request).await?;
    let asked =
        identity::RequestPasswordResetRequest { realm: identity::Realm::Customer.into(), email: sent.text("email") };
    let call = ui.request.call(Actor::anonymous(Some(brand.id)));
    match state.clients.identity(&call).request_password_reset(asked).await {
        Ok(_) => Ok(go_done("/account/sign-in", "reset-sent")),
        Err(status) => forgot_card(&brand, &ui, Some(&Failed { action: String::new(), sent, refusal: status.into() })),
    }
}

fn reset_card(brand: &Brand, ui: &Ui, token: &str, failed: Option<&Failed>) -> Reply<Response> {
    let form = Form::new("", "/account/reset", "Save password")
        .field(Field::hidden("token", token))
        .field(Field::password("password", "New password", "new-password").required().help("At least 12 characters."))
        .refused(failed);
    card(brand, ui, Page::card("Choose a new password").refused(failed).with(Block::Form(form)))
}

/// `GET /account/reset?token=…`
pub async fn reset_page(BrandHost(brand): BrandHost, ui: Ui) -> Reply<Response> {
    reset_card(&brand, &ui, ui.query.get("token"), None)
}

/// `POST /account/reset`
pub async fn reset(
    State(state): State<AppState>,
    BrandHost(brand): BrandHost,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::credentials(&state, &ui.request).await?;
    let asked = identity::ResetPasswordRequest { token: sent.text("token"), password: sent.raw("password") };
    let call = ui.request.call(Actor::anonymous(Some(brand.id)));
    match state.clients.identity(&call).reset_password(asked).await {
        Ok(_) => {
            state.sessions.forget_all();
            Ok(go_done("/account/sign-in", "reset"))
        }
        Err(status) => {
            let token = sent.text("token");
            reset_card(&brand, &ui, &token, Some(&Failed { action: String::new(), sent, refusal: status.into() }))
        }
    }
}

fn verify_card(brand: &Brand, ui: &Ui, token: &str, failed: Option<&Failed>) -> Reply<Response> {
    let form =
        Form::new("", "/account/verify", "Confirm my address").field(Field::hidden("token", token)).refused(failed);
    card(brand, ui, Page::card("Confirm your e-mail address").refused(failed).with(Block::Form(form)))
}

/// `GET /account/verify?token=…`: a button, because mail programs open links by themselves.
pub async fn verify_page(BrandHost(brand): BrandHost, ui: Ui) -> Reply<Response> {
    verify_card(&brand, &ui, ui.query.get("token"), None)
}

/// `POST /account/verify`
pub async fn verify(
    State(state): State<AppState>,
    BrandHost(brand): BrandHost,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::credentials(&state, &ui.request).await?;
    let call = ui.request.call(Actor::anonymous(Some(brand.id)));
    let asked = identity::VerifyEmailRequest { token: sent.text("token") };
    match state.clients.identity(&call).verify_email(asked).await {
        Ok(_) => {
            state.sessions.forget_all();
            Ok(go_done("/account", "verified"))
        }
        Err(status) => {
            let token = sent.text("token");
            verify_card(&brand, &ui, &token, Some(&Failed { action: String::new(), sent, refusal: status.into() }))
        }
    }
}

/// `POST /account/verify/again`
pub async fn verify_again(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    limits::credentials(&state, &ui.request).await?;
    let asked = identity::ResendVerificationRequest { account_id: customer.account.id.clone() };
    state.clients.identity(&customer.caller.call()).resend_verification(asked).await?;
    Ok(go_done("/account", "verify-sent"))
}

fn confirm_card(customer: &Customer, ui: &Ui, next: &str, failed: Option<&Failed>) -> Reply<Response> {
    let mut form = Form::new("", "/account/confirm", "Confirm")
        .field(Field::hidden("next", next))
        .field(Field::password("password", "Password", "current-password").required());
    if customer.account.totp_enrolled {
        form = form.field(Field::code("code", "Code").required());
    }
    let page =
        Page::card("Confirm that it is you").intro("What you are about to do is worth a second look.").refused(failed);
    card(&customer.brand, ui, page.with(Block::Form(form.refused(failed))))
}

/// `GET /account/confirm`
pub async fn confirm_page(customer: Customer, ui: Ui) -> Reply<Response> {
    confirm_card(&customer, &ui, next(&ui.query), None)
}

/// `POST /account/confirm`
pub async fn confirm(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::credentials(&state, &ui.request).await?;
    let asked = identity::ReauthenticateRequest {
        session_secret: customer.caller.secret()?.expose().to_owned(),
        password: sent.raw("password"),
        code: sent.text("code"),
    };
    match state.clients.identity(&customer.caller.call()).reauthenticate(asked).await {
        Ok(_) => {
            state.sessions.forget_all();
            Ok(go_done(next(&sent), "confirmed"))
        }
        Err(status) => {
            let refusal = Refusal::from(status);
            let next = next(&sent).to_owned();
            confirm_card(&customer, &ui, &next, Some(&Failed { action: String::new(), sent, refusal }))
        }
    }
}
