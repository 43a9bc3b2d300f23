//! Password, second factor, devices.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::identity::v1 as identity;

use super::show as page_of;
use crate::limits::{self, Form as Body};
use crate::pages::access;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done, manner, with_cookie};
use crate::pages::qr;
use crate::problem::Reply;
use crate::session::{Customer, Portal};
use crate::state::AppState;

/// `GET /account/security`
pub async fn show(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    render(&state, &customer, &ui, None).await
}

/// A device by the words in its user agent.
fn device(agent: &str) -> String {
    let one = |names: &[(&str, &str)]| {
        names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| (*name).to_owned())
    };
    let browser =
        one(&[("Firefox", "Firefox"), ("Edg", "Edge"), ("OPR", "Opera"), ("Chrome", "Chrome"), ("Safari", "Safari")]);
    let system = one(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "Mac"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(name), None) | (None, Some(name)) => name,
        (None, None) => "Unknown device".to_owned(),
    }
}

async fn render(state: &AppState, customer: &Customer, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let asked = identity::ListSessionsRequest { account_id: customer.account.id.clone() };
    let sessions = state.clients.identity(&customer.caller.call()).list_sessions(asked).await?.into_inner().sessions;
    let manner = manner(state, &customer.brand);
    let own = customer.caller.session.as_ref().map(|session| session.id.clone()).unwrap_or_default();
    let rows = sessions.iter().map(|session| {
        vec![
            Cell::text(device(&session.user_agent)).note(session.client_ip.clone()),
            Cell::text(manner.relative(session.last_seen_at.as_ref())),
            if session.id == own { Cell::badge(Tone::Good, "This device") } else { Cell::text("") },
        ]
    });
    let others = sessions.iter().filter(|session| session.id != own).map(|session| {
        (
            session.id.clone(),
            format!("{}, {}", device(&session.user_agent), manner.relative(session.last_seen_at.as_ref())),
        )
    });
    let others: Vec<(String, String)> = others.collect();
    let mut page = Page::new("Security")
        .refused(failed)
        .with(Block::facts(
            "",
            vec![
                (
                    "E-mail",
                    Cell::text(&customer.account.email).note(if customer.account.email_verified {
                        "confirmed"
                    } else {
                        "not confirmed yet"
                    }),
                ),
                (
                    "Second factor",
                    if customer.account.totp_enrolled {
                        Cell::badge(Tone::Good, "On")
                    } else {
                        Cell::text("Set up")
                            .to("/account/security/totp")
                            .note("A code from your phone beside the password.")
                    },
                ),
            ],
        ))
        .with(Block::Form(
            Form::new("Change password", "/account/security/password", "Change password")
                .field(Field::password("current_password", "Current password", "current-password").required())
                .field(
                    Field::password("new_password", "New password", "new-password")
                        .required()
                        .help("At least 12 characters. Other devices are signed out."),
                )
                .refused(failed),
        ))
        .with(Block::Table(Table::new("Devices", &["Device", "Last seen", ""], "").rows(rows)));
    if !others.is_empty() {
        page =
            page.with(Block::Form(
                Form::new("", "/account/security/revoke", "Sign out this device")
                    .tone(Tone::Info)
                    .field(Field::select("session", "Another device", others)),
            ));
    }
    let mut actions = vec![
        Form::new("", "/account/security/everywhere", "Sign out everywhere")
            .intro("You have to sign in again on this device as well.")
            .tone(Tone::Bad)
            .folded("Sign out everywhere"),
    ];
    if customer.account.totp_enrolled {
        actions.push(
            Form::new("", "/account/security/totp/remove", "Switch off")
                .intro("Your password alone will be enough again.")
                .tone(Tone::Bad)
                .folded("Switch off the second factor"),
        );
    }
    page_of(customer, ui, page.with(Block::Actions(actions)))
}

/// `POST /account/security/password`
pub async fn password(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::credentials(&state, &ui.request).await?;
    let asked = identity::ChangePasswordRequest {
        session_secret: customer.caller.secret()?.expose().to_owned(),
        current_password: sent.raw("current_password"),
        new_password: sent.raw("new_password"),
    };
    match state.clients.identity(&customer.caller.call()).change_password(asked).await {
        Ok(reply) => {
            state.sessions.forget_all();
            let response = go_done("/account/security", "password");
            Ok(match reply.into_inner().session {
                Some(session) => {
                    with_cookie(response, Portal::Shop.sign_in(&session, &ui.request, state.host.clock.now())?)
                }
                None => response,
            })
        }
        Err(status) => {
            let failed = Failed { action: "/account/security/password".into(), sent, refusal: status.into() };
            render(&state, &customer, &ui, Some(&failed)).await
        }
    }
}

/// `POST /account/security/revoke`
pub async fn revoke(State(state): State<AppState>, customer: Customer, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = identity::RevokeSessionRequest { session_id: sent.text("session") };
    state.clients.identity(&customer.caller.call()).revoke_session(asked).await?;
    state.sessions.forget_all();
    Ok(go_done("/account/security", "revoked"))
}

/// `POST /account/security/everywhere`
pub async fn everywhere(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    let asked = identity::SignOutEverywhereRequest { account_id: customer.account.id.clone() };
    state.clients.identity(&customer.caller.call()).sign_out_everywhere(asked).await?;
    state.sessions.forget_all();
    Ok(with_cookie(go_done("/account/sign-in", "signed-out"), Portal::Shop.sign_out(&ui.request)?))
}

fn enrol_page(secret: &str, url: &str, failed: Option<&Failed>) -> Page {
    let form = Form::new("", "/account/security/totp", "Switch on")
        .field(Field::hidden("secret", secret))
        .field(Field::hidden("url", url))
        .field(Field::code("code", "Code the app shows now").required())
        .refused(failed);
    Page::new("Second factor")
        .up("Security", "/account/security")
        .refused(failed)
        .with_some(qr::block(secret, url))
        .with(Block::Form(form))
}

/// `GET /account/security/totp`
pub async fn enrol(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    let asked = identity::EnrolTotpRequest { account_id: customer.account.id.clone() };
    let reply = state.clients.identity(&customer.caller.call()).enrol_totp(asked).await?.into_inner();
    page_of(&customer, &ui, enrol_page(&reply.secret, &reply.otpauth_url, None))
}

/// `POST /account/security/totp`
pub async fn confirm(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::credentials(&state, &ui.request).await?;
    let asked = identity::ConfirmTotpRequest {
        account_id: customer.account.id.clone(),
        session_secret: customer.caller.secret()?.expose().to_owned(),
        code: sent.text("code"),
    };
    match state.clients.identity(&customer.caller.call()).confirm_totp(asked).await {
        Ok(reply) => {
            state.sessions.forget_all();
            let reply = reply.into_inner();
            let page = Page::new("Keep these codes")
                .intro("Each works once, when your phone is not at hand. They are shown only now.")
                .with(Block::Codes(reply.recovery_codes))
                .with(access::codes_kept("/account/security?done=enrolled"));
            let response = page_of(&customer, &ui, page)?;
            Ok(match reply.session {
                Some(session) => {
                    with_cookie(response, Portal::Shop.sign_in(&session, &ui.request, state.host.clock.now())?)
                }
                None => response,
            })
        }
        Err(status) => {
            let (secret, url) = (sent.text("secret"), sent.text("url"));
            let failed = Failed { action: String::new(), sent, refusal: status.into() };
            page_of(&customer, &ui, enrol_page(&secret, &url, Some(&failed)))
        }
    }
}

/// `POST /account/security/totp/remove`
pub async fn remove(State(state): State<AppState>, customer: Customer) -> Reply<Response> {
    let asked = identity::RemoveTotpRequest { account_id: customer.account.id.clone() };
    state.clients.identity(&customer.caller.call()).remove_totp(asked).await?;
    state.sessions.forget_all();
    Ok(go_done("/account/security", "removed"))
}
