//! What other services hear; never an internal note.

use ottery_kit::outbox::{Event, append};
use ottery_proto::support::v1::TicketChanged;
use ottery_proto::support::v1::ticket_changed::Change;
use sqlx::postgres::PgTransaction;

use crate::grpc::convert;
use crate::store::ticket::Ticket;

/// `support.ticket.changed.v1`
pub async fn changed(tx: &mut PgTransaction<'_>, ticket: &Ticket, change: Change, text: &str) -> sqlx::Result<()> {
    let payload =
        TicketChanged { ticket: Some(convert::ticket(ticket, &[])), change: change.into(), text: text.to_owned() };
    let event =
        Event::new("support.ticket.changed.v1", ticket.id, ticket.version, ticket.brand, ticket.updated_at, &payload);
    append(tx, event).await?;
    Ok(())
}
