//! Use cases: one public function, one transaction.

mod error;
mod write;

use std::sync::Arc;

use ottery_kernel::{AccountId, BrandId, Clock, TicketId};
use ottery_kit::db::{Scope, begin};
use sqlx::PgPool;

pub use error::AppError;
pub use write::{OpenTicket, Reply};

use crate::domain::State;
use crate::store::ticket::{self as store, Message, Ticket};

/// What the use cases work with.
#[derive(Clone, Debug)]
pub struct App {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    departments: Arc<[String]>,
}

/// A ticket with what the reader may see of it.
#[derive(Clone, Debug)]
pub struct TicketDetail {
    /// The ticket.
    pub ticket: Ticket,
    /// Its messages, oldest first.
    pub messages: Vec<Message>,
}

impl App {
    /// Use cases over this database; `departments` has at least one name.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, departments: Vec<String>) -> Self {
        Self { pool, clock, departments: departments.into() }
    }

    /// Who can be written to; the first one is the default.
    #[must_use]
    pub fn departments(&self) -> &[String] {
        &self.departments
    }

    /// A ticket with its messages. A customer (`account`) sees their own, and no internal note.
    pub async fn ticket(
        &self,
        brand: BrandId,
        id: TicketId,
        account: Option<AccountId>,
    ) -> Result<TicketDetail, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let ticket = store::get(&mut tx, id, account).await?.ok_or(AppError::NotFound)?;
        let messages = store::messages(&mut tx, id, account.is_none()).await?;
        Ok(TicketDetail { ticket, messages })
    }

    /// Tickets, newest first, with the cursor of the next page.
    pub async fn tickets(
        &self,
        brand: BrandId,
        account: Option<AccountId>,
        state: Option<State>,
        cursor: &str,
        limit: u32,
    ) -> Result<(Vec<Ticket>, String), AppError> {
        let limit = match limit {
            0 => 50,
            1..=100 => i64::from(limit),
            _ => return Err(AppError::Page { field: "page.limit", reason: "use 1 to 100" }),
        };
        let before = match cursor {
            "" => None,
            cursor => Some(cursor.parse().map_err(|_| AppError::Page {
                field: "page.cursor",
                reason: "use the cursor of the page before, or none",
            })?),
        };
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let mut tickets = store::list(&mut tx, account, state, before, limit + 1).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = tickets.len() > most;
        tickets.truncate(most);
        let next = tickets.last().filter(|_| has_more).map(|ticket| ticket.id.to_string()).unwrap_or_default();
        Ok((tickets, next))
    }
}
