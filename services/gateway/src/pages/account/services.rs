//! What the customer watches with.

use axum::extract::{Path, State};
use axum::response::Response;
use ottery_proto::provisioning::v1 as provisioning;
use ottery_proto::provisioning::v1::Service;
use ottery_proto::provisioning::v1::service::Step;

use super::{notices, show as page_of};
use crate::pages::block::{Block, Cell, Form, Link, Table, Tone};
use crate::pages::frame::{Page, Ui, manner};
use crate::pages::shop::order::credentials;
use crate::pages::text::counted;
use crate::problem::Reply;
use crate::session::Customer;
use crate::state::AppState;

/// How a service stands: tone, word, sentence.
#[must_use]
pub fn stage(service: &Service) -> (Tone, &'static str, String) {
    let told = |otherwise: &str| {
        if service.status_text.is_empty() { otherwise.to_owned() } else { service.status_text.clone() }
    };
    match service.step() {
        Step::Ready => (Tone::Good, "Ready", told("Sign in on your player and watch.")),
        Step::Updating => (Tone::Info, "Updating", told("It works while we change it.")),
        Step::Placing | Step::Creating | Step::Verifying | Step::Unspecified => {
            (Tone::Info, "Being prepared", told("This takes a few seconds."))
        }
        Step::Waiting => {
            (Tone::Warn, "Waiting", told("The server is busy; we go on by ourselves and send you a mail."))
        }
        Step::Unknown => (Tone::Warn, "Being confirmed", told("We are asking the server, usually under a minute.")),
        Step::Suspended => {
            (Tone::Bad, "Paused", told("It is switched off; your subscription says why, and what to do."))
        }
        Step::Terminated => (Tone::Neutral, "Ended", told("This service is over.")),
        Step::Stuck => (Tone::Warn, "Being looked at", told("Something needs a person; we are on it.")),
    }
}

/// `GET /account/services`
pub async fn list(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    let asked = provisioning::ListServicesRequest {
        page: ui.page(),
        account_id: customer.account.id.clone(),
        panel_id: String::new(),
    };
    let found = state.clients.provisioning(&customer.caller.call()).list_services(asked).await?.into_inner();
    let manner = manner(&state, &customer.brand);
    let rows = found.services.iter().map(|service| {
        let (tone, word, _) = stage(service);
        vec![
            Cell::text(if service.plan_name.is_empty() { "Service" } else { &service.plan_name })
                .to(format!("/account/services/{}", service.id)),
            Cell::badge(tone, word),
            Cell::code(&service.username),
            Cell::text(manner.date(service.expires_at.as_ref())).note(manner.relative(service.expires_at.as_ref())),
        ]
    });
    let table = Table::new(
        "",
        &["Service", "State", "User name", "Works until"],
        "You have no service yet. It is made as soon as you buy a plan.",
    )
    .rows(rows)
    .first(Link::new("See plans", "/plans"))
    .next("/account/services", &found.page.unwrap_or_default().next_cursor);
    let page = notices::on_top(&state, &customer, Page::new("Services").with(Block::Table(table))).await;
    page_of(&customer, &ui, page)
}

/// `GET /account/services/{id}`
pub async fn show(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(id): Path<String>,
) -> Reply<Response> {
    render(&state, &customer, &ui, &id, None).await
}

/// `POST /account/services/{id}/reveal`
pub async fn reveal(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(id): Path<String>,
) -> Reply<Response> {
    let shown = credentials(&state, &customer.caller, &id).await?;
    render(&state, &customer, &ui, &id, Some(shown)).await
}

async fn render(state: &AppState, customer: &Customer, ui: &Ui, id: &str, shown: Option<Block>) -> Reply<Response> {
    let asked = provisioning::GetServiceRequest { service_id: id.to_owned(), ..Default::default() };
    let service = state.clients.provisioning(&customer.caller.call()).get_service(asked).await?.into_inner();
    let manner = manner(state, &customer.brand);
    let (tone, word, sentence) = stage(&service);
    let title = if service.plan_name.is_empty() { "Service".to_owned() } else { service.plan_name.clone() };
    let mut page = Page::new(title).badge(tone, word).intro(sentence).up("Services", "/account/services");
    if service.sandbox {
        let text = format!("{} is a simulated panel; it plays a test picture.", service.panel_name);
        page = page.with(Block::note(Tone::Warn, "SANDBOX", text));
    }
    let is_made = match service.step() {
        Step::Ready | Step::Updating | Step::Suspended => true,
        Step::Terminated => false,
        // Was ready before: what happens now is a change to access that exists.
        Step::Placing
        | Step::Creating
        | Step::Verifying
        | Step::Waiting
        | Step::Unknown
        | Step::Stuck
        | Step::Unspecified => service.ready_at.is_some(),
    };
    page = match shown {
        Some(shown) => page.with(shown),
        None if is_made => page.with(Block::Form(
            Form::new("Your access", format!("/account/services/{id}/reveal"), "Show access")
                .intro("Server, user name, password, playlist and programme guide."),
        )),
        None => page,
    };
    page = page.with(Block::facts(
        "About it",
        vec![
            ("Streams", Cell::text(format!("{} at a time", counted(u64::from(service.connections.max(1)), "stream")))),
            (
                "Works until",
                Cell::text(manner.date(service.expires_at.as_ref())).note(manner.relative(service.expires_at.as_ref())),
            ),
            (
                "Subscription",
                Cell::text("Renewal and plan").to(format!("/account/subscriptions/{}", service.subscription_id)),
            ),
        ],
    ));
    page = page.with(Block::facts("On your devices", vec![
        ("TV, box or stick", Cell::text("Install a player that takes “Xtream” or “M3U”. Choose Xtream, then type in server, user name and password.")),
        ("Phone or tablet", Cell::text("Copy the playlist address on the phone itself and add it to your player as a playlist.")),
        ("Computer", Cell::text("Open the playlist address in your player as a network stream.")),
    ]));
    page_of(customer, ui, page)
}
