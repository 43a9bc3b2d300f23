//! Tickets as staff sees them: with internal notes.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::support::v1 as support;
use ottery_proto::support::v1::ticket::State as Life;

use super::desk::Desk;
use crate::limits::Form as Body;
use crate::pages::account::{ticket_state, ticket_thread};
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::problem::Reply;
use crate::state::AppState;

/// `GET /staff/b/{brand}/tickets`
pub async fn list(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = support::ListTicketsRequest { page: ui.page(), account_id: String::new(), state: 0 };
    let found = state.clients.support(&desk.call()).list_tickets(asked).await?.into_inner();
    let manner = desk.manner(&state);
    let rows = found.tickets.iter().map(|ticket| {
        let (tone, word) = ticket_state(ticket, true);
        vec![
            Cell::text(&ticket.subject).to(desk.at(&format!("/tickets/{}", ticket.id))).note(ticket.number.clone()),
            Cell::badge(tone, word),
            Cell::text(&ticket.email).to(desk.at(&format!("/customers/{}", ticket.account_id))),
            Cell::text(&ticket.department),
            Cell::text(manner.relative(ticket.updated_at.as_ref())),
        ]
    });
    let table =
        Table::new("", &["Subject", "State", "Customer", "Department", "Last change"], "Nobody asked anything yet.")
            .rows(rows)
            .next(&desk.at("/tickets"), &found.page.unwrap_or_default().next_cursor);
    desk.show(&ui, Page::new("Tickets").with(Block::Table(table)))
}

/// `GET /staff/b/{brand}/tickets/{id}`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    render(&state, &desk, &ui, None).await
}

async fn render(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let asked = support::GetTicketRequest { ticket_id: desk.id.clone() };
    let ticket = state.clients.support(&desk.call()).get_ticket(asked).await?.into_inner();
    let manner = desk.manner(state);
    let (tone, word) = ticket_state(&ticket, true);
    let here = desk.at(&format!("/tickets/{}", ticket.id));
    let mut page = Page::new(&ticket.subject)
        .badge(tone, word)
        .intro(format!("{}, {}", ticket.number, ticket.email))
        .up("Tickets", desk.at("/tickets"))
        .refused(failed)
        .with(ticket_thread(&ticket, &manner, true));
    if desk.may("ticket.reply") {
        let form = Form::new("", format!("{here}/reply"), "Send")
            .field(Field::new("textarea", "text", "Message").required())
            .field(Field::check("internal", "Note for staff only", false).help("The customer never sees it."))
            .refused(failed);
        page = page.with(Block::Form(form));
        if ticket.state() != Life::Closed {
            page = page
                .with(Block::Actions(vec![Form::new("", format!("{here}/close"), "Close ticket").tone(Tone::Info)]));
        }
    }
    page = page.with(Block::facts(
        "",
        vec![
            ("Customer", Cell::text(&ticket.email).to(desk.at(&format!("/customers/{}", ticket.account_id)))),
            ("Department", Cell::text(&ticket.department)),
            ("Opened", Cell::text(manner.moment(ticket.opened_at.as_ref()))),
        ],
    ));
    desk.show(ui, page)
}

/// `POST /staff/b/{brand}/tickets/{id}/reply`
pub async fn reply(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let is_note = sent.is_on("internal");
    let name = desk.caller.account().map(|account| account.display_name.clone()).unwrap_or_default();
    let asked = support::ReplyToTicketRequest {
        ticket_id: desk.id.clone(),
        text: sent.text("text"),
        internal: is_note,
        author_name: name,
    };
    let here = desk.at(&format!("/tickets/{}", desk.id));
    match state.clients.support(&desk.call()).reply_to_ticket(asked).await {
        Ok(_) => Ok(go_done(&here, if is_note { "noted" } else { "replied" })),
        Err(status) => {
            render(&state, &desk, &ui, Some(&Failed { action: format!("{here}/reply"), sent, refusal: status.into() }))
                .await
        }
    }
}

/// `POST /staff/b/{brand}/tickets/{id}/close`
pub async fn close(State(state): State<AppState>, desk: Desk) -> Reply<Response> {
    state
        .clients
        .support(&desk.call())
        .close_ticket(support::CloseTicketRequest { ticket_id: desk.id.clone() })
        .await?;
    Ok(go_done(&desk.at(&format!("/tickets/{}", desk.id)), "closed"))
}
