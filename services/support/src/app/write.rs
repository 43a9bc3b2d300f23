//! Opening, answering and closing tickets.

use ottery_kernel::{AccountId, BrandId, MessageId, SubscriptionId, TicketId};
use ottery_kit::db::{Scope, begin};
use ottery_kit::grpc::Actor;
use ottery_kit::{audit, clock};
use ottery_proto::support::v1::ticket_changed::Change;
use serde_json::json;

use super::{App, AppError, TicketDetail};
use crate::domain::{Author, Command, Outcome, State, text};
use crate::events;
use crate::store::ticket::{self as store, Message, Ticket};

/// A ticket to open.
#[derive(Clone, Debug)]
pub struct OpenTicket {
    /// Whose it is.
    pub account: AccountId,
    /// Where mails go.
    pub email: String,
    /// As shown.
    pub display_name: String,
    /// Language of mails.
    pub locale: String,
    /// What it is about.
    pub subject: String,
    /// The first message.
    pub text: String,
    /// Who looks after it; empty for the default.
    pub department: String,
    /// The subscription it is about.
    pub subscription: Option<SubscriptionId>,
}

/// A message to add.
#[derive(Clone, Debug)]
pub struct Reply {
    /// What to say.
    pub text: String,
    /// Among staff only.
    pub internal: bool,
    /// As shown.
    pub author_name: String,
    /// Which side writes.
    pub author: Author,
}

impl App {
    /// Opens a ticket with its first message.
    pub async fn open(&self, brand: BrandId, actor: &Actor, wanted: OpenTicket) -> Result<TicketDetail, AppError> {
        let (subject, body) = (text::subject(&wanted.subject)?, text::message(&wanted.text)?);
        let department = self.department(&wanted.department)?;
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let now = clock::brand_now(&mut tx, brand, &*self.clock).await?;
        let ticket = Ticket {
            id: TicketId::new(now),
            brand,
            number: store::next_number(&mut tx, brand).await?,
            account: wanted.account,
            email: wanted.email,
            locale: wanted.locale,
            subject,
            department,
            state: State::Open,
            subscription: wanted.subscription,
            version: 1,
            opened_at: now,
            updated_at: now,
            closed_at: None,
        };
        let message = Message {
            id: MessageId::new(now),
            author: Author::Customer,
            author_id: actor.subject.clone(),
            author_name: wanted.display_name,
            body,
            internal: false,
            written_at: now,
        };
        store::insert(&mut tx, &ticket).await?;
        store::insert_message(&mut tx, &ticket, &message).await?;
        events::changed(&mut tx, &ticket, Change::Opened, &message.body).await?;
        tx.commit().await?;
        Ok(TicketDetail { ticket, messages: vec![message] })
    }

    fn department(&self, wanted: &str) -> Result<String, AppError> {
        let known = match wanted {
            "" => self.departments.first(),
            wanted => self.departments.iter().find(|name| *name == wanted),
        };
        known.cloned().ok_or_else(|| AppError::Department(wanted.to_owned(), self.departments.join(", ")))
    }

    /// Adds a message; `account` limits it to that customer's own tickets.
    pub async fn reply(
        &self,
        brand: BrandId,
        actor: &Actor,
        id: TicketId,
        account: Option<AccountId>,
        reply: Reply,
    ) -> Result<TicketDetail, AppError> {
        let body = text::message(&reply.text)?;
        let (command, change) = match (reply.author, reply.internal) {
            (Author::Customer, _) => (Command::CustomerReply, Some(Change::CustomerReplied)),
            (Author::Staff, false) => (Command::StaffReply, Some(Change::StaffReplied)),
            // A note is nobody's business outside: no event, and the customer's turn stays theirs.
            (Author::Staff, true) => (Command::Note, None),
        };
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let mut ticket = store::lock(&mut tx, id, account).await?.ok_or(AppError::NotFound)?;
        let now = clock::brand_now(&mut tx, brand, &*self.clock).await?;
        let message = Message {
            id: MessageId::new(now),
            author: reply.author,
            author_id: actor.subject.clone(),
            author_name: reply.author_name,
            body,
            internal: reply.internal && reply.author == Author::Staff,
            written_at: now,
        };
        store::insert_message(&mut tx, &ticket, &message).await?;
        if let (Outcome::Moved(state), Some(change)) = (ticket.state.on(command), change) {
            (ticket.state, ticket.updated_at, ticket.closed_at) = (state, now, None);
            ticket.version += 1;
            store::update(&mut tx, &ticket).await?;
            events::changed(&mut tx, &ticket, change, &message.body).await?;
        }
        if reply.author == Author::Staff {
            let after = json!({ "internal": message.internal, "state": ticket.state.as_str() });
            audit::append(&mut tx, actor, "ticket.reply", ticket.id, None, Some(after)).await?;
        }
        let messages = store::messages(&mut tx, id, account.is_none()).await?;
        tx.commit().await?;
        Ok(TicketDetail { ticket, messages })
    }

    /// Closes a ticket; a closed one stays closed.
    pub async fn close(
        &self,
        brand: BrandId,
        actor: &Actor,
        id: TicketId,
        account: Option<AccountId>,
    ) -> Result<TicketDetail, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let mut ticket = store::lock(&mut tx, id, account).await?.ok_or(AppError::NotFound)?;
        if let Outcome::Moved(state) = ticket.state.on(Command::Close) {
            let now = clock::brand_now(&mut tx, brand, &*self.clock).await?;
            let before = json!({ "state": ticket.state.as_str() });
            (ticket.state, ticket.updated_at, ticket.closed_at) = (state, now, Some(now));
            ticket.version += 1;
            store::update(&mut tx, &ticket).await?;
            events::changed(&mut tx, &ticket, Change::Closed, "").await?;
            if account.is_none() {
                audit::append(
                    &mut tx,
                    actor,
                    "ticket.close",
                    ticket.id,
                    Some(before),
                    Some(json!({ "state": "closed" })),
                )
                .await?;
            }
        }
        let messages = store::messages(&mut tx, id, account.is_none()).await?;
        tx.commit().await?;
        Ok(TicketDetail { ticket, messages })
    }
}
