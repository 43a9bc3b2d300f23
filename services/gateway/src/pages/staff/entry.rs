//! First steps, signing in, the second factor, confirming who one is.

use axum::extract::State;
use axum::response::Response;
use ottery_kit::grpc::Actor;
use ottery_proto::identity::v1 as identity;

use super::desk::plain;
use crate::brand::StaffHost;
use crate::limits::{self, Form as Body};
use crate::pages::access::{self, Entry};
use crate::pages::block::{Block, Failed, Field, Form, Sent, Tone};
use crate::pages::frame::{Page, Ui, go, go_done, local, with_cookie};
use crate::pages::qr;
use crate::problem::{Refusal, Reply};
use crate::session::{Caller, EnrollingStaff, Portal, Staff};
use crate::state::AppState;

fn next(sent: &Sent) -> &str {
    local(sent.get("next"), "/staff")
}

async fn is_setup_open(state: &AppState, ui: &Ui) -> Reply<bool> {
    let call = ui.request.call(Actor::anonymous(None));
    Ok(state.clients.identity(&call).get_setup(identity::GetSetupRequest {}).await?.into_inner().open)
}

fn setup_card(ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let form = Form::new("", "/staff/setup", "Create owner")
        .field(
            Field::password("setup_token", "Set-up token", "off")
                .required()
                .value(ui.query.get("token"))
                .help("It is in the file “setup-token” of the data folder, which was named when the program started."),
        )
        .field(Field { autocomplete: "name", ..Field::text("display_name", "Your name") }.required())
        .field(Field { autocomplete: "username", ..Field::new("email", "email", "E-mail") }.required())
        .field(
            Field::password("password", "Password", "new-password")
                .required()
                .help("At least 12 characters; a few words are fine."),
        )
        .refused(failed);
    let page = Page::card("First steps")
        .intro("Make the first owner. The token works once; the second factor comes next.")
        .refused(failed);
    plain(ui, "", page.with(Block::Form(form)))
}

/// `GET /staff/setup`
pub async fn setup_page(State(state): State<AppState>, _: StaffHost, ui: Ui) -> Reply<Response> {
    if is_setup_open(&state, &ui).await? {
        return setup_card(&ui, None);
    }
    let page = Page::card("Set-up is done")
        .intro("There is an owner already; the token cannot be used again.")
        .action("Sign in", "/staff/sign-in");
    plain(&ui, "", page)
}

/// `POST /staff/setup`
pub async fn setup(State(state): State<AppState>, _: StaffHost, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    limits::credentials(&state, &ui.request).await?;
    let asked = identity::CompleteSetupRequest {
        setup_token: sent.text("setup_token"),
        email: sent.text("email"),
        password: sent.raw("password"),
        display_name: sent.text("display_name"),
        device: Some(ui.request.device()),
    };
    let call = ui.request.call(Actor::anonymous(None));
    match state.clients.identity(&call).complete_setup(asked).await {
        Ok(reply) => {
            let session = reply.into_inner().enrolment.unwrap_or_default();
            Ok(with_cookie(go("/staff/enrol"), Portal::Staff.sign_in(&session, &ui.request, state.host.clock.now())?))
        }
        Err(status) => setup_card(&ui, Some(&Failed { action: String::new(), sent, refusal: status.into() })),
    }
}

fn sign_in_card(ui: &Ui, next: &str, failed: Option<&Failed>) -> Reply<Response> {
    let form = access::sign_in_form("", "/staff/sign-in", &[("next", next)]).refused(failed);
    plain(ui, "", Page::card("Staff").intro("Sign in to work.").refused(failed).with(Block::Form(form)))
}

/// `GET /staff/sign-in`
pub async fn sign_in_page(State(state): State<AppState>, _: StaffHost, caller: Caller, ui: Ui) -> Reply<Response> {
    if caller.account().is_some() {
        return Ok(go(next(&ui.query)));
    }
    if is_setup_open(&state, &ui).await? {
        return Ok(go("/staff/setup"));
    }
    sign_in_card(&ui, next(&ui.query), None)
}

fn code_card(ui: &Ui, challenge: &str, next: &str, failed: Option<&Failed>) -> Reply<Response> {
    let form = access::code_form("/staff/sign-in/code", challenge, &[("next", next)]).refused(failed);
    plain(ui, "", Page::card("Confirm that it is you").refused(failed).with(Block::Form(form)))
}

fn enter(ui: &Ui, entry: Entry, next: &str) -> Reply<Response> {
    match entry {
        Entry::In(cookie) => Ok(with_cookie(go(next), cookie)),
        Entry::Enrolling(cookie) => Ok(with_cookie(go("/staff/enrol"), cookie)),
        Entry::Code(challenge) => code_card(ui, &challenge, next, None),
        Entry::Perhaps => Ok(go("/staff/sign-in")),
    }
}

/// `POST /staff/sign-in`
pub async fn sign_in(State(state): State<AppState>, _: StaffHost, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let next = next(&sent).to_owned();
    match access::sign_in(&state, Portal::Staff, None, &ui.request, &sent).await {
        Ok(entry) => enter(&ui, entry, &next),
        Err(refusal) => sign_in_card(&ui, &next, Some(&Failed { action: String::new(), sent, refusal })),
    }
}

/// `POST /staff/sign-in/code`
pub async fn code(State(state): State<AppState>, _: StaffHost, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let next = next(&sent).to_owned();
    match access::sign_in_code(&state, Portal::Staff, None, &ui.request, &sent).await {
        Ok(entry) => enter(&ui, entry, &next),
        Err(refusal) => {
            let challenge = sent.text("challenge");
            code_card(&ui, &challenge, &next, Some(&Failed { action: String::new(), sent, refusal }))
        }
    }
}

/// `POST /staff/sign-out`
pub async fn sign_out(State(state): State<AppState>, _: StaffHost, caller: Caller, ui: Ui) -> Reply<Response> {
    if let Ok(secret) = caller.secret() {
        let asked = identity::SignOutRequest { session_secret: secret.expose().to_owned() };
        state.clients.identity(&caller.call()).sign_out(asked).await?;
        state.sessions.forget_all();
    }
    Ok(with_cookie(go_done("/staff/sign-in", "signed-out"), Portal::Staff.sign_out(&ui.request)?))
}

fn enrol_card(ui: &Ui, who: &str, secret: &str, url: &str, failed: Option<&Failed>) -> Reply<Response> {
    let form = Form::new("", "/staff/enrol", "Switch on")
        .field(Field::hidden("secret", secret))
        .field(Field::hidden("url", url))
        .field(Field::code("code", "Code the app shows now").required())
        .refused(failed);
    let page = Page::card("Set up your second factor").intro("Everybody on the staff has one.").refused(failed);
    plain(ui, who, page.with_some(qr::block(secret, url)).with(Block::Form(form)))
}

/// `GET /staff/enrol`
pub async fn enrol_page(State(state): State<AppState>, staff: EnrollingStaff, ui: Ui) -> Reply<Response> {
    if staff.account.totp_enrolled {
        return Ok(go("/staff"));
    }
    let asked = identity::EnrolTotpRequest { account_id: staff.account.id.clone() };
    let reply = state.clients.identity(&staff.caller.call()).enrol_totp(asked).await?.into_inner();
    enrol_card(&ui, &staff.account.email, &reply.secret, &reply.otpauth_url, None)
}

/// `POST /staff/enrol`
pub async fn enrol(
    State(state): State<AppState>,
    staff: EnrollingStaff,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::credentials(&state, &ui.request).await?;
    let asked = identity::ConfirmTotpRequest {
        account_id: staff.account.id.clone(),
        session_secret: staff.caller.secret()?.expose().to_owned(),
        code: sent.text("code"),
    };
    match state.clients.identity(&staff.caller.call()).confirm_totp(asked).await {
        Ok(reply) => {
            state.sessions.forget_all();
            let reply = reply.into_inner();
            let page = Page::card("Keep these codes")
                .intro("Each works once, when your phone is not at hand. They are shown only now.")
                .with(Block::Codes(reply.recovery_codes))
                .with(access::codes_kept("/staff"));
            let response = plain(&ui, &staff.account.email, page)?;
            Ok(match reply.session {
                Some(session) => {
                    with_cookie(response, Portal::Staff.sign_in(&session, &ui.request, state.host.clock.now())?)
                }
                None => response,
            })
        }
        Err(status) => {
            let (secret, url) = (sent.text("secret"), sent.text("url"));
            enrol_card(
                &ui,
                &staff.account.email,
                &secret,
                &url,
                Some(&Failed { action: String::new(), sent, refusal: status.into() }),
            )
        }
    }
}

fn confirm_card(ui: &Ui, staff: &Staff, next: &str, failed: Option<&Failed>) -> Reply<Response> {
    let form = Form::new("", "/staff/confirm", "Confirm")
        .field(Field::hidden("next", next))
        .field(Field::password("password", "Password", "current-password").required())
        .field(Field::code("code", "Code").required())
        .refused(failed);
    let page = Page::card("Confirm that it is you").refused(failed).with(Block::note(
        Tone::Info,
        "This needs a fresh proof",
        "What you are about to do moves money or shows secrets. Confirm, then do it again.",
    ));
    plain(ui, &staff.account.email, page.with(Block::Form(form)))
}

/// `GET /staff/confirm`
pub async fn confirm_page(staff: Staff, ui: Ui) -> Reply<Response> {
    confirm_card(&ui, &staff, next(&ui.query), None)
}

/// `POST /staff/confirm`
pub async fn confirm(State(state): State<AppState>, staff: Staff, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    limits::credentials(&state, &ui.request).await?;
    let asked = identity::ReauthenticateRequest {
        session_secret: staff.caller.secret()?.expose().to_owned(),
        password: sent.raw("password"),
        code: sent.text("code"),
    };
    match state.clients.identity(&staff.caller.call()).reauthenticate(asked).await {
        Ok(_) => {
            state.sessions.forget_all();
            Ok(go_done(next(&sent), "confirmed"))
        }
        Err(status) => {
            let refusal = Refusal::from(status);
            let next = next(&sent).to_owned();
            confirm_card(&ui, &staff, &next, Some(&Failed { action: String::new(), sent, refusal }))
        }
    }
}
