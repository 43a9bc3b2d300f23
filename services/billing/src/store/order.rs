//! Orders.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, InvoiceId, Money, OrderId, SubscriptionId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::{Page, money, unreadable};
use crate::domain::order::State;

/// An order as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Who ordered.
    pub account: AccountId,
    /// The quote it accepted.
    pub quote: Uuid,
    /// What it made.
    pub subscription: SubscriptionId,
    /// What is to be paid; none when nothing was due.
    pub invoice: Option<InvoiceId>,
    /// Where it stands.
    pub state: State,
    /// The plan's name as it was sold.
    pub plan_name: String,
    /// What was due at the order.
    pub total: Money,
    /// Where mail about it goes.
    pub email: String,
    /// Who sent the customer; empty for nobody.
    pub referral_code: String,
    /// Trace of the request that placed it.
    pub trace_id: String,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// When it was paid.
    pub paid_at: Option<DateTime<Utc>>,
}

struct Row {
    id: Uuid,
    account_id: Uuid,
    quote_id: Uuid,
    subscription_id: Uuid,
    invoice_id: Option<Uuid>,
    state: String,
    plan_name: String,
    total_minor: i64,
    currency: String,
    email: String,
    referral_code: String,
    trace_id: String,
    placed_at: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Order {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: OrderId::from_uuid(row.id),
            account: AccountId::from_uuid(row.account_id),
            quote: row.quote_id,
            subscription: SubscriptionId::from_uuid(row.subscription_id),
            invoice: row.invoice_id.map(InvoiceId::from_uuid),
            state: State::from_text(&row.state).ok_or_else(|| unreadable("orders", "state", &row.state))?,
            plan_name: row.plan_name,
            total: money("orders", row.total_minor, &row.currency)?,
            email: row.email,
            referral_code: row.referral_code,
            trace_id: row.trace_id,
            placed_at: row.placed_at,
            paid_at: row.paid_at,
        })
    }
}

/// Keeps a new order.
pub async fn insert(tx: &mut PgTransaction<'_>, brand: BrandId, order: &Order) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO orders (id, brand_id, account_id, quote_id, subscription_id, invoice_id, state, plan_name, total_minor,
                             currency, email, referral_code, trace_id, placed_at, paid_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        order.id.as_uuid(),
        brand.as_uuid(),
        order.account.as_uuid(),
        order.quote,
        order.subscription.as_uuid(),
        order.invoice.map(|id| id.as_uuid()),
        order.state.as_str(),
        order.plan_name,
        order.total.minor,
        order.total.currency.code(),
        order.email,
        order.referral_code,
        order.trace_id,
        order.placed_at,
        order.paid_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One order.
pub async fn get(tx: &mut PgTransaction<'_>, id: OrderId) -> sqlx::Result<Option<Order>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, account_id, quote_id, subscription_id, invoice_id, state, plan_name, total_minor, currency, email,
                referral_code, trace_id, placed_at, paid_at
           FROM orders WHERE id = $1",
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Order::try_from).transpose()
}

/// The order that accepted a quote.
pub async fn of_quote(tx: &mut PgTransaction<'_>, quote: Uuid) -> sqlx::Result<Option<Order>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, account_id, quote_id, subscription_id, invoice_id, state, plan_name, total_minor, currency, email,
                referral_code, trace_id, placed_at, paid_at
           FROM orders WHERE quote_id = $1",
        quote
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Order::try_from).transpose()
}

/// The orders with these ids, locked.
pub async fn lock_all(tx: &mut PgTransaction<'_>, ids: &[OrderId]) -> sqlx::Result<Vec<Order>> {
    let ids: Vec<Uuid> = ids.iter().map(OrderId::as_uuid).collect();
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, account_id, quote_id, subscription_id, invoice_id, state, plan_name, total_minor, currency, email,
                referral_code, trace_id, placed_at, paid_at
           FROM orders WHERE id = ANY($1) ORDER BY id FOR UPDATE",
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Order::try_from).collect()
}

/// Writes the states of orders, and the invoices they got with them.
pub async fn save_states(tx: &mut PgTransaction<'_>, orders: &[Order]) -> sqlx::Result<()> {
    if orders.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = orders.iter().map(|order| order.id.as_uuid()).collect();
    let states: Vec<String> = orders.iter().map(|order| order.state.as_str().to_owned()).collect();
    let invoices: Vec<Option<Uuid>> = orders.iter().map(|order| order.invoice.map(|id| id.as_uuid())).collect();
    let paid: Vec<Option<DateTime<Utc>>> = orders.iter().map(|order| order.paid_at).collect();
    sqlx::query!(
        "UPDATE orders SET state = r.state, paid_at = r.paid_at, invoice_id = r.invoice_id
           FROM UNNEST($1::uuid[], $2::text[], $3::timestamptz[], $4::uuid[]) AS r (id, state, paid_at, invoice_id)
          WHERE orders.id = r.id",
        &ids,
        &states,
        &paid as _,
        &invoices as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Orders, newest first; of one account when given.
pub async fn list(tx: &mut PgTransaction<'_>, account: Option<AccountId>, page: Page) -> sqlx::Result<Vec<Order>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, account_id, quote_id, subscription_id, invoice_id, state, plan_name, total_minor, currency, email,
                referral_code, trace_id, placed_at, paid_at
           FROM orders
          WHERE ($1::uuid IS NULL OR account_id = $1) AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        account.map(|account| account.as_uuid()),
        page.before,
        page.limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Order::try_from).collect()
}

/// Whether the account has an order that was paid or waits for its payment.
pub async fn stands(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM orders
             WHERE brand_id = ottery_brand() AND account_id = $1 AND state <> 'cancelled') AS "stands!""#,
        account.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await
}
