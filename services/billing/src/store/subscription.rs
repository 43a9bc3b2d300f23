//! Subscriptions.

use chrono::{DateTime, Utc};
use ottery_kernel::{
    AccountId, BillingAnchor, BrandId, OrderId, PaymentMethodId, Period, PlanVersionId, SubscriptionId,
};
use serde::Serialize;
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Page, column, json_rows, unreadable};
use crate::domain::calendar::Calendar;
use crate::domain::coupon::Discounts;
use crate::domain::offer::Offer;
use crate::domain::subscription::{Method, State, Subscription};

/// A row; its serialised form is what PostgreSQL turns back into one.
#[derive(Serialize)]
struct Row {
    id: Uuid,
    brand_id: Uuid,
    account_id: Uuid,
    order_id: Uuid,
    state: String,
    cause: Option<String>,
    state_since: DateTime<Utc>,
    grace_until: Option<DateTime<Utc>>,
    offer: Json<Offer>,
    next_offer: Option<Json<Offer>>,
    trial: bool,
    setup_due: bool,
    anchor: Option<Json<BillingAnchor>>,
    periods_paid: i32,
    calendar: Option<Json<Calendar>>,
    period_start: Option<DateTime<Utc>>,
    period_end: Option<DateTime<Utc>>,
    paid_through: Option<DateTime<Utc>>,
    cancel_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    payment_method_id: Option<Uuid>,
    payment_method_label: String,
    version: i64,
    entitlement_version: i64,
    discounts: Option<Json<Discounts>>,
}

impl Row {
    fn of(brand: BrandId, subscription: &Subscription) -> Self {
        let state = subscription.state;
        Self {
            id: subscription.id.as_uuid(),
            brand_id: brand.as_uuid(),
            account_id: subscription.account.as_uuid(),
            order_id: subscription.order.as_uuid(),
            state: state.as_str().to_owned(),
            cause: state.cause_str().map(str::to_owned),
            state_since: subscription.since,
            grace_until: state.grace_until(),
            offer: Json(subscription.offer.clone()),
            next_offer: subscription.next_offer.clone().map(Json),
            trial: subscription.is_trial,
            setup_due: subscription.is_setup_due,
            anchor: subscription.anchor.map(Json),
            periods_paid: i32::try_from(subscription.periods_paid).unwrap_or(i32::MAX),
            calendar: Some(Json(subscription.calendar.clone())),
            period_start: subscription.period.map(Period::start),
            period_end: subscription.period.map(Period::end),
            paid_through: subscription.paid_through,
            cancel_at: subscription.cancel_at,
            created_at: subscription.created_at,
            ended_at: subscription.ended_at,
            payment_method_id: subscription.method.as_ref().map(|method| method.id.as_uuid()),
            payment_method_label: subscription.method.as_ref().map(|method| method.label.clone()).unwrap_or_default(),
            version: i64::try_from(subscription.version).unwrap_or(i64::MAX),
            entitlement_version: i64::try_from(subscription.entitlement_version).unwrap_or(i64::MAX),
            discounts: (!subscription.discounts.is_empty()).then(|| Json(subscription.discounts.clone())),
        }
    }
}

impl TryFrom<Row> for Subscription {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let state = State::from_columns(&row.state, row.cause.as_deref(), row.grace_until)
            .ok_or_else(|| unreadable("subscription", "state", &row.state))?;
        let period = match (row.period_start, row.period_end) {
            (Some(start), Some(end)) => {
                Some(Period::try_new(start, end).map_err(|error| unreadable("subscription", "period", error))?)
            }
            _ => None,
        };
        let mut calendar = row.calendar.map(|calendar| calendar.0).unwrap_or_default();
        // Before the first payment nothing is paid, whatever the dates of a trial say.
        if row.periods_paid > 0 {
            calendar = calendar.restored(period, row.paid_through, row.trial && row.periods_paid == 1);
        }
        Ok(Self {
            id: SubscriptionId::from_uuid(row.id),
            account: AccountId::from_uuid(row.account_id),
            order: OrderId::from_uuid(row.order_id),
            state,
            since: row.state_since,
            offer: row.offer.0,
            next_offer: row.next_offer.map(|offer| offer.0),
            discounts: row.discounts.map(|discounts| discounts.0).unwrap_or_default(),
            is_trial: row.trial,
            is_setup_due: row.setup_due,
            anchor: row.anchor.map(|anchor| anchor.0),
            periods_paid: row.periods_paid.unsigned_abs(),
            calendar,
            period,
            paid_through: row.paid_through,
            cancel_at: row.cancel_at,
            created_at: row.created_at,
            ended_at: row.ended_at,
            method: row
                .payment_method_id
                .map(|id| Method { id: PaymentMethodId::from_uuid(id), label: row.payment_method_label }),
            version: row.version.unsigned_abs(),
            entitlement_version: row.entitlement_version.unsigned_abs(),
        })
    }
}

/// Keeps a new subscription.
pub async fn insert(tx: &mut PgTransaction<'_>, brand: BrandId, subscription: &Subscription) -> sqlx::Result<()> {
    let rows = json_rows(&[Row::of(brand, subscription)])?;
    sqlx::query!("INSERT INTO subscription SELECT * FROM jsonb_populate_recordset(NULL::subscription, $1)", rows)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Writes what may have changed in these subscriptions, in one statement. The caller holds their locks.
pub async fn save_all(tx: &mut PgTransaction<'_>, brand: BrandId, subscriptions: &[Subscription]) -> sqlx::Result<()> {
    if subscriptions.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = subscriptions.iter().map(|subscription| Row::of(brand, subscription)).collect();
    sqlx::query!(
        "UPDATE subscription AS s SET
                account_id = r.account_id, state = r.state, cause = r.cause, state_since = r.state_since, grace_until = r.grace_until,
                offer = r.offer, next_offer = r.next_offer, setup_due = r.setup_due, anchor = r.anchor,
                periods_paid = r.periods_paid, calendar = r.calendar, period_start = r.period_start, period_end = r.period_end,
                paid_through = r.paid_through, cancel_at = r.cancel_at, ended_at = r.ended_at,
                payment_method_id = r.payment_method_id, payment_method_label = r.payment_method_label,
                version = r.version, entitlement_version = r.entitlement_version, discounts = r.discounts
           FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::jsonb[], $8::jsonb[],
                       $9::boolean[], $10::jsonb[], $11::integer[], $12::jsonb[], $13::timestamptz[], $14::timestamptz[],
                       $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::uuid[], $19::text[], $20::bigint[],
                       $21::bigint[], $22::jsonb[])
                AS r (id, account_id, state, cause, state_since, grace_until, offer, next_offer, setup_due, anchor, periods_paid,
                      calendar, period_start, period_end, paid_through, cancel_at, ended_at, payment_method_id,
                      payment_method_label, version, entitlement_version, discounts)
          WHERE s.id = r.id",
        &column(&rows, |row| row.id),
        &column(&rows, |row| row.account_id),
        &column(&rows, |row| row.state.as_str()) as _,
        &column(&rows, |row| row.cause.as_deref()) as _,
        &column(&rows, |row| row.state_since),
        &column(&rows, |row| row.grace_until) as _,
        &column(&rows, |row| &row.offer) as _,
        &column(&rows, |row| row.next_offer.as_ref()) as _,
        &column(&rows, |row| row.setup_due),
        &column(&rows, |row| row.anchor.as_ref()) as _,
        &column(&rows, |row| row.periods_paid),
        &column(&rows, |row| row.calendar.as_ref()) as _,
        &column(&rows, |row| row.period_start) as _,
        &column(&rows, |row| row.period_end) as _,
        &column(&rows, |row| row.paid_through) as _,
        &column(&rows, |row| row.cancel_at) as _,
        &column(&rows, |row| row.ended_at) as _,
        &column(&rows, |row| row.payment_method_id) as _,
        &column(&rows, |row| row.payment_method_label.as_str()) as _,
        &column(&rows, |row| row.version),
        &column(&rows, |row| row.entitlement_version),
        &column(&rows, |row| row.discounts.as_ref()) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One subscription.
pub async fn get(tx: &mut PgTransaction<'_>, id: SubscriptionId) -> sqlx::Result<Option<Subscription>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, brand_id, account_id, order_id, state, cause, state_since, grace_until, offer AS "offer: Json<Offer>",
                  next_offer AS "next_offer: Json<Offer>", trial, setup_due, anchor AS "anchor: Json<BillingAnchor>",
                  periods_paid, calendar AS "calendar: Json<Calendar>", period_start, period_end, paid_through, cancel_at, created_at, ended_at,
                  payment_method_id, payment_method_label, version, entitlement_version,
                  discounts AS "discounts: Json<Discounts>"
             FROM subscription WHERE id = $1"#,
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Subscription::try_from).transpose()
}

/// One subscription, locked.
pub async fn lock(tx: &mut PgTransaction<'_>, id: SubscriptionId) -> sqlx::Result<Option<Subscription>> {
    Ok(lock_all(tx, &[id]).await?.pop())
}

/// These subscriptions, locked in the order of their ids.
pub async fn lock_all(tx: &mut PgTransaction<'_>, ids: &[SubscriptionId]) -> sqlx::Result<Vec<Subscription>> {
    let ids: Vec<Uuid> = ids.iter().map(SubscriptionId::as_uuid).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, brand_id, account_id, order_id, state, cause, state_since, grace_until, offer AS "offer: Json<Offer>",
                  next_offer AS "next_offer: Json<Offer>", trial, setup_due, anchor AS "anchor: Json<BillingAnchor>",
                  periods_paid, calendar AS "calendar: Json<Calendar>", period_start, period_end, paid_through, cancel_at, created_at, ended_at,
                  payment_method_id, payment_method_label, version, entitlement_version,
                  discounts AS "discounts: Json<Discounts>"
             FROM subscription WHERE id = ANY($1) ORDER BY id FOR UPDATE"#,
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Subscription::try_from).collect()
}

/// What a customer has that is charged to a method and is not over; nothing is locked.
pub async fn charged_to(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    method: PaymentMethodId,
) -> sqlx::Result<Vec<Subscription>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, brand_id, account_id, order_id, state, cause, state_since, grace_until, offer AS "offer: Json<Offer>",
                  next_offer AS "next_offer: Json<Offer>", trial, setup_due, anchor AS "anchor: Json<BillingAnchor>",
                  periods_paid, calendar AS "calendar: Json<Calendar>", period_start, period_end, paid_through, cancel_at, created_at, ended_at,
                  payment_method_id, payment_method_label, version, entitlement_version,
                  discounts AS "discounts: Json<Discounts>"
             FROM subscription
            WHERE brand_id = ottery_brand() AND account_id = $1 AND payment_method_id = $2 AND state <> 'ended' ORDER BY id"#,
        account.as_uuid(),
        method.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Subscription::try_from).collect()
}

/// What runs of the customers of these subscriptions, and these, by id; nothing is locked.
pub async fn of_same_customers(
    tx: &mut PgTransaction<'_>,
    ids: &[SubscriptionId],
) -> sqlx::Result<Vec<SubscriptionId>> {
    let ids: Vec<Uuid> = ids.iter().map(SubscriptionId::as_uuid).collect();
    let found = sqlx::query_scalar!(
        "SELECT id FROM subscription
          WHERE brand_id = ottery_brand() AND account_id = ANY (ARRAY(SELECT account_id FROM subscription WHERE id = ANY($1)))
            AND (state <> 'ended' OR id = ANY($1))
          ORDER BY id",
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(found.into_iter().map(SubscriptionId::from_uuid).collect())
}

/// Subscriptions, newest first; of one account when given.
pub async fn list(
    tx: &mut PgTransaction<'_>,
    account: Option<AccountId>,
    page: Page,
) -> sqlx::Result<Vec<Subscription>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, brand_id, account_id, order_id, state, cause, state_since, grace_until, offer AS "offer: Json<Offer>",
                  next_offer AS "next_offer: Json<Offer>", trial, setup_due, anchor AS "anchor: Json<BillingAnchor>",
                  periods_paid, calendar AS "calendar: Json<Calendar>", period_start, period_end, paid_through, cancel_at, created_at, ended_at,
                  payment_method_id, payment_method_label, version, entitlement_version,
                  discounts AS "discounts: Json<Discounts>"
             FROM subscription
            WHERE ($1::uuid IS NULL OR account_id = $1) AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3"#,
        account.map(|account| account.as_uuid()),
        page.before,
        page.limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Subscription::try_from).collect()
}

/// Who may have another price than that of today.
#[derive(Clone, Copy, Debug)]
pub struct Among<'a> {
    /// Only with this version of the plan; none: any.
    pub version: Option<PlanVersionId>,
    /// Only these; empty: all.
    pub only: &'a [SubscriptionId],
    /// Also those that were promised to keep their price.
    pub with_promised: bool,
}

/// Live subscriptions with another price of the offer's plan, term and currency that have not heard of this one, oldest
/// first.
pub async fn with_older_price(
    tx: &mut PgTransaction<'_>,
    offer: &Offer,
    among: Among<'_>,
    limit: i64,
) -> sqlx::Result<Vec<SubscriptionId>> {
    let term = serde_json::to_value(offer.term).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let ids = sqlx::query_scalar!(
        r#"SELECT id FROM subscription
            WHERE brand_id = ottery_brand() AND state NOT IN ('pending', 'ended')
              AND offer->>'plan_id' = $1 AND offer->>'price_id' <> $2 AND offer->'term' = $3
              AND offer->'price'->>'currency' = $4
              AND ($6 OR NOT coalesce((calendar->>'keeps_price')::boolean, false))
              AND ($7::text IS NULL OR offer->>'plan_version_id' = $7)
              AND (cardinality($8::uuid[]) = 0 OR id = ANY($8))
              AND coalesce(calendar->'price_change'->'offer'->>'price_id', '') <> $2
            ORDER BY id LIMIT $5"#,
        offer.plan_id.to_string(),
        offer.price_id.to_string(),
        term,
        offer.price.currency.code(),
        limit,
        among.with_promised,
        among.version.map(|version| version.to_string()),
        &among.only.iter().map(SubscriptionId::as_uuid).collect::<Vec<_>>()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(SubscriptionId::from_uuid).collect())
}

/// Whether the account ever had a trial, or staff have to look at the order of one.
pub async fn had_trial(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM subscription WHERE brand_id = ottery_brand() AND account_id = $1 AND trial
               AND (state = 'pending' OR paid_through IS NOT NULL)) AS "had!""#,
        account.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await
}
