//! Objections of cardholders: what waits, until when, the evidence against them, and giving in.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::Dispute;
use ottery_proto::billing::v1::dispute::State as Standing;

use super::desk::Desk;
use crate::api::payments::PROVIDER_TIMEOUT;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone, sentence};
use crate::pages::frame::{Page, Ui, go_done};
use crate::pages::text::Manner;
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

fn standing(of: &Dispute) -> Cell {
    let (tone, word) = match of.state() {
        Standing::Warning => (Tone::Warn, "The bank asks"),
        Standing::NeedsResponse => (Tone::Bad, "Wants an answer"),
        Standing::UnderReview => (Tone::Info, "The bank decides"),
        Standing::Appealed => (Tone::Warn, "Looked at once more"),
        Standing::Won => (Tone::Good, "Won"),
        Standing::Lost => (Tone::Neutral, "Lost"),
        Standing::Closed | Standing::Unspecified => (Tone::Neutral, "Came to nothing"),
    };
    Cell::badge(tone, word)
}

/// Evidence is taken once.
fn takes_evidence(of: &Dispute) -> bool {
    !of.answered && matches!(of.state(), Standing::Warning | Standing::NeedsResponse | Standing::Appealed)
}

fn can_be_accepted(of: &Dispute) -> bool {
    matches!(of.state(), Standing::Warning | Standing::NeedsResponse)
}

/// Until when an answer is taken, as long as one is wanted.
fn deadline(of: &Dispute, manner: &Manner) -> Cell {
    match of.evidence_until.as_ref() {
        Some(until) if takes_evidence(of) => Cell::text(manner.moment(Some(until))).note(manner.relative(Some(until))),
        _ => Cell::text("\u{2013}"),
    }
}

/// `fraudulent`, `product_not_received`: the network's words, for people.
fn reason(of: &Dispute) -> String {
    of.reason.replace('_', " ")
}

/// `GET /staff/b/{brand}/disputes`
pub async fn list(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = billing::ListDisputesRequest { page: ui.page(), payment_id: String::new() };
    let found = state.clients.billing(&desk.call()).list_disputes(asked).await?.into_inner();
    let manner = desk.manner(&state);
    let rows = found.disputes.iter().map(|one| {
        vec![
            Cell::text(manner.moment(one.created_at.as_ref())).to(desk.at(&format!("/disputes/{}", one.id))),
            Cell::number(manner.money(one.amount.as_ref())),
            Cell::text(reason(one)),
            standing(one),
            deadline(one, &manner),
        ]
    });
    let columns = ["Heard of", "#Amount", "Reason", "State", "Answer until"];
    let table = Table::new("", &columns, "Nobody has disputed a payment.")
        .rows(rows)
        .next(&desk.at("/disputes"), &found.page.unwrap_or_default().next_cursor);
    let page = Page::new("Disputes")
        .intro("Payments whose cardholder wants the money back from the bank. What is not answered in time is lost.");
    desk.show(&ui, page.with(Block::Table(table)))
}

/// `GET /staff/b/{brand}/disputes/{id}`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    draw(&state, &desk, &ui, None).await
}

async fn draw(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let asked = billing::GetDisputeRequest { dispute_id: desk.id.clone() };
    let one = state.clients.billing(&desk.call()).get_dispute(asked).await?.into_inner();
    let manner = desk.manner(state);
    let mut facts = vec![
        ("State", standing(&one)),
        ("Amount", Cell::text(manner.money(one.amount.as_ref()))),
        ("Reason", Cell::text(reason(&one))),
        ("Answer until", deadline(&one, &manner)),
        ("Answered", Cell::text(if one.answered { "yes" } else { "no" })),
        ("Taken by the provider", Cell::text(manner.money(one.taken.as_ref()))),
        ("Fee", Cell::text(manner.money(one.fee.as_ref()))),
        ("Customer", Cell::text("Their page").to(desk.at(&format!("/customers/{}", one.account_id)))),
        ("Payment", Cell::code(&one.payment_id).copied()),
        ("At the provider", Cell::code(&one.provider_reference).copied()),
        ("Heard of", Cell::text(manner.moment(one.created_at.as_ref()))),
    ];
    if one.finished_at.is_some() {
        facts.push(("Decided", Cell::text(manner.moment(one.finished_at.as_ref()))));
    }
    let mut page = Page::new("Dispute").up("Disputes", desk.at("/disputes")).refused(failed);
    page = page.with(Block::facts("", facts));
    let may_act = desk.may("invoice.refund");
    let (takes, is_open) = (may_act && takes_evidence(&one), may_act && can_be_accepted(&one));
    // What cannot be done any more has no form that could say so.
    let has_form = |failed: &Failed| if failed.action.ends_with("/accept") { is_open } else { takes };
    if let Some(late) = failed.filter(|failed| !has_form(failed)) {
        page = page.with(Block::note(Tone::Bad, sentence(&late.refusal.detail), ""));
    }
    if takes {
        page = page.with(Block::Form(evidence(desk, failed)));
    }
    if is_open {
        page = page.with(Block::Actions(vec![acceptance(desk, failed)]));
    }
    desk.show(ui, page)
}

fn evidence(desk: &Desk, failed: Option<&Failed>) -> Form {
    let long = |name: &str, label: &str| Field::new("textarea", name, label);
    Form::new("Evidence", desk.at(&format!("/disputes/{}/evidence", desk.id)), "Hand it in")
        .intro("It goes to the bank as it is written here, once: afterwards nothing can be added. Leave out what you do not have.")
        .field(Field::text("customer_name", "Who bought").half())
        .field(Field::text("customer_email", "Their address for mail").half())
        .field(Field::text("product", "What was sold").half())
        .field(Field::text("served_from", "Served since").help("A date.").half())
        .field(long("access_log", "Proof that it was used").help("Days, addresses and devices it was watched from."))
        .field(long("refund_policy", "What your terms say about refunds"))
        .field(long("statement", "Whatever else"))
        .refused(failed)
}

fn acceptance(desk: &Desk, failed: Option<&Failed>) -> Form {
    Form::new("", desk.at(&format!("/disputes/{}/accept", desk.id)), "Give in")
        .intro("The cardholder keeps the money and the case is closed. This cannot be taken back.")
        .tone(Tone::Bad)
        .folded("Give in")
        .refused(failed)
}

async fn refused(state: &AppState, desk: &Desk, ui: &Ui, verb: &str, sent: Sent, refusal: Refusal) -> Reply<Response> {
    if refusal.is("reauth_required") || refusal.is("dispute_not_found") {
        return Err(refusal);
    }
    let action = desk.at(&format!("/disputes/{}/{verb}", desk.id));
    draw(state, desk, ui, Some(&Failed { action, sent, refusal })).await
}

/// `POST /staff/b/{brand}/disputes/{id}/evidence`
pub async fn answer(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::SubmitDisputeEvidenceRequest {
        dispute_id: desk.id.clone(),
        customer_name: sent.text("customer_name"),
        customer_email: sent.text("customer_email"),
        product: sent.text("product"),
        served_from: sent.text("served_from"),
        access_log: sent.text("access_log"),
        refund_policy: sent.text("refund_policy"),
        statement: sent.text("statement"),
    };
    let call = desk.call().timeout(PROVIDER_TIMEOUT);
    match state.clients.billing(&call).submit_dispute_evidence(asked).await {
        Ok(_) => Ok(go_done(&desk.at(&format!("/disputes/{}", desk.id)), "dispute-answered")),
        Err(status) => refused(&state, &desk, &ui, "evidence", sent, status.into()).await,
    }
}

/// `POST /staff/b/{brand}/disputes/{id}/accept`
pub async fn accept(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::AcceptDisputeRequest { dispute_id: desk.id.clone() };
    let call = desk.call().timeout(PROVIDER_TIMEOUT);
    match state.clients.billing(&call).accept_dispute(asked).await {
        Ok(_) => Ok(go_done(&desk.at(&format!("/disputes/{}", desk.id)), "dispute-accepted")),
        Err(status) => refused(&state, &desk, &ui, "accept", sent, status.into()).await,
    }
}
