//! Coupons: list, a new one, the archive.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::catalog::v1 as catalog;
use ottery_proto::catalog::v1::coupon::{Duration, Kind, Occasion, State as Life};
use ottery_proto::catalog::v1::{Coupon, Plan};

use super::coupon_form::{fields, read};
use super::desk::Desk;
use crate::api::coupons::uses;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Link, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::pages::text::{self, Manner};
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// Plans the form offers to choose from.
const PLANS_MAX: u32 = 100;

fn state_of(coupon: &Coupon, manner: &Manner) -> (Tone, &'static str) {
    let now = manner.now;
    match coupon.state() {
        Life::Archived => (Tone::Neutral, "Archived"),
        Life::Enabled | Life::Unspecified => {
            let is_past = |at: Option<&prost_types::Timestamp>| text::instant(at).is_some_and(|at| at <= now);
            if is_past(coupon.ends_at.as_ref()) {
                (Tone::Neutral, "Over")
            } else if coupon.starts_at.is_some() && !is_past(coupon.starts_at.as_ref()) {
                (Tone::Info, "Not yet")
            } else {
                (Tone::Good, "Enabled")
            }
        }
    }
}

/// `20% off`, `€5.00 off`, `€5.00 instead`.
fn benefit(coupon: &Coupon, manner: &Manner) -> String {
    let amounts: Vec<String> = coupon.amounts.iter().map(|amount| manner.money(Some(amount))).collect();
    match coupon.kind() {
        Kind::Percent => format!("{} off", text::percent(coupon.percent_bp)),
        Kind::Fixed => format!("{} off", amounts.join(" or ")),
        Kind::Price => format!("{} instead of the price", amounts.join(" or ")),
        Kind::FreeSetup => "No set-up fee".to_owned(),
        Kind::Unspecified => String::new(),
    }
}

fn duration(coupon: &Coupon) -> String {
    match coupon.duration() {
        Duration::Once => "First payment".to_owned(),
        Duration::Periods => format!("First {}", text::counted(u64::from(coupon.periods), "payment")),
        Duration::Forever => "Every payment".to_owned(),
        Duration::Unspecified => String::new(),
    }
}

fn used(uses: u64, max: u32) -> String {
    if max == 0 { uses.to_string() } else { format!("{uses} of {max}") }
}

/// `GET /staff/b/{brand}/coupons`
pub async fn list(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let with_archived = ui.query.get("archived") == "1";
    let asked = catalog::ListCouponsRequest { page: ui.page(), with_archived };
    let found = state.clients.catalog(&desk.call()).list_coupons(asked).await?.into_inner();
    let uses = uses(&state, &desk.caller, &found.coupons).await?;
    let manner = desk.manner(&state);
    let rows = found.coupons.iter().map(|coupon| {
        let (tone, word) = state_of(coupon, &manner);
        vec![
            Cell::code(&coupon.code).to(desk.at(&format!("/coupons/{}", coupon.id))).note(coupon.name.clone()),
            Cell::badge(tone, word),
            Cell::text(benefit(coupon, &manner)).note(duration(coupon)),
            Cell::number(used(uses.get(&coupon.id).copied().unwrap_or(0), coupon.uses_max)),
        ]
    });
    let here = desk.at(if with_archived { "/coupons?archived=1" } else { "/coupons" });
    let mut table = Table::new(
        "",
        &["Code", "State", "What it takes off", "#Used"],
        "A coupon takes something off for whoever types its code at checkout.",
    )
    .rows(rows)
    .next(&here, &found.page.unwrap_or_default().next_cursor);
    let mut page = Page::new("Coupons");
    if desk.may("plan.update") {
        table = table.first(Link::new("New coupon", desk.at("/coupons/new")));
        page = page.action("New coupon", desk.at("/coupons/new"));
    }
    page = if with_archived {
        page.aside("Without archived ones", desk.at("/coupons"))
    } else {
        page.aside("With archived ones", desk.at("/coupons?archived=1"))
    };
    desk.show(&ui, page.with(Block::Table(table)))
}

async fn plans(state: &AppState, desk: &Desk) -> Reply<Vec<Plan>> {
    let page = Some(ottery_proto::common::v1::PageRequest { cursor: String::new(), limit: PLANS_MAX });
    let asked = catalog::ListPlansRequest { page, on_sale_only: false };
    Ok(state.clients.catalog(&desk.call()).list_plans(asked).await?.into_inner().plans)
}

fn new_form(desk: &Desk, ui: &Ui, plans: &[Plan], failed: Option<&Failed>) -> Reply<Response> {
    let form = Form::new("", desk.at("/coupons/new"), "Create coupon")
        .intro("Discounts are computed before tax. Percent, amount and price are about the plan's price, not its set-up fee.")
        .fields(fields(&desk.brand.currencies, plans))
        .refused(failed);
    desk.show(ui, Page::new("New coupon").up("Coupons", desk.at("/coupons")).refused(failed).with(Block::Form(form)))
}

/// `GET /staff/b/{brand}/coupons/new`
pub async fn new_page(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    new_form(&desk, &ui, &plans(&state, &desk).await?, None)
}

/// `POST /staff/b/{brand}/coupons/new`
pub async fn create(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let plans = plans(&state, &desk).await?;
    let made = async {
        let asked = read(&sent, &desk.brand.currencies, &plans, desk.manner(&state).zone)?;
        Ok::<_, Refusal>(state.clients.catalog(&desk.call()).put_coupon(asked).await?.into_inner())
    };
    match made.await {
        Ok(coupon) => Ok(go_done(&desk.at(&format!("/coupons/{}", coupon.id)), "created")),
        Err(refusal) => new_form(&desk, &ui, &plans, Some(&Failed { action: desk.at("/coupons/new"), sent, refusal })),
    }
}

/// `GET /staff/b/{brand}/coupons/{id}`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = catalog::GetCouponRequest { coupon_id: desk.id.clone(), code: String::new() };
    let coupon = state.clients.catalog(&desk.call()).get_coupon(asked).await?.into_inner();
    let uses = uses(&state, &desk.caller, std::slice::from_ref(&coupon)).await?;
    let manner = desk.manner(&state);
    let (tone, word) = state_of(&coupon, &manner);
    let named: Vec<String> = if coupon.plan_ids.is_empty() {
        Vec::new()
    } else {
        let known = plans(&state, &desk).await?;
        let name = |id: &String| {
            let plan = known.iter().find(|plan| plan.id == *id).and_then(|plan| plan.current.as_ref());
            plan.map_or_else(|| id.clone(), |version| version.name.clone())
        };
        coupon.plan_ids.iter().map(name).collect()
    };
    let terms: Vec<String> = coupon.terms.iter().map(|term| text::length(Some(term))).collect();
    let any = |given: Vec<String>| if given.is_empty() { "Any".to_owned() } else { given.join(", ") };
    let occasion = match coupon.occasion() {
        Occasion::Orders => "New subscriptions",
        Occasion::Upgrades => "Upgrades",
        Occasion::Both => "New subscriptions and upgrades",
        Occasion::Unspecified => "",
    };
    let facts = vec![
        ("Name", Cell::text(&coupon.name)),
        ("It takes off", Cell::text(benefit(&coupon, &manner)).note(duration(&coupon))),
        ("For", Cell::text(occasion).note(if coupon.new_customers_only { "Only new customers" } else { "" })),
        ("Plans", Cell::text(any(named))),
        ("Terms", Cell::text(any(terms))),
        (
            "Good from",
            Cell::text(coupon.starts_at.as_ref().map_or_else(|| "At once".to_owned(), |at| manner.moment(Some(at)))),
        ),
        (
            "Good until",
            Cell::text(coupon.ends_at.as_ref().map_or_else(|| "Archived".to_owned(), |at| manner.moment(Some(at)))),
        ),
        ("Used", Cell::text(used(uses.get(&coupon.id).copied().unwrap_or(0), coupon.uses_max))),
        (
            "Uses of one customer",
            Cell::text(match coupon.uses_per_customer_max {
                0 => "No limit".to_owned(),
                max => format!("At most {max}"),
            }),
        ),
    ];
    let here = desk.at(&format!("/coupons/{}", coupon.id));
    let move_to = |label: &str, state: &str| {
        Form::new("", format!("{here}/state"), label)
            .field(Field::hidden("state", state))
            .field(Field::hidden("expected_version", coupon.version.to_string()))
    };
    let action = match coupon.state() {
        Life::Enabled | Life::Unspecified => move_to("Archive", "archived")
            .intro("Nobody new can use it, and its code is free again. Subscriptions that have it keep it.")
            .tone(Tone::Bad)
            .folded("Archive"),
        Life::Archived => move_to("Enable again", "enabled"),
    };
    let mut page = Page::new(&coupon.code).badge(tone, word).up("Coupons", desk.at("/coupons"));
    if desk.may("plan.update") {
        page = page.with(Block::Actions(vec![action]));
    }
    desk.show(&ui, page.with(Block::facts("", facts)))
}

/// `POST /staff/b/{brand}/coupons/{id}/state`
pub async fn set_state(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let (to, what) =
        if sent.get("state") == "archived" { (Life::Archived, "coupon-archived") } else { (Life::Enabled, "saved") };
    let asked = catalog::SetCouponStateRequest {
        coupon_id: desk.id.clone(),
        state: to.into(),
        expected_version: sent.number("expected_version")?,
    };
    state.clients.catalog(&desk.call()).set_coupon_state(asked).await?;
    Ok(go_done(&desk.at(&format!("/coupons/{}", desk.id)), what))
}
