//! The fraud screen: orders that wait for staff, what was seen of each, and the rules, tried before they are saved.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::screening::{Decision, Hit};
use ottery_proto::billing::v1::{ScreenRules, ScreenVerdict, Screening, order};

use super::desk::Desk;
use super::screening_form::{fields, read, renamed};
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::pages::text::Manner;
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// Orders that rules are tried on.
const TRIED: u32 = 50;

const fn badge(verdict: ScreenVerdict) -> (Tone, &'static str) {
    match verdict {
        ScreenVerdict::Allow => (Tone::Good, "Accepted"),
        ScreenVerdict::Review => (Tone::Warn, "To be looked at"),
        ScreenVerdict::Deny => (Tone::Bad, "Refused"),
        ScreenVerdict::Unspecified => (Tone::Neutral, ""),
    }
}

fn outcome(seen: &Screening) -> Cell {
    match seen.decision() {
        Decision::Approved => Cell::badge(Tone::Good, "Accepted by staff"),
        Decision::Declined => Cell::badge(Tone::Bad, "Declined by staff"),
        Decision::Unspecified => {
            let (tone, word) = badge(seen.verdict());
            Cell::badge(tone, word)
        }
    }
}

fn reasons(hits: &[Hit]) -> String {
    hits.iter().map(|hit| hit.evidence.clone()).collect::<Vec<_>>().join("; ")
}

fn row(seen: &Screening, desk: &Desk, manner: &Manner) -> Vec<Cell> {
    let at = Cell::text(manner.moment(seen.screened_at.as_ref()));
    let at = if seen.order_id.is_empty() { at } else { at.to(desk.at(&format!("/orders/{}", seen.order_id))) };
    vec![
        at.note(manner.relative(seen.screened_at.as_ref())),
        Cell::text("Customer").to(desk.at(&format!("/customers/{}", seen.account_id))),
        Cell::text(&seen.plan_name),
        Cell::number(manner.money(seen.amount.as_ref())),
        outcome(seen).note(reasons(&seen.hits)),
    ]
}

/// `GET /staff/b/{brand}/screening`
pub async fn list(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let is_all = ui.query.get("show") == "all";
    let asked = billing::ListScreeningsRequest { page: ui.page(), waiting: !is_all };
    let found = state.clients.screening(&desk.call()).list_screenings(asked).await?.into_inner();
    let manner = desk.manner(&state);
    let rows = found.screenings.iter().map(|seen| row(seen, &desk, &manner));
    let here = desk.at("/screening");
    let (base, empty) = if is_all {
        (format!("{here}?show=all"), "No order was screened yet.")
    } else {
        (here.clone(), "Nothing waits for you.")
    };
    let columns = ["Asked for", "Customer", "Plan", "#Due now", "Screen"];
    let table = Table::new("", &columns, empty).rows(rows).next(&base, &found.page.unwrap_or_default().next_cursor);
    let mut page = Page::new("Screening")
        .intro("Orders that the fraud screen wants looked at. Nothing is charged or served until you decide.");
    if desk.may("brand.read") {
        page = page.aside("Rules", desk.at("/screening/rules"));
    }
    page = if is_all { page.aside("Waiting", here) } else { page.aside("All orders", format!("{here}?show=all")) };
    desk.show(&ui, page.with(Block::Table(table)))
}

/// What the screen saw of an order, and the decision when it waits for one.
pub(super) async fn of_order(state: &AppState, desk: &Desk, order: &billing::Order, manner: &Manner) -> Vec<Block> {
    let asked = billing::GetScreeningRequest { order_id: order.id.clone() };
    let Ok(seen) = state.clients.screening(&desk.call()).get_screening(asked).await else { return Vec::new() };
    let seen = seen.into_inner();
    let or = |text: &str| if text.is_empty() { "not known".to_owned() } else { text.to_owned() };
    let mut facts = vec![
        ("Screen", outcome(&seen)),
        ("Billed in", Cell::text(or(&seen.billing_country))),
        ("Comes from", Cell::text(or(&seen.network)).note(seen.network_country.clone())),
        ("Mail domain", Cell::text(&seen.mail_domain)),
        ("First order", Cell::text(if seen.new_customer { "yes" } else { "no" })),
    ];
    if seen.decided_at.is_some() {
        facts.push(("Decided", Cell::text(manner.moment(seen.decided_at.as_ref())).note(seen.note.clone())));
    }
    let mut blocks = vec![Block::facts("Fraud screen", facts)];
    if !seen.hits.is_empty() {
        let rows = seen.hits.iter().map(|hit| {
            let (tone, word) = badge(hit.verdict());
            vec![Cell::code(&hit.rule), Cell::badge(tone, word), Cell::text(&hit.evidence)]
        });
        blocks.push(Block::Table(Table::new("Why", &["Rule", "Asks for", "Seen"], "").rows(rows)));
    }
    if order.state() == order::State::UnderReview && desk.may("order.manage") {
        let at = |verb: &str| desk.at(&format!("/orders/{}/{verb}", order.id));
        let note = || Field::text("note", "Note").help("For you and the audit; the customer never reads it.");
        let approve = Form::new("", at("approve"), "Accept the order")
            .intro("It goes on as it was quoted: the invoice is mailed, or the trial begins.")
            .field(note())
            .folded("Accept");
        let decline = Form::new("", at("decline"), "Decline the order")
            .intro("Nothing was charged. Its place and coupon are free again, and the customer gets a mail that does not say why.")
            .field(note())
            .tone(Tone::Bad)
            .folded("Decline");
        blocks.push(Block::Actions(vec![approve, decline]));
    }
    blocks
}

/// `POST /staff/b/{brand}/orders/{id}/approve`
pub async fn approve(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::ReviewOrderRequest { order_id: desk.id.clone(), note: sent.text("note") };
    state.clients.screening(&desk.call()).approve_order(asked).await?;
    Ok(go_done(&desk.at(&format!("/orders/{}", desk.id)), "order-approved"))
}

/// `POST /staff/b/{brand}/orders/{id}/decline`
pub async fn decline(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::ReviewOrderRequest { order_id: desk.id.clone(), note: sent.text("note") };
    state.clients.screening(&desk.call()).decline_order(asked).await?;
    Ok(go_done(&desk.at(&format!("/orders/{}", desk.id)), "order-declined"))
}

fn form(desk: &Desk, rules: &ScreenRules, version: u64) -> Form {
    Form::new("", desk.at("/screening/rules"), "Show what it does")
        .intro("Nothing is saved yet: you see what would have become of the last orders first.")
        .fields(fields(rules, version, &desk.brand.currencies))
}

/// `GET /staff/b/{brand}/screening/rules`
pub async fn rules(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = billing::GetScreenRulesRequest {};
    let saved = state.clients.screening(&desk.call()).get_screen_rules(asked).await?.into_inner();
    let rules = saved.rules.unwrap_or_default();
    let page = Page::new("Rules of the fraud screen").up("Screening", desk.at("/screening"));
    let page = if desk.may("brand.update") {
        page.with(Block::Form(form(&desk, &rules, saved.version)))
    } else {
        let shown = fields(&rules, saved.version, &desk.brand.currencies);
        let shown = shown.into_iter().filter(|field| !matches!(field.kind, "hidden" | "heading"));
        let facts: Vec<_> = shown.map(|field| (field.label, Cell::text(field.value))).collect();
        let rows = facts.into_iter().map(|(label, value)| vec![Cell::text(label), value]);
        page.with(Block::Table(Table::new("", &["Rule", ""], "").rows(rows)))
    };
    desk.show(&ui, page)
}

/// `POST /staff/b/{brand}/screening/rules`: what was typed, tried on the last orders before it is saved.
pub async fn preview(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let version: u64 = sent.number("version")?;
    let tried = async {
        let rules = read(&sent, &desk.brand.currencies)?;
        let mut screening = state.clients.screening(&desk.call());
        let asked = billing::TryScreenRulesRequest { rules: Some(rules.clone()), orders: TRIED };
        Ok::<_, Refusal>((screening.try_screen_rules(asked).await?.into_inner(), rules))
    };
    let (tried, rules) = match tried.await {
        Ok(tried) => tried,
        Err(refusal) => return refused(&desk, &ui, version, sent, refusal),
    };
    let manner = desk.manner(&state);
    let rows = tried.orders.iter().map(|said| {
        let seen = said.order.clone().unwrap_or_default();
        let (tone, word) = badge(said.verdict());
        vec![
            Cell::text(manner.moment(seen.screened_at.as_ref())),
            Cell::text(&seen.plan_name),
            Cell::number(manner.money(seen.amount.as_ref())),
            outcome(&seen),
            Cell::badge(tone, word).note(reasons(&said.hits)),
        ]
    });
    let columns = ["Asked for", "Plan", "#Due now", "As it was", "With these rules"];
    let kept = fields(&rules, version, &desk.brand.currencies).into_iter().filter(|field| !field.name.is_empty());
    let kept = kept.map(|field| Field::hidden(field.name, field.value));
    let save = Form::new("", desk.at("/screening/rules/save"), "Save these rules")
        .intro("They count for orders from now on.")
        .fields(kept);
    let page = Page::new("What these rules do")
        .up("Rules", desk.at("/screening/rules"))
        .intro("Nothing is saved yet. Where older orders came from is forgotten, and held against nobody.")
        .with(Block::Table(Table::new("", &columns, "No order was screened yet.").rows(rows)))
        .with(Block::Form(save))
        .with(Block::Form(form(&desk, &rules, version).folded("Change them again")));
    desk.show(&ui, page)
}

fn refused(desk: &Desk, ui: &Ui, version: u64, sent: Sent, refusal: Refusal) -> Reply<Response> {
    let failed = Failed { action: String::new(), sent, refusal: renamed(refusal) };
    let form = form(desk, &ScreenRules::default(), version).refused(Some(&failed));
    let page = Page::new("Rules of the fraud screen").up("Screening", desk.at("/screening")).refused(Some(&failed));
    desk.show(ui, page.with(Block::Form(form)))
}

/// `POST /staff/b/{brand}/screening/rules/save`
pub async fn save(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let version: u64 = sent.number("version")?;
    let saved = async {
        let rules = Some(read(&sent, &desk.brand.currencies)?);
        let asked = billing::PutScreenRulesRequest { rules, expected_version: version, dry_run: false };
        Ok::<_, Refusal>(state.clients.screening(&desk.call()).put_screen_rules(asked).await?)
    };
    match saved.await {
        Ok(_) => Ok(go_done(&desk.at("/screening/rules"), "screen-saved")),
        Err(refusal) => refused(&desk, &ui, version, sent, refusal),
    }
}
