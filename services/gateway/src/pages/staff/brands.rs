//! Brands: list, settings, look, test clock.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::catalog::v1 as catalog;
use ottery_proto::catalog::v1::test_clock::State as ClockState;

use super::brand_form::{fields, read};
use super::desk::{Desk, plain};
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Link, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::problem::{Refusal, Reply};
use crate::session::Staff;
use crate::state::AppState;

/// `GET /staff`: the brands one may work in.
pub async fn home(State(state): State<AppState>, staff: Staff, ui: Ui) -> Reply<Response> {
    let asked = catalog::ListBrandsRequest { page: ui.page() };
    let found = match state.clients.catalog(&staff.caller.call()).list_brands(asked).await {
        Ok(found) => found.into_inner(),
        Err(status) if status.code() == tonic::Code::PermissionDenied => {
            catalog::ListBrandsReply { brands: held(&state, &staff).await?, page: None }
        }
        Err(status) => return Err(status.into()),
    };
    let scheme = if ui.is_demo { "http" } else { "https" };
    let port = ui
        .request
        .authority
        .rsplit_once(':')
        .map(|(_, port)| format!(":{port}"))
        .filter(|_| ui.is_demo)
        .unwrap_or_default();
    let rows = found.brands.iter().map(|brand| {
        let host = brand.hosts.first().cloned().unwrap_or_default();
        let shop = if host.is_empty() {
            Cell::text("no host yet")
        } else {
            Cell::text(&host).to(format!("{scheme}://{host}{port}/"))
        };
        vec![
            Cell::text(&brand.name).to(format!("/staff/b/{}", brand.id)).note(brand.slug.clone()),
            if brand.published { Cell::badge(Tone::Good, "Open") } else { Cell::badge(Tone::Neutral, "Not open") },
            shop,
            Cell::text(brand.currencies.join(", ")),
        ]
    });
    let table = Table::new(
        "",
        &["Brand", "State", "Shop", "Currencies"],
        "Make your first brand: its name, host name and look. Then add a panel, a plan and a payment provider.",
    )
    .rows(rows)
    .first(Link::new("New brand", "/staff/brands/new"))
    .next("/staff", &found.page.unwrap_or_default().next_cursor);
    plain(
        &ui,
        &staff.account.email,
        Page::new("Brands").action("New brand", "/staff/brands/new").with(Block::Table(table)),
    )
}

/// The brands somebody without a right on the platform works in.
async fn held(state: &AppState, staff: &Staff) -> Reply<Vec<catalog::Brand>> {
    let mut brands = Vec::new();
    for id in staff.caller.session.iter().flat_map(|session| session.brands.clone()) {
        let call = staff.in_brand(state, Some(id)).await?.call();
        let asked = catalog::GetBrandRequest { brand_id: id.to_string(), slug: String::new() };
        brands.push(state.clients.catalog(&call).get_brand(asked).await?.into_inner());
    }
    Ok(brands)
}

fn new_form(ui: &Ui, who: &str, failed: Option<&Failed>) -> Reply<Response> {
    let brand = catalog::Brand {
        default_locale: "en".into(),
        default_currency: "EUR".into(),
        currencies: vec!["EUR".into()],
        time_zone: "UTC".into(),
        tax_name: "VAT".into(),
        grace_days: 3,
        terminate_after_days: 30,
        renewal_lead_hours: 72,
        affiliate_rate_bp: 1000,
        affiliate_hold_days: 30,
        reminder_hours: vec![-72, -24, 24, 48],
        ..catalog::Brand::default()
    };
    let form = Form::new("", "/staff/brands/new", "Create brand").fields(fields(&brand)).refused(failed);
    let page =
        Page::new("New brand").up("Brands", "/staff").refused(failed).with(Block::Sample).with(Block::Form(form));
    plain(ui, who, page)
}

/// `GET /staff/brands/new`
pub async fn new_page(staff: Staff, ui: Ui) -> Reply<Response> {
    new_form(&ui, &staff.account.email, None)
}

/// `POST /staff/brands/new`
pub async fn create(State(state): State<AppState>, staff: Staff, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let made = async {
        let brand = Some(read(&sent, catalog::Brand::default())?);
        let asked = catalog::PutBrandRequest { brand, ..Default::default() };
        Ok::<_, Refusal>(state.clients.catalog(&staff.caller.call()).put_brand(asked).await?.into_inner())
    };
    match made.await {
        Ok(brand) => {
            state.catalog.forget_hosts();
            Ok(go_done(&format!("/staff/b/{}", brand.id), "created"))
        }
        Err(refusal) => new_form(&ui, &staff.account.email, Some(&Failed { action: String::new(), sent, refusal })),
    }
}

/// `GET /staff/b/{brand}/settings`
pub async fn edit_page(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    edit(&state, &desk, &ui, None)
}

fn edit(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let manner = desk.manner(state);
    let clock = desk.brand.test_clock.clone().unwrap_or_default();
    let (tone, word) = match clock.state() {
        ClockState::Advancing => (Tone::Warn, "Advancing"),
        ClockState::Ready => (Tone::Info, "On a test clock"),
        ClockState::Off | ClockState::Unspecified => (Tone::Neutral, "Real time"),
    };
    let form = Form::new("", desk.at("/settings"), "Save")
        .field(Field::hidden("expected_version", desk.brand.version.to_string()))
        .fields(fields(&desk.brand))
        .refused(failed);
    let mut page = Page::new("Settings").refused(failed).with(Block::Sample).with(Block::Form(form));
    if desk.may("clock.advance") {
        let mut facts = vec![("State", Cell::badge(tone, word))];
        if clock.state() != ClockState::Off && clock.state() != ClockState::Unspecified {
            facts.push(("It is", Cell::text(manner.moment(clock.now.as_ref()))));
        }
        facts.push(("Waits for", Cell::text(&clock.waiting_for)));
        let form = Form::new("", desk.at("/settings/clock"), "Advance")
            .intro("Renewals, reminders and suspensions happen as if that much time had passed. A brand on a test clock stays on it.")
            .tone(Tone::Bad)
            .field(Field::new("number", "days", "Days forward").value("1").required())
            .refused(failed)
            .folded("Advance the test clock");
        page = page.with(Block::facts("Time", facts)).with(Block::Form(form));
    }
    desk.show(ui, page)
}

/// `POST /staff/b/{brand}/settings`
pub async fn save(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let saved = async {
        let brand = Some(read(&sent, desk.brand.content.clone())?);
        let expected_version = sent.number("expected_version")?;
        let asked = catalog::PutBrandRequest { brand, expected_version, dry_run: false };
        Ok::<_, Refusal>(state.clients.catalog(&desk.call()).put_brand(asked).await?)
    };
    match saved.await {
        Ok(_) => {
            state.catalog.forget_hosts();
            Ok(go_done(&desk.at("/settings"), "saved"))
        }
        Err(refusal) => edit(&state, &desk, &ui, Some(&Failed { action: desk.at("/settings"), sent, refusal })),
    }
}

/// `POST /staff/b/{brand}/settings/clock`
pub async fn advance(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let advanced = async {
        let days: i64 = sent.number("days")?;
        if !(1..=3660).contains(&days) {
            return Err(Refusal::invalid("days", "days_invalid", "give 1 to 3660 days"));
        }
        let to = desk.manner(&state).now + chrono::TimeDelta::days(days);
        let to = prost_types::Timestamp { seconds: to.timestamp(), nanos: 0 };
        let asked = catalog::AdvanceTestClockRequest { brand_id: desk.brand.id.to_string(), to: Some(to) };
        Ok(state.clients.catalog(&desk.call()).advance_test_clock(asked).await?)
    };
    match advanced.await {
        Ok(_) => {
            state.catalog.forget_hosts();
            Ok(go_done(&desk.at("/settings"), "advancing"))
        }
        Err(refusal) => edit(&state, &desk, &ui, Some(&Failed { action: desk.at("/settings/clock"), sent, refusal })),
    }
}
