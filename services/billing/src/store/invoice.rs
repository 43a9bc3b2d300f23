//! Invoices and what settles them.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, Currency, InvoiceId, Money, OrderId, Period, SubscriptionId};
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Page, column, currency, unreadable};
use crate::domain::invoice::{Invoice, Number, Part, Proforma, Purpose, Snapshot, State};
use crate::domain::line::{Line, Totals};

struct Row {
    id: Uuid,
    account_id: Uuid,
    subscription_id: Option<Uuid>,
    order_id: Option<Uuid>,
    purpose: String,
    state: String,
    series: Option<String>,
    number_year: Option<i32>,
    number_seq: Option<i64>,
    currency: String,
    subtotal_minor: i64,
    tax_minor: i64,
    total_minor: i64,
    lines: Json<Vec<Line>>,
    snapshot: Json<Snapshot>,
    period_start: Option<DateTime<Utc>>,
    period_end: Option<DateTime<Utc>>,
    issued_at: Option<DateTime<Utc>>,
    due_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    reminders_done: i32,
    charges_made: i32,
    carried_at: Option<DateTime<Utc>>,
    proforma_series: Option<String>,
    proforma_year: Option<i32>,
    proforma_seq: Option<i64>,
    proforma_at: Option<DateTime<Utc>>,
    group_id: Option<Uuid>,
    part: Option<i32>,
    paid_minor: i64,
    wallet_minor: i64,
    refunded_minor: i64,
}

impl TryFrom<Row> for Invoice {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let currency = currency("invoice", &row.currency)?;
        let money = |minor| Money::new(minor, currency);
        let number = match (row.series, row.number_year, row.number_seq) {
            (Some(series), Some(year), Some(sequence)) => Some(Number { series, year, sequence }),
            _ => None,
        };
        let proforma = match (row.proforma_series, row.proforma_year, row.proforma_seq, row.proforma_at) {
            (Some(series), Some(year), Some(sequence), Some(at)) => {
                Some(Proforma { number: Some(Number { series, year, sequence }), at })
            }
            _ => None,
        };
        let part = match (row.group_id, row.part) {
            (Some(group), Some(number)) => {
                Some(Part { group: InvoiceId::from_uuid(group), number: number.unsigned_abs() })
            }
            _ => None,
        };
        let period = match (row.period_start, row.period_end) {
            (Some(start), Some(end)) => {
                Some(Period::try_new(start, end).map_err(|error| unreadable("invoice", "period", error))?)
            }
            _ => None,
        };
        Ok(Self {
            id: InvoiceId::from_uuid(row.id),
            account: AccountId::from_uuid(row.account_id),
            subscription: row.subscription_id.map(SubscriptionId::from_uuid),
            order: row.order_id.map(OrderId::from_uuid),
            purpose: Purpose::from_text(&row.purpose).ok_or_else(|| unreadable("invoice", "purpose", &row.purpose))?,
            state: State::from_text(&row.state).ok_or_else(|| unreadable("invoice", "state", &row.state))?,
            number,
            proforma,
            lines: row.lines.0,
            totals: Totals {
                subtotal: money(row.subtotal_minor),
                tax: money(row.tax_minor),
                total: money(row.total_minor),
            },
            snapshot: row.snapshot.0,
            period,
            issued_at: row.issued_at,
            due_at: row.due_at,
            closed_at: row.closed_at,
            reminders_done: row.reminders_done.unsigned_abs(),
            charges_made: row.charges_made.unsigned_abs(),
            carried_at: row.carried_at,
            paid: money(row.paid_minor),
            from_wallet: money(row.wallet_minor),
            refunded: money(row.refunded_minor),
            part,
            parts: Vec::new(),
        })
    }
}

/// Reads invoices, with what settled them; the text says which ones and in which order. What is read stands here, once.
macro_rules! invoices {
    ($which:literal, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT id, account_id, subscription_id, order_id, purpose, state, series, number_year, number_seq, currency,
                      subtotal_minor, tax_minor, total_minor, lines AS "lines: Json<Vec<Line>>",
                      snapshot AS "snapshot: Json<Snapshot>", period_start, period_end, issued_at, due_at, closed_at,
                      reminders_done, charges_made, carried_at, proforma_series, proforma_year, proforma_seq, proforma_at,
                      group_id, part,
                      (SELECT coalesce(sum(a.amount_minor), 0)::bigint FROM allocation a
                        WHERE a.brand_id = i.brand_id AND a.invoice_id = i.id) AS "paid_minor!",
                      (SELECT coalesce(sum(a.amount_minor), 0)::bigint FROM allocation a
                        WHERE a.brand_id = i.brand_id AND a.invoice_id = i.id
                          AND a.source IN ('wallet', 'release')) AS "wallet_minor!",
                      (SELECT coalesce(sum(c.amount_minor), 0)::bigint FROM credit_note c
                        WHERE c.brand_id = i.brand_id AND c.invoice_id = i.id) AS "refunded_minor!"
                 FROM invoice i "# + $which,
            $($argument),+
        )
    };
}

/// Keeps new invoices, in one statement.
pub async fn insert_all(tx: &mut PgTransaction<'_>, brand: BrandId, invoices: &[Invoice]) -> sqlx::Result<()> {
    if invoices.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO invoice (id, brand_id, account_id, subscription_id, order_id, purpose, state, entity_id, series,
                              number_year, number_seq, currency, subtotal_minor, tax_minor, total_minor, lines, snapshot,
                              period_start, period_end, issued_at, due_at, closed_at, reminders_done, charges_made,
                              proforma_series, proforma_year, proforma_seq, proforma_at, carried_at, group_id, part)
         SELECT id, $1, account_id, subscription_id, order_id, purpose, state, entity_id, series,
                number_year, number_seq, currency, subtotal_minor, tax_minor, subtotal_minor + tax_minor, lines, snapshot,
                period_start, period_end, issued_at, due_at, closed_at, reminders_done, charges_made,
                proforma_series, proforma_year, proforma_seq, proforma_at, carried_at, group_id, part
           FROM UNNEST($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::uuid[], $9::text[],
                       $10::integer[], $11::bigint[], $12::text[], $13::bigint[], $14::bigint[], $15::jsonb[], $16::jsonb[],
                       $17::timestamptz[], $18::timestamptz[], $19::timestamptz[], $20::timestamptz[], $21::timestamptz[],
                       $22::integer[], $23::integer[], $24::text[], $25::integer[], $26::bigint[], $27::timestamptz[],
                       $28::timestamptz[], $29::uuid[], $30::integer[])
                AS r (id, account_id, subscription_id, order_id, purpose, state, entity_id, series,
                      number_year, number_seq, currency, subtotal_minor, tax_minor, lines, snapshot,
                      period_start, period_end, issued_at, due_at, closed_at, reminders_done, charges_made,
                      proforma_series, proforma_year, proforma_seq, proforma_at, carried_at, group_id, part)",
        brand.as_uuid(),
        &column(invoices, |invoice| invoice.id.as_uuid()),
        &column(invoices, |invoice| invoice.account.as_uuid()),
        &column(invoices, |invoice| invoice.subscription.map(|id| id.as_uuid())) as _,
        &column(invoices, |invoice| invoice.order.map(|id| id.as_uuid())) as _,
        &column(invoices, |invoice| invoice.purpose.as_str()) as _,
        &column(invoices, |invoice| invoice.state.as_str()) as _,
        &column(invoices, |invoice| invoice.snapshot.seller.id.as_uuid()),
        &column(invoices, |invoice| invoice.number.as_ref().map(|number| number.series.as_str())) as _,
        &column(invoices, |invoice| invoice.number.as_ref().map(|number| number.year)) as _,
        &column(invoices, |invoice| invoice.number.as_ref().map(|number| number.sequence)) as _,
        &column(invoices, |invoice| invoice.totals.total.currency.to_string()),
        &column(invoices, |invoice| invoice.totals.subtotal.minor),
        &column(invoices, |invoice| invoice.totals.tax.minor),
        &column(invoices, |invoice| Json(&invoice.lines)) as _,
        &column(invoices, |invoice| Json(&invoice.snapshot)) as _,
        &column(invoices, |invoice| invoice.period.map(Period::start)) as _,
        &column(invoices, |invoice| invoice.period.map(Period::end)) as _,
        &column(invoices, |invoice| invoice.issued_at) as _,
        &column(invoices, |invoice| invoice.due_at) as _,
        &column(invoices, |invoice| invoice.closed_at) as _,
        &column(invoices, |invoice| signed(invoice.reminders_done)),
        &column(invoices, |invoice| signed(invoice.charges_made)),
        &column(invoices, |invoice| asked(invoice).map(|number| number.series.as_str())) as _,
        &column(invoices, |invoice| asked(invoice).map(|number| number.year)) as _,
        &column(invoices, |invoice| asked(invoice).map(|number| number.sequence)) as _,
        &column(invoices, |invoice| invoice.proforma.as_ref().map(|proforma| proforma.at)) as _,
        &column(invoices, |invoice| invoice.carried_at) as _,
        &column(invoices, |invoice| invoice.part.map(|part| part.group.as_uuid())) as _,
        &column(invoices, |invoice| invoice.part.map(|part| signed(part.number))) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn asked(invoice: &Invoice) -> Option<&Number> {
    invoice.proforma.as_ref()?.number.as_ref()
}

fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Writes state and dunning progress of these invoices; nothing else of an issued invoice ever changes.
pub async fn save_all(tx: &mut PgTransaction<'_>, invoices: &[Invoice]) -> sqlx::Result<()> {
    if invoices.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE invoice SET state = r.state, closed_at = r.closed_at, reminders_done = r.reminders_done,
                            charges_made = r.charges_made, carried_at = r.carried_at
           FROM UNNEST($1::uuid[], $2::text[], $3::timestamptz[], $4::integer[], $5::integer[], $6::timestamptz[])
                AS r (id, state, closed_at, reminders_done, charges_made, carried_at)
          WHERE invoice.id = r.id",
        &column(invoices, |invoice| invoice.id.as_uuid()),
        &column(invoices, |invoice| invoice.state.as_str()) as _,
        &column(invoices, |invoice| invoice.closed_at) as _,
        &column(invoices, |invoice| signed(invoice.reminders_done)),
        &column(invoices, |invoice| signed(invoice.charges_made)),
        &column(invoices, |invoice| invoice.carried_at) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A piece of money that settles an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// What it settles.
    pub invoice: InvoiceId,
    /// `payment`, `wallet`, or `release`: what a withdrawn invoice gives back to the wallet, below zero.
    pub source: &'static str,
    /// Prefixed id of the payment; the invoice's own for the wallet.
    pub source_id: String,
    /// How much.
    pub amount: Money,
    /// When.
    pub at: DateTime<Utc>,
}

/// Adds allocations, in one statement.
pub async fn allocate(tx: &mut PgTransaction<'_>, brand: BrandId, allocations: &[Allocation]) -> sqlx::Result<()> {
    if allocations.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = allocations.iter().map(|_| Uuid::now_v7()).collect();
    let invoices: Vec<Uuid> = allocations.iter().map(|allocation| allocation.invoice.as_uuid()).collect();
    let sources: Vec<String> = allocations.iter().map(|allocation| allocation.source.to_owned()).collect();
    let source_ids: Vec<String> = allocations.iter().map(|allocation| allocation.source_id.clone()).collect();
    let amounts: Vec<i64> = allocations.iter().map(|allocation| allocation.amount.minor).collect();
    let currencies: Vec<String> = allocations.iter().map(|allocation| allocation.amount.currency.to_string()).collect();
    let instants: Vec<DateTime<Utc>> = allocations.iter().map(|allocation| allocation.at).collect();
    sqlx::query!(
        "INSERT INTO allocation (id, brand_id, invoice_id, source, source_id, amount_minor, currency, created_at)
         SELECT id, $1, invoice_id, source, source_id, amount_minor, currency, created_at
           FROM UNNEST($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::timestamptz[])
                AS r (id, invoice_id, source, source_id, amount_minor, currency, created_at)",
        brand.as_uuid(),
        &ids,
        &invoices,
        &sources,
        &source_ids,
        &amounts,
        &currencies,
        &instants,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One invoice.
pub async fn get(tx: &mut PgTransaction<'_>, id: InvoiceId) -> sqlx::Result<Option<Invoice>> {
    let row = invoices!("WHERE id = $1", id.as_uuid()).fetch_optional(&mut **tx).await?;
    row.map(Invoice::try_from).transpose()
}

/// One invoice, locked. Lock its subscription first.
pub async fn lock(tx: &mut PgTransaction<'_>, id: InvoiceId) -> sqlx::Result<Option<Invoice>> {
    // Locked first, read afterwards: allocations committed while waiting for the lock must count.
    sqlx::query!("SELECT id FROM invoice WHERE id = $1 FOR UPDATE", id.as_uuid()).fetch_optional(&mut **tx).await?;
    get(tx, id).await
}

/// Those of these invoices that nothing is left to pay on.
pub async fn closed_of(tx: &mut PgTransaction<'_>, ids: &[InvoiceId]) -> sqlx::Result<Vec<InvoiceId>> {
    let ids: Vec<Uuid> = ids.iter().map(InvoiceId::as_uuid).collect();
    let found = sqlx::query_scalar!("SELECT id FROM invoice WHERE id = ANY($1) AND state = 'closed'", &ids)
        .fetch_all(&mut **tx)
        .await?;
    Ok(found.into_iter().map(InvoiceId::from_uuid).collect())
}

/// The subscription an invoice is for, without locking anything.
pub async fn subscription_of(tx: &mut PgTransaction<'_>, id: InvoiceId) -> sqlx::Result<Option<SubscriptionId>> {
    let found = sqlx::query_scalar!("SELECT subscription_id FROM invoice WHERE id = $1", id.as_uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(found.flatten().map(SubscriptionId::from_uuid))
}

/// The subscription an invoice is for and the consolidated invoice it is a part of, without locking anything; none when there is
/// no such invoice.
pub async fn belongs_to(
    tx: &mut PgTransaction<'_>,
    id: InvoiceId,
) -> sqlx::Result<Option<(Option<SubscriptionId>, Option<InvoiceId>)>> {
    let found = sqlx::query!("SELECT subscription_id, group_id FROM invoice WHERE id = $1", id.as_uuid())
        .fetch_optional(&mut **tx)
        .await?;
    let ids =
        |row: Option<Uuid>, group: Option<Uuid>| (row.map(SubscriptionId::from_uuid), group.map(InvoiceId::from_uuid));
    Ok(found.map(|row| ids(row.subscription_id, row.group_id)))
}

/// The open invoices of these subscriptions, oldest first. Whoever holds the subscriptions' locks keeps them as they are.
pub async fn open_of(tx: &mut PgTransaction<'_>, subscriptions: &[SubscriptionId]) -> sqlx::Result<Vec<Invoice>> {
    let ids: Vec<Uuid> = subscriptions.iter().map(SubscriptionId::as_uuid).collect();
    let rows =
        invoices!("WHERE brand_id = ottery_brand() AND subscription_id = ANY($1) AND state = 'open' ORDER BY id", &ids)
            .fetch_all(&mut **tx)
            .await?;
    rows.into_iter().map(Invoice::try_from).collect()
}

/// Some open invoice of the account in that currency.
pub async fn any_open(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    currency: Currency,
) -> sqlx::Result<Option<Invoice>> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM invoice
          WHERE brand_id = ottery_brand() AND account_id = $1 AND currency = $2 AND state = 'open' ORDER BY id LIMIT 1",
        account.as_uuid(),
        currency.code()
    )
    .fetch_optional(&mut **tx)
    .await?;
    match id {
        Some(id) => get(tx, InvoiceId::from_uuid(id)).await,
        None => Ok(None),
    }
}

/// Invoices, newest first; of one account or subscription when given. Of a consolidated one only the first part, or the part of
/// that subscription.
pub async fn list(
    tx: &mut PgTransaction<'_>,
    account: Option<AccountId>,
    subscription: Option<SubscriptionId>,
    page: Page,
) -> sqlx::Result<Vec<Invoice>> {
    let rows = invoices!(
        "WHERE ($1::uuid IS NULL OR account_id = $1) AND ($2::uuid IS NULL OR subscription_id = $2)
              AND ($2::uuid IS NOT NULL OR part IS NULL OR part = 1)
              AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        account.map(|account| account.as_uuid()),
        subscription.map(|subscription| subscription.as_uuid()),
        page.before,
        page.limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Invoice::try_from).collect()
}

/// Invoices that were issued, newest first: what a customer sees. Of a consolidated one only the first part.
pub async fn list_issued(tx: &mut PgTransaction<'_>, account: AccountId, page: Page) -> sqlx::Result<Vec<Invoice>> {
    let rows = invoices!(
        "WHERE account_id = $1 AND state <> 'draft' AND (part IS NULL OR part = 1)
              AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        account.as_uuid(),
        page.before,
        page.limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Invoice::try_from).collect()
}

/// The parts of these groups, group by group and in their order.
pub async fn parts_of(tx: &mut PgTransaction<'_>, groups: &[InvoiceId]) -> sqlx::Result<Vec<Invoice>> {
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = groups.iter().map(InvoiceId::as_uuid).collect();
    let rows = invoices!("WHERE brand_id = ottery_brand() AND group_id = ANY($1) ORDER BY group_id, part", &ids)
        .fetch_all(&mut **tx)
        .await?;
    rows.into_iter().map(Invoice::try_from).collect()
}

/// The parts of the group that `id` names or is a part of, in their order; empty for an invoice of its own.
pub async fn part_ids(tx: &mut PgTransaction<'_>, id: InvoiceId) -> sqlx::Result<Vec<InvoiceId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM invoice
          WHERE brand_id = ottery_brand()
            AND group_id = coalesce((SELECT group_id FROM invoice WHERE id = $1), $1) ORDER BY part",
        id.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(InvoiceId::from_uuid).collect())
}

/// Writes a draft anew, or what became of it when it was issued; an issued invoice is left alone. The caller holds its lock.
pub async fn write_draft(tx: &mut PgTransaction<'_>, invoice: &Invoice) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE invoice SET state = $2, entity_id = $3, series = $4, number_year = $5, number_seq = $6, subtotal_minor = $7,
                tax_minor = $8, total_minor = $9, lines = $10, snapshot = $11, issued_at = $12, due_at = $13, closed_at = $14,
                proforma_series = $15, proforma_year = $16, proforma_seq = $17, proforma_at = $18
          WHERE id = $1 AND state = 'draft'",
        invoice.id.as_uuid(),
        invoice.state.as_str(),
        invoice.snapshot.seller.id.as_uuid(),
        invoice.number.as_ref().map(|number| number.series.as_str()),
        invoice.number.as_ref().map(|number| number.year),
        invoice.number.as_ref().map(|number| number.sequence),
        invoice.totals.subtotal.minor,
        invoice.totals.tax.minor,
        invoice.totals.total.minor,
        Json(&invoice.lines) as _,
        Json(&invoice.snapshot) as _,
        invoice.issued_at,
        invoice.due_at,
        invoice.closed_at,
        asked(invoice).map(|number| number.series.as_str()),
        asked(invoice).map(|number| number.year),
        asked(invoice).map(|number| number.sequence),
        invoice.proforma.as_ref().map(|proforma| proforma.at),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Throws a draft away; nothing refers to it yet.
pub async fn delete_draft(tx: &mut PgTransaction<'_>, id: InvoiceId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM invoice WHERE id = $1 AND state = 'draft'", id.as_uuid()).execute(&mut **tx).await?;
    Ok(())
}

/// Makes a pro forma an invoice: its number and the day of its issue. The caller holds its lock.
pub async fn issue_proforma(tx: &mut PgTransaction<'_>, invoice: &Invoice) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE invoice SET series = $2, number_year = $3, number_seq = $4, issued_at = $5 WHERE id = $1 AND issued_at IS NULL",
        invoice.id.as_uuid(),
        invoice.number.as_ref().map(|number| number.series.as_str()),
        invoice.number.as_ref().map(|number| number.year),
        invoice.number.as_ref().map(|number| number.sequence),
        invoice.issued_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
