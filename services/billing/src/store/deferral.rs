//! Money that was paid for time that has not passed.

use chrono::{DateTime, NaiveDate, Utc};
use ottery_kernel::{BrandId, Currency, EntityId, InvoiceId, Money, SubscriptionId};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::{currency, money};
use crate::domain::deferral::{Deferral, Spread};

struct Row {
    id: Uuid,
    entity_id: Uuid,
    subscription_id: Uuid,
    invoice_id: Uuid,
    currency: String,
    amount_minor: i64,
    recognised_minor: i64,
    taken_minor: i64,
    rest_minor: i64,
    rest_first: NaiveDate,
    rest_days: i32,
    rest_done: i32,
    paused_on: Option<NaiveDate>,
}

impl TryFrom<Row> for Deferral {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let currency = currency("deferral", &row.currency)?;
        let money = |minor| Money::new(minor, currency);
        Ok(Self {
            id: row.id,
            entity: EntityId::from_uuid(row.entity_id),
            subscription: SubscriptionId::from_uuid(row.subscription_id),
            invoice: InvoiceId::from_uuid(row.invoice_id),
            amount: money(row.amount_minor),
            recognised: money(row.recognised_minor),
            taken: money(row.taken_minor),
            spread: Spread {
                amount: money(row.rest_minor),
                first: row.rest_first,
                days: row.rest_days.unsigned_abs(),
                done: row.rest_done.unsigned_abs(),
            },
            paused_on: row.paused_on,
        })
    }
}

fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Keeps new ones, in one statement.
pub async fn insert_all(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    deferrals: &[Deferral],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if deferrals.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = deferrals.iter().map(|one| one.id).collect();
    let entities: Vec<Uuid> = deferrals.iter().map(|one| one.entity.as_uuid()).collect();
    let subscriptions: Vec<Uuid> = deferrals.iter().map(|one| one.subscription.as_uuid()).collect();
    let invoices: Vec<Uuid> = deferrals.iter().map(|one| one.invoice.as_uuid()).collect();
    let currencies: Vec<String> = deferrals.iter().map(|one| one.amount.currency.to_string()).collect();
    let amounts: Vec<i64> = deferrals.iter().map(|one| one.amount.minor).collect();
    let firsts: Vec<NaiveDate> = deferrals.iter().map(|one| one.spread.first).collect();
    let days: Vec<i32> = deferrals.iter().map(|one| signed(one.spread.days)).collect();
    sqlx::query!(
        "INSERT INTO deferral (id, brand_id, entity_id, subscription_id, invoice_id, currency, amount_minor, created_at,
                               rest_minor, rest_first, rest_days, rest_done, next_day)
         SELECT id, $1, entity_id, subscription_id, invoice_id, currency, amount_minor, $2,
                amount_minor, rest_first, rest_days, 0, rest_first
           FROM UNNEST($3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::bigint[], $9::date[], $10::integer[])
                AS r (id, entity_id, subscription_id, invoice_id, currency, amount_minor, rest_first, rest_days)",
        brand.as_uuid(),
        now,
        &ids,
        &entities,
        &subscriptions,
        &invoices,
        &currencies,
        &amounts,
        &firsts,
        &days,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes how these stand now, in one statement.
pub async fn save_all(tx: &mut PgTransaction<'_>, deferrals: &[Deferral]) -> sqlx::Result<()> {
    if deferrals.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = deferrals.iter().map(|one| one.id).collect();
    let recognised: Vec<i64> = deferrals.iter().map(|one| one.recognised.minor).collect();
    let taken: Vec<i64> = deferrals.iter().map(|one| one.taken.minor).collect();
    let rests: Vec<i64> = deferrals.iter().map(|one| one.spread.amount.minor).collect();
    let firsts: Vec<NaiveDate> = deferrals.iter().map(|one| one.spread.first).collect();
    let days: Vec<i32> = deferrals.iter().map(|one| signed(one.spread.days)).collect();
    let done: Vec<i32> = deferrals.iter().map(|one| signed(one.spread.done)).collect();
    let paused: Vec<Option<NaiveDate>> = deferrals.iter().map(|one| one.paused_on).collect();
    let next: Vec<Option<NaiveDate>> = deferrals.iter().map(Deferral::next_day).collect();
    sqlx::query!(
        "UPDATE deferral SET recognised_minor = r.recognised_minor, taken_minor = r.taken_minor, rest_minor = r.rest_minor,
                             rest_first = r.rest_first, rest_days = r.rest_days, rest_done = r.rest_done,
                             paused_on = r.paused_on, next_day = r.next_day
           FROM UNNEST($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::date[], $6::integer[], $7::integer[],
                       $8::date[], $9::date[])
                AS r (id, recognised_minor, taken_minor, rest_minor, rest_first, rest_days, rest_done, paused_on, next_day)
          WHERE deferral.id = r.id",
        &ids,
        &recognised,
        &taken,
        &rests,
        &firsts,
        &days,
        &done,
        &paused as _,
        &next as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Those of these subscriptions of which something is left, locked, oldest first.
pub async fn lock_of(tx: &mut PgTransaction<'_>, subscriptions: &[SubscriptionId]) -> sqlx::Result<Vec<Deferral>> {
    let ids: Vec<Uuid> = subscriptions.iter().map(SubscriptionId::as_uuid).collect();
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, entity_id, subscription_id, invoice_id, currency, amount_minor, recognised_minor, taken_minor, rest_minor,
                rest_first, rest_days, rest_done, paused_on
           FROM deferral
          WHERE brand_id = ottery_brand() AND subscription_id = ANY($1) AND amount_minor > recognised_minor + taken_minor
          ORDER BY id FOR UPDATE",
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Deferral::try_from).collect()
}

/// That of an invoice, locked.
pub async fn lock_of_invoice(tx: &mut PgTransaction<'_>, invoice: InvoiceId) -> sqlx::Result<Option<Deferral>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, entity_id, subscription_id, invoice_id, currency, amount_minor, recognised_minor, taken_minor, rest_minor,
                rest_first, rest_days, rest_done, paused_on
           FROM deferral WHERE brand_id = ottery_brand() AND invoice_id = $1 FOR UPDATE",
        invoice.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Deferral::try_from).transpose()
}

/// Those with a day that has begun on `today`, locked; what others work on is skipped.
pub async fn claim_due(tx: &mut PgTransaction<'_>, today: NaiveDate, limit: i64) -> sqlx::Result<Vec<Deferral>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, entity_id, subscription_id, invoice_id, currency, amount_minor, recognised_minor, taken_minor, rest_minor,
                rest_first, rest_days, rest_done, paused_on
           FROM deferral WHERE brand_id = ottery_brand() AND next_day <= $1
          ORDER BY next_day, id LIMIT $2 FOR UPDATE SKIP LOCKED",
        today,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Deferral::try_from).collect()
}

/// Whether any waits for a day that has begun on `today`, claimed or not.
pub async fn has_due(tx: &mut PgTransaction<'_>, today: NaiveDate) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM deferral WHERE brand_id = ottery_brand() AND next_day <= $1) AS "due!""#,
        today
    )
    .fetch_one(&mut **tx)
    .await
}

/// The brand has something to recognise from `at` on. Writes only when nothing earlier is planned, so that buyers do not
/// queue for the brand's row. Until the transaction ends nobody lets the brand [rest](may_rest): what it adds cannot be seen yet.
pub async fn plan(tx: &mut PgTransaction<'_>, brand: BrandId, at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock_shared(hashtextextended('recognition ' || $1::uuid::text, 0)) AS "held!: ()""#,
        brand.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await?;
    sqlx::query!(
        "INSERT INTO recognition_due AS due (brand_id, due_at)
         SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM recognition_due WHERE brand_id = $1 AND due_at <= $2)
         ON CONFLICT (brand_id) DO UPDATE SET due_at = least(due.due_at, EXCLUDED.due_at)",
        brand.as_uuid(),
        at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether nobody is adding anything to recognise; nobody [plans](plan) before the transaction ends. Ask before looking whether
/// something is due: what is added afterwards is planned after the brand was sent to rest, and wakes it.
pub async fn may_rest(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(hashtextextended('recognition ' || $1::uuid::text, 0)) AS "locked!""#,
        brand.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await
}

/// The brand is looked at again at `at`.
pub async fn replan(tx: &mut PgTransaction<'_>, brand: BrandId, at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("UPDATE recognition_due SET due_at = $2 WHERE brand_id = $1", brand.as_uuid(), at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Brands with something to recognise by their clock; `now` is the time of brands without a test clock.
pub async fn due_brands(pool: &PgPool, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<BrandId>> {
    let brands = sqlx::query_scalar!(
        "SELECT due.brand_id FROM recognition_due due LEFT JOIN brand_clock clock USING (brand_id)
          WHERE due.due_at <= coalesce(clock.now, $1) ORDER BY due.due_at LIMIT $2",
        now,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(brands.into_iter().map(BrandId::from_uuid).collect())
}

/// Whether the brand has something to recognise at `now`.
pub async fn is_due(pool: &PgPool, brand: BrandId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM recognition_due WHERE brand_id = $1 AND due_at <= $2) AS "due!""#,
        brand.as_uuid(),
        now
    )
    .fetch_one(pool)
    .await
}

/// What a day's passing made revenue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// Its row; its transfer names it as `rec_…`.
    pub id: Uuid,
    /// In whose books.
    pub entity: EntityId,
    /// The day.
    pub day: NaiveDate,
    /// How much.
    pub amount: Money,
}

/// Writes what days made revenue, in one statement.
pub async fn record(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    recognised: &[Recognised],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = recognised.iter().map(|one| one.id).collect();
    let entities: Vec<Uuid> = recognised.iter().map(|one| one.entity.as_uuid()).collect();
    let days: Vec<NaiveDate> = recognised.iter().map(|one| one.day).collect();
    let amounts: Vec<i64> = recognised.iter().map(|one| one.amount.minor).collect();
    let currencies: Vec<String> = recognised.iter().map(|one| one.amount.currency.to_string()).collect();
    sqlx::query!(
        "INSERT INTO recognition (id, brand_id, entity_id, day, amount_minor, currency, booked_at)
         SELECT id, $1, entity_id, day, amount_minor, currency, $2
           FROM UNNEST($3::uuid[], $4::uuid[], $5::date[], $6::bigint[], $7::text[])
                AS r (id, entity_id, day, amount_minor, currency)",
        brand.as_uuid(),
        now,
        &ids,
        &entities,
        &days,
        &amounts,
        &currencies,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What became revenue by day and currency from `from` through `to`.
pub async fn recognised(
    tx: &mut PgTransaction<'_>,
    from: NaiveDate,
    to: NaiveDate,
) -> sqlx::Result<Vec<(NaiveDate, Money)>> {
    let rows = sqlx::query!(
        r#"SELECT day, currency, sum(amount_minor)::bigint AS "amount!" FROM recognition
            WHERE brand_id = ottery_brand() AND day BETWEEN $1 AND $2 GROUP BY day, currency ORDER BY day, currency"#,
        from,
        to
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(|row| Ok((row.day, money("recognition", row.amount, &row.currency)?))).collect()
}

/// Equal rests: many customers of a plan pay the same on the same day.
#[derive(Clone, Copy, Debug)]
pub struct Rests {
    /// How each is spread.
    pub spread: Spread,
    /// How many there are.
    pub count: i64,
    /// Whether time stands still for them.
    pub is_paused: bool,
}

/// Everything that is left to recognise, equal rests together.
pub async fn rests(tx: &mut PgTransaction<'_>) -> sqlx::Result<Vec<Rests>> {
    let rows = sqlx::query!(
        r#"SELECT currency, rest_minor, rest_first, rest_days, rest_done, paused_on IS NOT NULL AS "is_paused!",
                  count(*) AS "count!"
             FROM deferral WHERE brand_id = ottery_brand() AND amount_minor > recognised_minor + taken_minor
            GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 3, 4, 5, 2, 6"#
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let spread = Spread {
                amount: money("deferral", row.rest_minor, &row.currency)?,
                first: row.rest_first,
                days: row.rest_days.unsigned_abs(),
                done: row.rest_done.unsigned_abs(),
            };
            Ok(Rests { spread, count: row.count, is_paused: row.is_paused })
        })
        .collect()
}

/// What is left of deferrals by currency, and what the books say of the account.
pub async fn balances(tx: &mut PgTransaction<'_>) -> sqlx::Result<Vec<(Currency, i64, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT currency AS "currency!", sum(rest)::bigint AS "rest!", sum(booked)::bigint AS "booked!" FROM (
               SELECT currency, amount_minor - recognised_minor - taken_minor AS rest, 0 AS booked FROM deferral
                WHERE brand_id = ottery_brand()
               UNION ALL SELECT currency, 0, amount_minor FROM transfer
                WHERE brand_id = ottery_brand() AND credit = 'deferred' AND state = 'posted'
               UNION ALL SELECT currency, 0, -amount_minor FROM transfer
                WHERE brand_id = ottery_brand() AND debit = 'deferred' AND state = 'posted') AS sides
            GROUP BY currency ORDER BY currency"#
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(|row| Ok((currency("deferral", &row.currency)?, row.rest, row.booked))).collect()
}
