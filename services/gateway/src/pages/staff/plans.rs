//! Plans: list, content and prices, publishing.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::catalog::v1 as catalog;
use ottery_proto::catalog::v1::Plan;
use ottery_proto::catalog::v1::plan::State as Life;

use super::desk::Desk;
use super::plan_form::{fields, read};
use super::price_change::ask_form;
use crate::api::plans::taken;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Link, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::pages::text;
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

fn state_of(plan: &Plan) -> (Tone, &'static str) {
    match plan.state() {
        Life::Draft | Life::Unspecified => (Tone::Neutral, "Draft"),
        Life::OnSale => (Tone::Good, "On sale"),
        Life::Archived => (Tone::Neutral, "Archived"),
    }
}

/// `GET /staff/b/{brand}/plans`
pub async fn list(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = catalog::ListPlansRequest { page: ui.page(), on_sale_only: false };
    let found = state.clients.catalog(&desk.call()).list_plans(asked).await?.into_inner();
    let manner = desk.manner(&state);
    let rows = found.plans.iter().map(|plan| {
        let (tone, word) = state_of(plan);
        let version = plan.current.clone().unwrap_or_default();
        let prices: Vec<String> = version
            .prices
            .iter()
            .map(|price| format!("{} per {}", manner.money(price.amount.as_ref()), text::per(price.term.as_ref())))
            .collect();
        vec![
            Cell::text(if version.name.is_empty() { &plan.slug } else { &version.name })
                .to(desk.at(&format!("/plans/{}", plan.id)))
                .note(plan.slug.clone()),
            Cell::badge(tone, word),
            Cell::text(prices.join(", ")),
            Cell::number(version.number.to_string()),
        ]
    });
    let table = Table::new(
        "",
        &["Plan", "State", "Prices", "#Version"],
        "A plan is what customers buy: a name, prices, and what it means on a panel.",
    )
    .rows(rows)
    .first(Link::new("New plan", desk.at("/plans/new")))
    .next(&desk.at("/plans"), &found.page.unwrap_or_default().next_cursor);
    desk.show(&ui, Page::new("Plans").action("New plan", desk.at("/plans/new")).with(Block::Table(table)))
}

fn new_form(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let form = Form::new("", desk.at("/plans/new"), "Create draft")
        .fields(fields(&Plan::default(), &desk.brand.default_currency, desk.manner(state).zone))
        .refused(failed);
    desk.show(ui, Page::new("New plan").up("Plans", desk.at("/plans")).refused(failed).with(Block::Form(form)))
}

/// `GET /staff/b/{brand}/plans/new`
pub async fn new_page(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    new_form(&state, &desk, &ui, None)
}

/// `POST /staff/b/{brand}/plans/new`
pub async fn create(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let made = async {
        let asked = read(&sent, &Plan::default(), desk.manner(&state).zone)?;
        Ok::<_, Refusal>(state.clients.catalog(&desk.call()).put_plan(asked).await?.into_inner())
    };
    match made.await {
        Ok(plan) => Ok(go_done(&desk.at(&format!("/plans/{}", plan.id)), "created")),
        Err(refusal) => new_form(&state, &desk, &ui, Some(&Failed { action: desk.at("/plans/new"), sent, refusal })),
    }
}

pub(super) async fn load(state: &AppState, desk: &Desk) -> Reply<Plan> {
    let asked = catalog::GetPlanRequest { plan_id: desk.id.clone(), slug: String::new() };
    Ok(state.clients.catalog(&desk.call()).get_plan(asked).await?.into_inner())
}

/// `GET /staff/b/{brand}/plans/{id}`
pub async fn edit_page(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    edit(&state, &desk, &ui, None).await
}

async fn edit(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let plan = load(state, desk).await?;
    let (tone, word) = state_of(&plan);
    let here = desk.at(&format!("/plans/{}", plan.id));
    let move_to = |label: &str, state: &str| {
        Form::new("", format!("{here}/state"), label)
            .field(Field::hidden("state", state))
            .field(Field::hidden("expected_version", plan.version.to_string()))
    };
    let mut actions = match plan.state() {
        Life::Draft | Life::Unspecified => vec![move_to("Publish", "on-sale")],
        Life::OnSale => vec![
            move_to("Archive", "archived")
                .intro("Existing subscriptions go on; nobody new can buy it.")
                .tone(Tone::Bad)
                .folded("Archive"),
        ],
        Life::Archived => vec![move_to("Put on sale again", "on-sale")],
    };
    // Who has an add-on keeps its price.
    let is_addon = plan.current.as_ref().is_some_and(|version| version.addon.is_some());
    if plan.state() == Life::OnSale && !is_addon && desk.may("subscription.manage") {
        actions.extend(ask_form(&plan, &here, &desk.manner(state)));
    }
    let form = Form::new("", here.clone(), "Save")
        .intro("What customers see or pay becomes a new version. Subscriptions keep the version they were bought with.")
        .field(Field::hidden("expected_version", plan.version.to_string()))
        .fields(fields(&plan, &desk.brand.default_currency, desk.manner(state).zone))
        .refused(failed);
    let version = plan.current.clone().unwrap_or_default();
    let title = if version.name.is_empty() { plan.slug.clone() } else { version.name };
    let page = Page::new(title)
        .badge(tone, word)
        .up("Plans", desk.at("/plans"))
        .refused(failed)
        .with_some(stock(state, desk, &plan).await?)
        .with(Block::Actions(actions))
        .with(Block::Form(form));
    desk.show(ui, page)
}

/// How many are gone of a plan of which only so many are sold.
async fn stock(state: &AppState, desk: &Desk, plan: &Plan) -> Reply<Option<Block>> {
    if plan.stock.as_ref().and_then(|stock| stock.count).is_none() {
        return Ok(None);
    }
    let taken = taken(state, &desk.caller, plan).await?;
    let said = format!("{} of {} are sold or ordered", taken.taken, taken.count.unwrap_or_default());
    let left = text::counted(taken.left.unwrap_or_default(), "place");
    Ok(Some(Block::note(Tone::Info, said, format!("{left} left. Orders that are given up give their place back."))))
}

/// `POST /staff/b/{brand}/plans/{id}`
pub async fn save(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let here = desk.at(&format!("/plans/{}", desk.id));
    let saved = async {
        let asked = read(&sent, &load(&state, &desk).await?, desk.manner(&state).zone)?;
        Ok::<_, Refusal>(state.clients.catalog(&desk.call()).put_plan(asked).await?)
    };
    match saved.await {
        Ok(_) => {
            state.catalog.forget_brand(desk.brand.id).await;
            Ok(go_done(&here, "saved"))
        }
        Err(refusal) => edit(&state, &desk, &ui, Some(&Failed { action: here, sent, refusal })).await,
    }
}

/// `POST /staff/b/{brand}/plans/{id}/state`
pub async fn set_state(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let (to, what) =
        if sent.get("state") == "archived" { (Life::Archived, "archived") } else { (Life::OnSale, "published") };
    let asked = catalog::SetPlanStateRequest {
        plan_id: desk.id.clone(),
        state: to.into(),
        expected_version: sent.number("expected_version")?,
    };
    state.clients.catalog(&desk.call()).set_plan_state(asked).await?;
    state.catalog.forget_brand(desk.brand.id).await;
    Ok(go_done(&desk.at(&format!("/plans/{}", desk.id)), what))
}
