//! What the time machine reads and writes in a copy of a book.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, NaiveDate, Utc};
use ottery_kernel::{AccountId, BrandId, Money, PaymentId, PaymentMethodId, PriceId, SubscriptionId};
use ottery_proto::common::v1::Envelope;
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;
use uuid::Uuid;

use super::{money, unreadable};
use crate::domain::offer::Offer;
use crate::domain::payment::{Decline, DeclineClass, State};
use crate::domain::provider::ProviderAccountId;
use crate::domain::time_machine::entry::{Counts, Entry, Kind};
use crate::provider::assumed::Past;

/// What was there when time began to move, although its instant is that instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Invoices.
    pub invoices: Vec<Uuid>,
    /// Charges.
    pub payments: Vec<Uuid>,
    /// Charges whose outcome was not known; what becomes of them is news.
    pub in_flight: Vec<Uuid>,
    /// Tasks.
    pub tasks: Vec<Uuid>,
}

/// From where on something is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// From this instant on, but for what is [`Known`].
    pub at: DateTime<Utc>,
    /// After this event of the outbox.
    pub event: i64,
}

/// What has that very instant, and which charges are on their way.
pub async fn known(tx: &mut PgTransaction<'_>, at: DateTime<Utc>) -> sqlx::Result<Known> {
    let row = sqlx::query!(
        r#"SELECT ARRAY(SELECT id FROM invoice WHERE brand_id = ottery_brand() AND issued_at = $1) AS "invoices!",
                  ARRAY(SELECT id FROM payment WHERE brand_id = ottery_brand() AND created_at = $1) AS "payments!",
                  ARRAY(SELECT id FROM payment WHERE brand_id = ottery_brand() AND kind = 'saved'
                                                 AND state IN ('requested', 'sent', 'pending', 'unknown')) AS "in_flight!",
                  ARRAY(SELECT id FROM task WHERE brand_id = ottery_brand() AND created_at = $1) AS "tasks!""#,
        at
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Known { invoices: row.invoices, payments: row.payments, in_flight: row.in_flight, tasks: row.tasks })
}

/// Every saved method, with how its last charge ended.
pub async fn pasts(tx: &mut PgTransaction<'_>) -> sqlx::Result<HashMap<PaymentMethodId, Past>> {
    let rows = sqlx::query!(
        r#"SELECT m.id, m.label, last.state AS "state?", last.failure_class AS "failure_class?",
                  last.failure_code AS "failure_code?"
             FROM payment_method m LEFT JOIN (
                  SELECT DISTINCT ON (method_id) method_id, state, failure_class, failure_code FROM payment
                   WHERE brand_id = ottery_brand() AND state IN ('succeeded', 'failed', 'action_required')
                     AND method_id IS NOT NULL
                   ORDER BY method_id, id DESC) AS last ON last.method_id = m.id
            WHERE m.brand_id = ottery_brand()"#
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let last = match (row.state.as_deref(), row.failure_class, row.failure_code) {
                (None, ..) => None,
                (Some("succeeded"), ..) => Some(Ok(())),
                (Some(_), class, code) => {
                    let class = class.unwrap_or_default();
                    let class = DeclineClass::from_text(&class)
                        .ok_or_else(|| unreadable("payment", "failure_class", &class))?;
                    Some(Err(Decline { class, code: code.unwrap_or_default() }))
                }
            };
            Ok((PaymentMethodId::from_uuid(row.id), Past { label: row.label, last }))
        })
        .collect()
}

/// Charges that are on their way.
pub async fn in_flight(tx: &mut PgTransaction<'_>) -> sqlx::Result<HashMap<PaymentId, (PaymentMethodId, Money)>> {
    let rows = sqlx::query!(
        r#"SELECT id, method_id AS "method_id!", amount_minor, currency FROM payment
            WHERE brand_id = ottery_brand() AND kind = 'saved' AND state IN ('requested', 'sent', 'pending', 'unknown')"#
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let amount = money("payment", row.amount_minor, &row.currency)?;
            Ok((PaymentId::from_uuid(row.id), (PaymentMethodId::from_uuid(row.method_id), amount)))
        })
        .collect()
}

/// VAT numbers whose proof stands.
pub async fn valid_numbers(tx: &mut PgTransaction<'_>) -> sqlx::Result<HashSet<String>> {
    let numbers = sqlx::query_scalar!(
        r#"SELECT content->>'vat_number' AS "number!" FROM billing_address
            WHERE brand_id = ottery_brand() AND content->>'vat_number' <> ''
              AND (standing->>'state' = 'valid' OR standing->'before' IS NOT NULL)"#
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(numbers.into_iter().collect())
}

/// Every saved method.
pub async fn method_ids(tx: &mut PgTransaction<'_>) -> sqlx::Result<Vec<PaymentMethodId>> {
    let ids = sqlx::query_scalar!("SELECT id FROM payment_method WHERE brand_id = ottery_brand()")
        .fetch_all(&mut **tx)
        .await?;
    Ok(ids.into_iter().map(PaymentMethodId::from_uuid).collect())
}

/// Gives methods other tokens, in one statement.
pub async fn put_tokens(
    tx: &mut PgTransaction<'_>,
    methods: &[PaymentMethodId],
    tokens: &[Vec<u8>],
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = methods.iter().map(|id| id.as_uuid()).collect();
    sqlx::query!(
        "UPDATE payment_method m SET token_sealed = r.token
           FROM UNNEST($1::uuid[], $2::bytea[]) AS r (id, token)
          WHERE m.brand_id = ottery_brand() AND m.id = r.id",
        &ids,
        tokens
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Gives an account another key.
pub async fn put_api_key(tx: &mut PgTransaction<'_>, id: ProviderAccountId, key: &[u8]) -> sqlx::Result<()> {
    sqlx::query!("UPDATE provider_account SET api_key_sealed = $2 WHERE id = $1", id.as_uuid(), key)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Nobody else works on the copy: what others had claimed is free, calls that wait are made at once, and pages on which
/// somebody may pay are not looked at, because nobody will.
pub async fn ready(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE due SET lease_until = '-infinity' WHERE brand_id = $1", brand.as_uuid())
        .execute(&mut **tx)
        .await?;
    sqlx::query!(
        "DELETE FROM errand WHERE brand_id = $1 AND kind = 'payment' AND id IN (
             SELECT id FROM payment WHERE brand_id = $1 AND kind = 'hosted')",
        brand.as_uuid()
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("UPDATE errand SET due_at = now(), lease_until = '-infinity' WHERE brand_id = $1", brand.as_uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The offer of somebody who has this price.
pub async fn offer_of_price(tx: &mut PgTransaction<'_>, price: PriceId) -> sqlx::Result<Option<Offer>> {
    let offer = sqlx::query_scalar!(
        r#"SELECT offer AS "offer: Json<Offer>" FROM subscription
            WHERE brand_id = ottery_brand() AND state NOT IN ('pending', 'ended') AND offer->>'price_id' = $1
            ORDER BY id LIMIT 1"#,
        price.to_string()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(offer.map(|offer| offer.0))
}

/// When the first subscription or credit of the brand is due, and on which day revenue becomes so next. That the workers look
/// for days more often than one begins is no reason to stop there.
pub async fn next_due(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
) -> sqlx::Result<(Option<DateTime<Utc>>, Option<NaiveDate>)> {
    let row = sqlx::query!(
        "SELECT least((SELECT min(due_at) FROM due WHERE brand_id = $1 AND due_at < 'infinity'),
                      (SELECT min(due_at) FROM wallet_credit_due WHERE brand_id = $1),
                      (SELECT min(due_at) FROM top_up_due WHERE brand_id = $1),
                      (SELECT min(due_at) FROM gift_due WHERE brand_id = $1),
                      (SELECT min(due_at) FROM method_expiry WHERE brand_id = $1 AND due_at < 'infinity')) AS at,
                (SELECT min(next_day) FROM deferral WHERE brand_id = $1) AS day",
        brand.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok((row.at, row.day))
}

/// What an invoice is about, whatever its id: `sub_… renewal 2026-11-26T…`.
fn about(subscription: Option<Uuid>, invoice: Uuid, purpose: &str, period: Option<DateTime<Utc>>) -> String {
    let subject = match subscription {
        Some(id) => SubscriptionId::from_uuid(id).to_string(),
        None => invoice.simple().to_string(),
    };
    match period {
        Some(period) => format!("{subject} {purpose} {}", period.to_rfc3339()),
        None => format!("{subject} {purpose}"),
    }
}

/// Invoices that were issued, as they are now.
pub async fn invoices(tx: &mut PgTransaction<'_>, known: &Known, since: DateTime<Utc>) -> sqlx::Result<Vec<Entry>> {
    let rows = sqlx::query!(
        r#"SELECT id, subscription_id, account_id, purpose, state, total_minor, currency, period_start,
                  issued_at AS "issued_at!", coalesce(snapshot->'offer'->>'plan_name', '') AS "plan_name!"
             FROM invoice
            WHERE brand_id = ottery_brand() AND issued_at >= $1 AND id <> ALL($2) ORDER BY id"#,
        since,
        &known.invoices
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut counts = Counts::default();
    rows.into_iter()
        .map(|row| {
            let about = about(row.subscription_id, row.id, &row.purpose, row.period_start);
            Ok(Entry {
                kind: Kind::Invoice,
                key: counts.next(&about),
                at: row.issued_at,
                subscription: row.subscription_id.map(SubscriptionId::from_uuid),
                account: Some(AccountId::from_uuid(row.account_id)),
                amount: Some(money("invoice", row.total_minor, &row.currency)?),
                outcome: row.state,
                label: row.plan_name,
            })
        })
        .collect()
}

/// Charges of saved methods that were asked for or decided, as they are now.
pub async fn charges(tx: &mut PgTransaction<'_>, known: &Known, since: DateTime<Utc>) -> sqlx::Result<Vec<Entry>> {
    let rows = sqlx::query!(
        r#"SELECT p.invoice_id, p.subscription_id, p.account_id, p.state, p.failure_class, p.amount_minor, p.currency,
                  p.method_label, p.created_at, i.purpose, i.period_start
             FROM payment p JOIN invoice i ON i.brand_id = p.brand_id AND i.id = p.invoice_id
            WHERE p.brand_id = ottery_brand() AND p.kind = 'saved'
              AND (p.created_at >= $1 AND p.id <> ALL($2) OR p.id = ANY($3)) ORDER BY p.id"#,
        since,
        &known.payments,
        &known.in_flight
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut counts = Counts::default();
    rows.into_iter()
        .map(|row| {
            let state = State::from_text(&row.state).ok_or_else(|| unreadable("payment", "state", &row.state))?;
            let about = about(row.subscription_id, row.invoice_id, &row.purpose, row.period_start);
            let outcome = match state {
                State::Failed => format!("declined_{}", row.failure_class),
                State::ActionRequired => "must_confirm".to_owned(),
                state => state.to_string(),
            };
            Ok(Entry {
                kind: Kind::Charge,
                key: counts.next(&about),
                at: row.created_at,
                subscription: row.subscription_id.map(SubscriptionId::from_uuid),
                account: Some(AccountId::from_uuid(row.account_id)),
                amount: Some(money("payment", row.amount_minor, &row.currency)?),
                outcome,
                label: row.method_label,
            })
        })
        .collect()
}

/// Tasks that were opened, whether or not they still are.
pub async fn tasks(tx: &mut PgTransaction<'_>, known: &Known, since: DateTime<Utc>) -> sqlx::Result<Vec<Entry>> {
    let rows = sqlx::query!(
        "SELECT kind, reference_id, summary, created_at FROM task
          WHERE brand_id = ottery_brand() AND created_at >= $1 AND id <> ALL($2) ORDER BY id",
        since,
        &known.tasks
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut counts = Counts::default();
    Ok(rows
        .into_iter()
        .map(|row| Entry {
            kind: Kind::Task,
            key: counts.next(&matter(&row.kind, &row.reference_id)),
            at: row.created_at,
            subscription: row.reference_id.parse().ok(),
            account: row.reference_id.parse().ok(),
            amount: None,
            outcome: row.kind,
            label: row.summary,
        })
        .collect())
}

/// What a task is about, if that has the same name in every run.
fn matter(kind: &str, reference: &str) -> String {
    let is_lasting = ["sub_", "acc_", "brd_"].iter().any(|prefix| reference.starts_with(prefix));
    if is_lasting { format!("{kind} {reference}") } else { kind.to_owned() }
}

/// A page of what would be told, with its place in the outbox.
pub async fn events(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<(i64, Envelope)>> {
    let rows = sqlx::query!(
        "SELECT seq, event_id, kind, aggregate_id, aggregate_version, occurred_at, payload FROM outbox
          WHERE seq > $1 AND brand_id = $2 ORDER BY seq LIMIT $3",
        after,
        brand.as_uuid(),
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let event = Envelope {
                event_id: row.event_id.to_string(),
                r#type: row.kind,
                aggregate_id: row.aggregate_id,
                aggregate_version: row.aggregate_version,
                brand_id: brand.to_string(),
                occurred_at: Some(crate::contract::timestamp(row.occurred_at)),
                payload: row.payload,
                ..Envelope::default()
            };
            (row.seq, event)
        })
        .collect())
}
