//! `SupportService`.

use std::fmt::Display;
use std::str::FromStr;

use ottery_kernel::AccountId;
use ottery_kit::grpc::{Actor, ActorKind, Problem, Request, Response, Status, actor};
use ottery_proto::common::v1::PageReply;
use ottery_proto::support::v1::support_service_server::SupportService;
use ottery_proto::support::v1::{
    CloseTicketRequest, GetTicketRequest, ListDepartmentsReply, ListDepartmentsRequest, ListTicketsReply,
    ListTicketsRequest, OpenTicketRequest, ReplyToTicketRequest, Ticket, ticket,
};

use super::convert;
use crate::app::{App, OpenTicket, Reply, TicketDetail};
use crate::domain::{Author, State};

/// The gRPC face of the use cases.
#[derive(Clone, Debug)]
pub struct Api {
    app: App,
}

impl Api {
    /// A face for these use cases.
    #[must_use]
    pub fn new(app: App) -> Self {
        Self { app }
    }
}

/// Whose tickets the caller may touch: a customer their own, staff with the permission all of the brand.
fn reach(actor: &Actor, permission: &str) -> Result<Option<AccountId>, Problem> {
    match actor.kind {
        ActorKind::Anonymous => Err(Problem::unauthenticated("SIGN_IN_REQUIRED", "sign in to see tickets")),
        ActorKind::Customer => id("actor", &actor.subject).map(Some),
        ActorKind::Staff | ActorKind::ApiKey | ActorKind::Service => actor.require(permission).map(|()| None),
    }
}

fn id<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::invalid(field, "ID_MALFORMED", error.to_string()))
}

fn reply(detail: &TicketDetail) -> Response<Ticket> {
    Response::new(convert::ticket(&detail.ticket, &detail.messages))
}

#[tonic::async_trait]
impl SupportService for Api {
    async fn open_ticket(&self, request: Request<OpenTicketRequest>) -> Result<Response<Ticket>, Status> {
        let actor = actor(&request)?;
        let brand = actor.brand_or_problem()?;
        let request = request.into_inner();
        // Staff may open one for a customer they name.
        let account = match reach(&actor, "ticket.reply")? {
            Some(own) => own,
            None => id("account_id", &request.account_id)?,
        };
        let subscription = match request.subscription_id.as_str() {
            "" => None,
            text => Some(id("subscription_id", text)?),
        };
        let wanted = OpenTicket {
            account,
            email: request.email,
            display_name: request.display_name,
            locale: request.locale,
            subject: request.subject,
            text: request.text,
            department: request.department,
            subscription,
        };
        Ok(reply(&self.app.open(brand, &actor, wanted).await.map_err(Problem::from)?))
    }

    async fn reply_to_ticket(&self, request: Request<ReplyToTicketRequest>) -> Result<Response<Ticket>, Status> {
        let actor = actor(&request)?;
        let brand = actor.brand_or_problem()?;
        let account = reach(&actor, "ticket.reply")?;
        let request = request.into_inner();
        let author = if account.is_some() { Author::Customer } else { Author::Staff };
        if request.internal && author == Author::Customer {
            return Err(Problem::invalid("internal", "STAFF_ONLY", "only staff write internal notes").into());
        }
        let words = Reply { text: request.text, internal: request.internal, author_name: request.author_name, author };
        let ticket = id("ticket_id", &request.ticket_id)?;
        Ok(reply(&self.app.reply(brand, &actor, ticket, account, words).await.map_err(Problem::from)?))
    }

    async fn close_ticket(&self, request: Request<CloseTicketRequest>) -> Result<Response<Ticket>, Status> {
        let actor = actor(&request)?;
        let brand = actor.brand_or_problem()?;
        let account = reach(&actor, "ticket.reply")?;
        let ticket = id("ticket_id", &request.into_inner().ticket_id)?;
        Ok(reply(&self.app.close(brand, &actor, ticket, account).await.map_err(Problem::from)?))
    }

    async fn get_ticket(&self, request: Request<GetTicketRequest>) -> Result<Response<Ticket>, Status> {
        let actor = actor(&request)?;
        let brand = actor.brand_or_problem()?;
        let account = reach(&actor, "ticket.read")?;
        let ticket = id("ticket_id", &request.into_inner().ticket_id)?;
        Ok(reply(&self.app.ticket(brand, ticket, account).await.map_err(Problem::from)?))
    }

    async fn list_tickets(&self, request: Request<ListTicketsRequest>) -> Result<Response<ListTicketsReply>, Status> {
        let actor = actor(&request)?;
        let brand = actor.brand_or_problem()?;
        let own = reach(&actor, "ticket.read")?;
        let request = request.into_inner();
        let account = match (own, request.account_id.as_str()) {
            (Some(own), _) => Some(own),
            (None, "") => None,
            (None, text) => Some(id("account_id", text)?),
        };
        let state = match request.state() {
            ticket::State::Unspecified => None,
            ticket::State::Open => Some(State::Open),
            ticket::State::Answered => Some(State::Answered),
            ticket::State::Closed => Some(State::Closed),
        };
        let page = request.page.unwrap_or_default();
        let (tickets, next_cursor) =
            self.app.tickets(brand, account, state, &page.cursor, page.limit).await.map_err(Problem::from)?;
        Ok(Response::new(ListTicketsReply {
            tickets: tickets.iter().map(|ticket| convert::ticket(ticket, &[])).collect(),
            page: Some(PageReply { next_cursor }),
        }))
    }

    async fn list_departments(
        &self,
        request: Request<ListDepartmentsRequest>,
    ) -> Result<Response<ListDepartmentsReply>, Status> {
        actor(&request)?.brand_or_problem()?;
        Ok(Response::new(ListDepartmentsReply { departments: self.app.departments().to_vec() }))
    }
}
