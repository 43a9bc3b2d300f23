//! Support tickets.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use ottery_kit::grpc::ActorKind;
use ottery_proto::identity::v1::GetAccountRequest;
use ottery_proto::support::v1 as support;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{List, Page, Time, page, view, words};
use crate::limits::{Json, Query};
use crate::problem::{Refusal, Reply};
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// Whom a ticket waits for. `open`: staff; `answered`: the customer.
    TicketState from support::ticket::State { Open, Answered, Closed }
}

words! {
    /// Who wrote a message.
    Author from support::message::Author { Customer, Staff }
}

view! {
    /// A message in a ticket.
    Message from support::Message {
        id: String,
        author: Author,
        author_name: String,
        text: String,
        /// A note among staff; customers never see it.
        internal: bool,
        written_at: Option<Time>,
    }
}

view! {
    /// A ticket. Lists come without messages.
    Ticket from support::Ticket {
        id: String,
        /// For people: `T-1042`.
        number: String,
        account_id: String,
        email: String,
        subject: String,
        department: String,
        state: TicketState,
        subscription_id: Option<String>,
        messages: Vec<Message>,
        opened_at: Option<Time>,
        updated_at: Option<Time>,
        closed_at: Option<Time>,
        version: u64,
    }
}

/// Which tickets.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TicketQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// One account's, for staff.
    account_id: Option<String>,
    /// In this state only.
    #[param(inline)]
    state: Option<TicketState>,
}

/// A new ticket.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketInput {
    /// 3 to 200 characters.
    pub subject: String,
    /// What it is about.
    pub text: String,
    /// One of the brand's departments; its first when left out.
    #[serde(default)]
    pub department: String,
    /// The subscription it is about.
    #[serde(default)]
    pub subscription_id: String,
    /// For whom staff open it.
    #[serde(default)]
    pub account_id: Option<String>,
}

/// An answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplyInput {
    /// What to say.
    pub text: String,
    /// A note among staff.
    #[serde(default)]
    pub internal: bool,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(departments))
        .routes(routes!(list, open))
        .routes(routes!(read))
        .routes(routes!(answer))
        .routes(routes!(close))
}

/// List departments.
#[utoipa::path(get, path = "/departments", tag = "tickets", operation_id = "list_departments", responses((status = 200, body = List<String>)))]
async fn departments(State(state): State<AppState>, caller: Caller) -> Reply<Json<List<String>>> {
    let reply =
        state.clients.support(&caller.call()).list_departments(support::ListDepartmentsRequest {}).await?.into_inner();
    Ok(Json(List::of(reply.departments)))
}

/// List tickets.
#[utoipa::path(get, path = "/tickets", tag = "tickets", operation_id = "list_tickets", params(TicketQuery), responses((status = 200, body = Page<Ticket>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<TicketQuery>,
) -> Reply<Json<Page<Ticket>>> {
    let request = support::ListTicketsRequest {
        page: page(query.cursor, query.limit)?,
        account_id: query.account_id.unwrap_or_default(),
        state: query.state.map_or(0, Into::into),
    };
    let reply = state.clients.support(&caller.call()).list_tickets(request).await?.into_inner();
    Ok(Json(Page::of(reply.tickets, reply.page)))
}

/// Get a ticket with its messages.
#[utoipa::path(get, path = "/tickets/{id}", tag = "tickets", operation_id = "get_ticket", params(("id" = String, Path)), responses((status = 200, body = Ticket)))]
async fn read(State(state): State<AppState>, caller: Caller, Path(ticket_id): Path<String>) -> Reply<Json<Ticket>> {
    let request = support::GetTicketRequest { ticket_id };
    Ok(Json(state.clients.support(&caller.call()).get_ticket(request).await?.into_inner().into()))
}

/// Open a ticket.
#[utoipa::path(post, path = "/tickets", tag = "tickets", operation_id = "open_ticket", request_body = TicketInput, responses((status = 201, body = Ticket)))]
async fn open(State(state): State<AppState>, caller: Caller, Json(input): Json<TicketInput>) -> Reply<Response> {
    let account = if caller.actor.kind == ActorKind::Customer {
        caller.account().cloned().ok_or_else(Refusal::sign_in)?
    } else {
        let named = input.account_id.clone();
        let account_id =
            named.ok_or_else(|| Refusal::invalid("account_id", "missing", "name the customer the ticket is for"))?;
        state.clients.identity(&caller.call()).get_account(GetAccountRequest { account_id }).await?.into_inner()
    };
    let request = support::OpenTicketRequest {
        account_id: account.id,
        email: account.email,
        display_name: account.display_name,
        locale: account.locale,
        subject: input.subject,
        text: input.text,
        department: input.department,
        subscription_id: input.subscription_id,
    };
    let ticket = state.clients.support(&caller.call()).open_ticket(request).await?.into_inner();
    Ok((StatusCode::CREATED, Json(Ticket::from(ticket))).into_response())
}

/// Answer a ticket.
#[utoipa::path(post, path = "/tickets/{id}/replies", tag = "tickets", operation_id = "reply_to_ticket", params(("id" = String, Path)), request_body = ReplyInput, responses((status = 200, body = Ticket)))]
async fn answer(
    State(state): State<AppState>,
    caller: Caller,
    Path(ticket_id): Path<String>,
    Json(input): Json<ReplyInput>,
) -> Reply<Json<Ticket>> {
    let request = support::ReplyToTicketRequest {
        ticket_id,
        text: input.text,
        internal: input.internal,
        author_name: caller.name().to_owned(),
    };
    Ok(Json(state.clients.support(&caller.call()).reply_to_ticket(request).await?.into_inner().into()))
}

/// Close a ticket.
#[utoipa::path(post, path = "/tickets/{id}/close", tag = "tickets", operation_id = "close_ticket", params(("id" = String, Path)), responses((status = 200, body = Ticket)))]
async fn close(State(state): State<AppState>, caller: Caller, Path(ticket_id): Path<String>) -> Reply<Json<Ticket>> {
    let request = support::CloseTicketRequest { ticket_id };
    Ok(Json(state.clients.support(&caller.call()).close_ticket(request).await?.into_inner().into()))
}
