//! The log every figure comes from.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, Money, SubscriptionId, Term, TermUnit};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Event, SubscriptionState, mrr};

/// A change as billing told it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The event.
    pub event_id: Uuid,
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub subscription: SubscriptionId,
    /// Place among its changes.
    pub version: i64,
    /// What it became.
    pub state: SubscriptionState,
    /// Net amount of one term.
    pub recurring: Money,
    /// The term.
    pub term: Term,
    /// Since when.
    pub effective_at: DateTime<Utc>,
}

struct Row {
    account_id: Uuid,
    subscription_id: Uuid,
    version: i64,
    state: String,
    recurring_minor: i64,
    currency: String,
    term_count: i32,
    term_unit: String,
    effective_at: DateTime<Utc>,
}

fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

impl TryFrom<Row> for Event {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let unit = match row.term_unit.as_str() {
            "day" => TermUnit::Day,
            "week" => TermUnit::Week,
            "month" => TermUnit::Month,
            "year" => TermUnit::Year,
            other => return Err(unreadable(format!("unknown term unit `{other}`"))),
        };
        let term = Term::try_new(u16::try_from(row.term_count).map_err(unreadable)?, unit).map_err(unreadable)?;
        let recurring = Money { minor: row.recurring_minor, currency: row.currency.parse().map_err(unreadable)? };
        Ok(Self {
            account: AccountId::from_uuid(row.account_id),
            subscription: SubscriptionId::from_uuid(row.subscription_id),
            version: row.version,
            state: SubscriptionState::from_stored(&row.state)
                .ok_or_else(|| unreadable(format!("unknown subscription state `{}`", row.state)))?,
            mrr: mrr::monthly(recurring, term).map_err(unreadable)?,
            effective_at: row.effective_at,
        })
    }
}

/// Adds a change; false when it was known already.
pub async fn append(tx: &mut PgConnection, brand: BrandId, entry: &Entry) -> sqlx::Result<bool> {
    let added = sqlx::query!(
        "INSERT INTO subscription_event (event_id, brand_id, account_id, subscription_id, version, state, recurring_minor, \
         currency, term_count, term_unit, effective_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT DO NOTHING",
        entry.event_id,
        brand.as_uuid(),
        entry.account.as_uuid(),
        entry.subscription.as_uuid(),
        entry.version,
        entry.state.as_str(),
        entry.recurring.minor,
        entry.recurring.currency.code(),
        i32::from(entry.term.count()),
        entry.term.unit().to_string(),
        entry.effective_at,
    )
    .execute(tx)
    .await?;
    Ok(added.rows_affected() == 1)
}

/// Everything that happened to a customer of the transaction's brand.
pub async fn of_account(tx: &mut PgConnection, account: AccountId) -> sqlx::Result<Vec<Event>> {
    sqlx::query_as!(
        Row,
        "SELECT account_id, subscription_id, version, state, recurring_minor, currency, term_count, term_unit, \
         effective_at FROM subscription_event WHERE account_id = $1",
        account.as_uuid()
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// Customers with events, in the order of their ids, after `after`.
pub async fn accounts(tx: &mut PgConnection, after: Option<AccountId>, limit: i64) -> sqlx::Result<Vec<AccountId>> {
    let ids = sqlx::query_scalar!(
        "SELECT DISTINCT account_id FROM subscription_event WHERE $1::uuid IS NULL OR account_id > $1 ORDER BY account_id LIMIT $2",
        after.map(|id| id.as_uuid()),
        limit,
    )
    .fetch_all(tx)
    .await?;
    Ok(ids.into_iter().map(AccountId::from_uuid).collect())
}

/// How many events a brand has.
pub async fn count(tx: &mut PgConnection) -> sqlx::Result<i64> {
    Ok(sqlx::query_scalar!("SELECT count(*) FROM subscription_event").fetch_one(tx).await?.unwrap_or(0))
}

/// Two events of one customer at once would each miss the other's; they take turns until their transactions end.
pub async fn lock_account(tx: &mut PgConnection, account: AccountId) -> sqlx::Result<()> {
    let [.., a, b, c, d, e, f, g, h] = *account.as_uuid().as_bytes();
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", i64::from_be_bytes([a, b, c, d, e, f, g, h])).execute(tx).await?;
    Ok(())
}

/// Brands with events; read with the administrator's eyes by `ottery doctor`.
pub async fn brands(connection: &mut PgConnection) -> sqlx::Result<Vec<BrandId>> {
    let ids = sqlx::query_scalar!("SELECT DISTINCT brand_id FROM subscription_event").fetch_all(connection).await?;
    Ok(ids.into_iter().map(BrandId::from_uuid).collect())
}
