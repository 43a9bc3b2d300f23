//! Getting help.

use axum::extract::{Path, State};
use axum::response::Response;
use ottery_proto::support::v1 as support;
use ottery_proto::support::v1::Ticket;
use ottery_proto::support::v1::message::Author;
use ottery_proto::support::v1::ticket::State as Life;

use super::show as page_of;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Link, Message, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done, manner};
use crate::pages::text::Manner;
use crate::problem::Reply;
use crate::session::Customer;
use crate::state::AppState;

/// How a ticket stands, seen by the customer or by staff.
#[must_use]
pub fn state_of(ticket: &Ticket, is_staff: bool) -> (Tone, &'static str) {
    match (ticket.state(), is_staff) {
        (Life::Open | Life::Unspecified, false) => (Tone::Info, "With us"),
        (Life::Open | Life::Unspecified, true) => (Tone::Warn, "Waits for us"),
        (Life::Answered, false) => (Tone::Good, "Answered"),
        (Life::Answered, true) => (Tone::Info, "Waits for the customer"),
        (Life::Closed, _) => (Tone::Neutral, "Closed"),
    }
}

/// The messages, oldest first; `is_staff` says whose side is ours.
#[must_use]
pub fn thread(ticket: &Ticket, manner: &Manner, is_staff: bool) -> Block {
    let messages = ticket.messages.iter().filter(|message| is_staff || !message.internal).map(|message| {
        let is_mine = (message.author() == Author::Staff) == is_staff;
        Message {
            author: match (message.internal, message.author_name.as_str(), message.author()) {
                (true, name, _) => format!("{name} (note for staff)"),
                (false, "", Author::Customer | Author::Unspecified) => "Customer".to_owned(),
                (false, "", Author::Staff) => "Support".to_owned(),
                (false, name, _) => name.to_owned(),
            },
            at: manner.moment(message.written_at.as_ref()),
            text: message.text.clone(),
            side: if message.internal {
                "internal"
            } else if is_mine {
                "ours"
            } else {
                "theirs"
            },
        }
    });
    Block::Thread(messages.collect())
}

/// `GET /account/tickets`
pub async fn list(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    let asked = support::ListTicketsRequest { page: ui.page(), account_id: customer.account.id.clone(), state: 0 };
    let found = state.clients.support(&customer.caller.call()).list_tickets(asked).await?.into_inner();
    let manner = manner(&state, &customer.brand);
    let rows = found.tickets.iter().map(|ticket| {
        let (tone, word) = state_of(ticket, false);
        vec![
            Cell::text(&ticket.subject).to(format!("/account/tickets/{}", ticket.id)).note(ticket.number.clone()),
            Cell::badge(tone, word),
            Cell::text(manner.relative(ticket.updated_at.as_ref())).note(manner.moment(ticket.updated_at.as_ref())),
        ]
    });
    let table = Table::new("", &["Subject", "State", "Last change"], "You have not asked us anything yet.")
        .rows(rows)
        .first(Link::new("Ask us", "/account/tickets/new"))
        .next("/account/tickets", &found.page.unwrap_or_default().next_cursor);
    page_of(&customer, &ui, Page::new("Support").action("New ticket", "/account/tickets/new").with(Block::Table(table)))
}

async fn new_form(state: &AppState, customer: &Customer, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let call = customer.caller.call();
    let departments = state
        .clients
        .support(&call)
        .list_departments(support::ListDepartmentsRequest {})
        .await?
        .into_inner()
        .departments;
    let mut form = Form::new("", "/account/tickets/new", "Send")
        .field(Field::text("subject", "What is it about?").required())
        .field(
            Field::new("textarea", "text", "Tell us more")
                .required()
                .help("Channel, device and time help us most when something does not play."),
        );
    if departments.len() > 1 {
        let options = departments.iter().map(|name| (name.clone(), name.clone())).collect();
        form = form.field(Field::select("department", "Who should read it?", options));
    }
    let page = Page::new("New ticket")
        .up("Support", "/account/tickets")
        .refused(failed)
        .with(Block::Form(form.refused(failed)));
    page_of(customer, ui, page)
}

/// `GET /account/tickets/new`
pub async fn new_page(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    new_form(&state, &customer, &ui, None).await
}

/// `POST /account/tickets/new`
pub async fn open(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    let account = &customer.account;
    let asked = support::OpenTicketRequest {
        account_id: account.id.clone(),
        email: account.email.clone(),
        display_name: account.display_name.clone(),
        locale: if account.locale.is_empty() { customer.brand.default_locale.clone() } else { account.locale.clone() },
        subject: sent.text("subject"),
        text: sent.text("text"),
        department: sent.text("department"),
        subscription_id: String::new(),
    };
    match state.clients.support(&customer.caller.call()).open_ticket(asked).await {
        Ok(ticket) => Ok(go_done(&format!("/account/tickets/{}", ticket.into_inner().id), "opened")),
        Err(status) => {
            new_form(&state, &customer, &ui, Some(&Failed { action: String::new(), sent, refusal: status.into() }))
                .await
        }
    }
}

async fn render(state: &AppState, customer: &Customer, ui: &Ui, id: &str, failed: Option<&Failed>) -> Reply<Response> {
    let asked = support::GetTicketRequest { ticket_id: id.to_owned() };
    let ticket = state.clients.support(&customer.caller.call()).get_ticket(asked).await?.into_inner();
    let manner = manner(state, &customer.brand);
    let (tone, word) = state_of(&ticket, false);
    let reply = Form::new("", format!("/account/tickets/{id}/reply"), "Send")
        .field(Field::new("textarea", "text", "Your message").required())
        .refused(failed);
    let mut page = Page::new(&ticket.subject)
        .badge(tone, word)
        .intro(ticket.number.clone())
        .up("Support", "/account/tickets")
        .refused(failed)
        .with(thread(&ticket, &manner, false))
        .with(Block::Form(reply));
    if ticket.state() != Life::Closed {
        page = page.with(Block::Actions(vec![
            Form::new("", format!("/account/tickets/{id}/close"), "Close ticket").tone(Tone::Info),
        ]));
    }
    page_of(customer, ui, page)
}

/// `GET /account/tickets/{id}`
pub async fn show(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(id): Path<String>,
) -> Reply<Response> {
    render(&state, &customer, &ui, &id, None).await
}

/// `POST /account/tickets/{id}/reply`
pub async fn reply(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(id): Path<String>,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    let asked = support::ReplyToTicketRequest {
        ticket_id: id.clone(),
        text: sent.text("text"),
        internal: false,
        author_name: customer.account.display_name.clone(),
    };
    match state.clients.support(&customer.caller.call()).reply_to_ticket(asked).await {
        Ok(_) => Ok(go_done(&format!("/account/tickets/{id}"), "replied")),
        Err(status) => {
            render(&state, &customer, &ui, &id, Some(&Failed { action: String::new(), sent, refusal: status.into() }))
                .await
        }
    }
}

/// `POST /account/tickets/{id}/close`
pub async fn close(State(state): State<AppState>, customer: Customer, Path(id): Path<String>) -> Reply<Response> {
    let asked = support::CloseTicketRequest { ticket_id: id.clone() };
    state.clients.support(&customer.caller.call()).close_ticket(asked).await?;
    Ok(go_done(&format!("/account/tickets/{id}"), "closed"))
}
