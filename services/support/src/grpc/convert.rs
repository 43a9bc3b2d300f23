//! Domain to contract.

use chrono::{DateTime, Utc};
use ottery_proto::support::v1::{Message, Ticket, message, ticket as proto};

use crate::domain::{Author, State};
use crate::store::ticket;

fn instant(at: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}

/// A ticket with these messages.
pub fn ticket(ticket: &ticket::Ticket, messages: &[ticket::Message]) -> Ticket {
    let state = match ticket.state {
        State::Open => proto::State::Open,
        State::Answered => proto::State::Answered,
        State::Closed => proto::State::Closed,
    };
    Ticket {
        id: ticket.id.to_string(),
        number: format!("T-{}", ticket.number),
        account_id: ticket.account.to_string(),
        email: ticket.email.clone(),
        subject: ticket.subject.clone(),
        department: ticket.department.clone(),
        state: state.into(),
        subscription_id: ticket.subscription.map(|id| id.to_string()).unwrap_or_default(),
        messages: messages.iter().map(message).collect(),
        opened_at: Some(instant(ticket.opened_at)),
        updated_at: Some(instant(ticket.updated_at)),
        closed_at: ticket.closed_at.map(instant),
        version: ticket.version.cast_unsigned(),
        locale: ticket.locale.clone(),
    }
}

fn message(message: &ticket::Message) -> Message {
    let author = match message.author {
        Author::Customer => message::Author::Customer,
        Author::Staff => message::Author::Staff,
    };
    Message {
        id: message.id.to_string(),
        author: author.into(),
        author_name: message.author_name.clone(),
        text: message.body.clone(),
        internal: message.internal,
        written_at: Some(instant(message.written_at)),
    }
}
