//! Tickets and their messages.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, MessageId, SubscriptionId, TicketId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Author, State};

/// A ticket without its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Identity.
    pub id: TicketId,
    /// Whose customer it is.
    pub brand: BrandId,
    /// Per brand, from 1001.
    pub number: i64,
    /// Whose ticket it is.
    pub account: AccountId,
    /// Where mails go.
    pub email: String,
    /// Language of mails.
    pub locale: String,
    /// What it is about.
    pub subject: String,
    /// Who looks after it.
    pub department: String,
    /// Whose turn it is.
    pub state: State,
    /// The subscription it is about.
    pub subscription: Option<SubscriptionId>,
    /// Grows with every change.
    pub version: i64,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// Last change.
    pub updated_at: DateTime<Utc>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
}

/// One message of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Identity.
    pub id: MessageId,
    /// Which side wrote.
    pub author: Author,
    /// Account id of the writer.
    pub author_id: String,
    /// As shown.
    pub author_name: String,
    /// What was written, masked.
    pub body: String,
    /// Among staff only.
    pub internal: bool,
    /// When.
    pub written_at: DateTime<Utc>,
}

struct Row {
    id: Uuid,
    brand_id: Uuid,
    number: i64,
    account_id: Uuid,
    email: String,
    locale: String,
    subject: String,
    department: String,
    state: String,
    subscription_id: Option<Uuid>,
    version: i64,
    opened_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Ticket {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let state = State::from_stored(&row.state)
            .ok_or_else(|| sqlx::Error::Decode(format!("unknown ticket state `{}`", row.state).into()))?;
        Ok(Self {
            id: TicketId::from_uuid(row.id),
            brand: BrandId::from_uuid(row.brand_id),
            number: row.number,
            account: AccountId::from_uuid(row.account_id),
            email: row.email,
            locale: row.locale,
            subject: row.subject,
            department: row.department,
            state,
            subscription: row.subscription_id.map(SubscriptionId::from_uuid),
            version: row.version,
            opened_at: row.opened_at,
            updated_at: row.updated_at,
            closed_at: row.closed_at,
        })
    }
}

/// The brand's next ticket number. Numbers may have gaps; people only need them short.
pub async fn next_number(tx: &mut PgConnection, brand: BrandId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "INSERT INTO ticket_number AS t (brand_id, last) VALUES ($1, 1001) \
         ON CONFLICT (brand_id) DO UPDATE SET last = t.last + 1 RETURNING last",
        brand.as_uuid()
    )
    .fetch_one(tx)
    .await
}

/// Adds a ticket.
pub async fn insert(tx: &mut PgConnection, ticket: &Ticket) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO ticket (id, brand_id, number, account_id, email, locale, subject, department, state, subscription_id, \
         version, opened_at, updated_at, closed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        ticket.id.as_uuid(),
        ticket.brand.as_uuid(),
        ticket.number,
        ticket.account.as_uuid(),
        ticket.email,
        ticket.locale,
        ticket.subject,
        ticket.department,
        ticket.state.as_str(),
        ticket.subscription.map(|id| id.as_uuid()),
        ticket.version,
        ticket.opened_at,
        ticket.updated_at,
        ticket.closed_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes what changed.
pub async fn update(tx: &mut PgConnection, ticket: &Ticket) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE ticket SET state = $2, version = $3, updated_at = $4, closed_at = $5 WHERE id = $1",
        ticket.id.as_uuid(),
        ticket.state.as_str(),
        ticket.version,
        ticket.updated_at,
        ticket.closed_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds a message.
pub async fn insert_message(tx: &mut PgConnection, ticket: &Ticket, message: &Message) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO ticket_message (id, brand_id, ticket_id, author, author_id, author_name, body, internal, written_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        message.id.as_uuid(),
        ticket.brand.as_uuid(),
        ticket.id.as_uuid(),
        message.author.as_str(),
        message.author_id,
        message.author_name,
        message.body,
        message.internal,
        message.written_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The ticket, locked until the transaction ends; of this account only, when one is named.
pub async fn lock(tx: &mut PgConnection, id: TicketId, account: Option<AccountId>) -> sqlx::Result<Option<Ticket>> {
    sqlx::query_as!(Row, "SELECT id, brand_id, number, account_id, email, locale, subject, department, state, subscription_id, \
         version, opened_at, updated_at, closed_at FROM ticket WHERE id = $1 AND ($2::uuid IS NULL OR account_id = $2) FOR UPDATE",
        id.as_uuid(), account.map(|id| id.as_uuid()))
        .fetch_optional(tx)
        .await?
        .map(TryInto::try_into)
        .transpose()
}

/// The ticket; of this account only, when one is named.
pub async fn get(tx: &mut PgConnection, id: TicketId, account: Option<AccountId>) -> sqlx::Result<Option<Ticket>> {
    sqlx::query_as!(
        Row,
        "SELECT id, brand_id, number, account_id, email, locale, subject, department, state, subscription_id, \
         version, opened_at, updated_at, closed_at FROM ticket WHERE id = $1 AND ($2::uuid IS NULL OR account_id = $2)",
        id.as_uuid(),
        account.map(|id| id.as_uuid())
    )
    .fetch_optional(tx)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// Tickets, newest first.
pub async fn list(
    tx: &mut PgConnection,
    account: Option<AccountId>,
    state: Option<State>,
    before: Option<TicketId>,
    limit: i64,
) -> sqlx::Result<Vec<Ticket>> {
    sqlx::query_as!(
        Row,
        "SELECT id, brand_id, number, account_id, email, locale, subject, department, state, subscription_id, \
         version, opened_at, updated_at, closed_at FROM ticket WHERE ($1::uuid IS NULL OR account_id = $1) \
         AND ($2::text IS NULL OR state = $2) AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        account.map(|id| id.as_uuid()),
        state.map(State::as_str),
        before.map(|id| id.as_uuid()),
        limit
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// A ticket's messages, oldest first; internal notes only when asked for.
pub async fn messages(tx: &mut PgConnection, id: TicketId, with_internal: bool) -> sqlx::Result<Vec<Message>> {
    let rows = sqlx::query!(
        "SELECT id, author, author_id, author_name, body, internal, written_at FROM ticket_message \
         WHERE ticket_id = $1 AND ($2 OR NOT internal) ORDER BY id",
        id.as_uuid(),
        with_internal,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Message {
            id: MessageId::from_uuid(row.id),
            author: if row.author == "staff" { Author::Staff } else { Author::Customer },
            author_id: row.author_id,
            author_name: row.author_name,
            body: row.body,
            internal: row.internal,
            written_at: row.written_at,
        })
        .collect())
}
