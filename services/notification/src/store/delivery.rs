//! Mails. Their bodies are not here.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, DeliveryId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::delivery::State;
use crate::domain::mail::Params;
use crate::store::due::Claim;

/// A mail.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Identity.
    pub id: DeliveryId,
    /// Whose.
    pub brand: BrandId,
    /// Name of its template.
    pub template: String,
    /// The event it tells of.
    pub event: Uuid,
    /// Address.
    pub recipient: String,
    /// Wanted language.
    pub locale: String,
    /// What it is filled with.
    pub params: Params,
    /// As it was sent.
    pub subject: String,
    /// `<…@host>`; empty before the first attempt.
    pub message_id: String,
    /// Where it is.
    pub state: State,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was not sent.
    pub last_error: String,
    /// Grows with every event.
    pub version: i64,
    /// When it was planned, by the brand's clock.
    pub created_at: DateTime<Utc>,
    /// When the server took it.
    pub sent_at: Option<DateTime<Utc>>,
}

struct Row {
    id: Uuid,
    brand_id: Uuid,
    template: String,
    event_id: Uuid,
    recipient: String,
    locale: String,
    params: serde_json::Value,
    subject: String,
    message_id: String,
    state: String,
    attempts: i32,
    last_error: String,
    version: i64,
    created_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Delivery {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let state = State::from_stored(&row.state)
            .ok_or_else(|| sqlx::Error::Decode(format!("unknown delivery state `{}`", row.state).into()))?;
        let params = serde_json::from_value(row.params).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Self {
            id: DeliveryId::from_uuid(row.id),
            brand: BrandId::from_uuid(row.brand_id),
            template: row.template,
            event: row.event_id,
            recipient: row.recipient,
            locale: row.locale,
            params,
            subject: row.subject,
            message_id: row.message_id,
            state,
            attempts: u32::try_from(row.attempts).unwrap_or(0),
            last_error: row.last_error,
            version: row.version,
            created_at: row.created_at,
            sent_at: row.sent_at,
        })
    }
}

/// Adds a planned mail that is due now, unless there is one of this template for this event.
pub async fn plan(tx: &mut PgConnection, delivery: &Delivery) -> sqlx::Result<()> {
    let params = serde_json::to_value(&delivery.params).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "WITH planned AS (INSERT INTO delivery (id, brand_id, template, event_id, recipient, locale, params, state, \
         version, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (brand_id, template, event_id) DO NOTHING RETURNING id, brand_id) \
         INSERT INTO delivery_due (delivery_id, brand_id) SELECT id, brand_id FROM planned",
        delivery.id.as_uuid(),
        delivery.brand.as_uuid(),
        delivery.template,
        delivery.event,
        delivery.recipient,
        delivery.locale,
        params,
        delivery.state.as_str(),
        delivery.version,
        delivery.created_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Makes a mail wait again.
pub async fn replan(tx: &mut PgConnection, delivery: &Delivery) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE delivery SET state = $2, version = $3 WHERE id = $1",
        delivery.id.as_uuid(),
        delivery.state.as_str(),
        delivery.version,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// These mails as they are now; of those that are gone there is nothing.
pub async fn get_all(tx: &mut PgConnection, ids: &[DeliveryId]) -> sqlx::Result<Vec<Delivery>> {
    sqlx::query_as!(
        Row,
        "SELECT id, brand_id, template, event_id, recipient, locale, params, subject, message_id, state, attempts, \
         last_error, version, created_at, sent_at FROM delivery WHERE id = ANY ($1)",
        &ids.iter().map(|id| id.as_uuid()).collect::<Vec<_>>(),
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// Moves mails on whose text leaves now, to the state beside each, and their leases with them. Returns those whose claim was
/// held and that were still in the state they were read in; of the others no more than a lease is written.
pub async fn begin_all(
    tx: &mut PgConnection,
    begun: &[(&Claim, &Delivery, State)],
    lease: Duration,
) -> sqlx::Result<HashSet<DeliveryId>> {
    if begun.is_empty() {
        return Ok(HashSet::new());
    }
    let held = sqlx::query_scalar!(
        "WITH begun AS (SELECT * FROM UNNEST($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[]) \
         AS b(id, fence, was, state, subject, message_id)), \
         held AS (UPDATE delivery_due d SET lease_until = clock_timestamp() + make_interval(secs => $7) \
         FROM begun b WHERE d.delivery_id = b.id AND d.fence = b.fence \
         RETURNING b.id, b.was, b.state, b.subject, b.message_id) \
         UPDATE delivery d SET state = h.state, attempts = d.attempts + 1, subject = h.subject, message_id = h.message_id \
         FROM held h WHERE d.id = h.id AND d.state = h.was RETURNING d.id",
        &begun.iter().map(|(_, mail, _)| mail.id.as_uuid()).collect::<Vec<_>>(),
        &begun.iter().map(|(claim, _, _)| claim.fence).collect::<Vec<_>>(),
        &begun.iter().map(|(_, mail, _)| mail.state.as_str().to_owned()).collect::<Vec<_>>(),
        &begun.iter().map(|(_, _, next)| next.as_str().to_owned()).collect::<Vec<_>>(),
        &begun.iter().map(|(_, mail, _)| mail.subject.clone()).collect::<Vec<_>>(),
        &begun.iter().map(|(_, mail, _)| mail.message_id.clone()).collect::<Vec<_>>(),
        lease.as_secs_f64(),
    )
    .fetch_all(tx)
    .await?;
    Ok(held.into_iter().map(DeliveryId::from_uuid).collect())
}

/// Writes how mails ended and ends their claims. Returns those whose claim was held; of the others nothing is written.
pub async fn end_all(tx: &mut PgConnection, ended: &[(&Claim, &Delivery)]) -> sqlx::Result<HashSet<DeliveryId>> {
    if ended.is_empty() {
        return Ok(HashSet::new());
    }
    let held = sqlx::query_scalar!(
        "WITH ended AS (SELECT * FROM UNNEST($1::uuid[], $2::bigint[], $3::text[], $4::integer[], $5::text[], $6::bigint[], \
         $7::timestamptz[]) AS e(id, fence, state, attempts, last_error, version, sent_at)), \
         held AS (DELETE FROM delivery_due d USING ended e WHERE d.delivery_id = e.id AND d.fence = e.fence \
         RETURNING e.id, e.state, e.attempts, e.last_error, e.version, e.sent_at) \
         UPDATE delivery d SET state = h.state, attempts = h.attempts, last_error = h.last_error, version = h.version, \
         sent_at = h.sent_at FROM held h WHERE d.id = h.id RETURNING d.id",
        &ended.iter().map(|(_, mail)| mail.id.as_uuid()).collect::<Vec<_>>(),
        &ended.iter().map(|(claim, _)| claim.fence).collect::<Vec<_>>(),
        &ended.iter().map(|(_, mail)| mail.state.as_str().to_owned()).collect::<Vec<_>>(),
        &ended.iter().map(|(_, mail)| i32::try_from(mail.attempts).unwrap_or(i32::MAX)).collect::<Vec<_>>(),
        &ended.iter().map(|(_, mail)| mail.last_error.clone()).collect::<Vec<_>>(),
        &ended.iter().map(|(_, mail)| mail.version).collect::<Vec<_>>(),
        &ended.iter().map(|(_, mail)| mail.sent_at).collect::<Vec<_>>() as _,
    )
    .fetch_all(tx)
    .await?;
    Ok(held.into_iter().map(DeliveryId::from_uuid).collect())
}

/// Writes why a mail waits and gives the claim back, due again after the pause; false when the claim was lost, and then
/// nothing may commit.
pub async fn defer(tx: &mut PgConnection, claim: &Claim, waiting: &Delivery, pause: Duration) -> sqlx::Result<bool> {
    let written = sqlx::query!(
        "WITH held AS (UPDATE delivery_due SET lease_until = '-infinity', \
         due_at = clock_timestamp() + make_interval(secs => $6) WHERE delivery_id = $1 AND fence = $2 \
         RETURNING delivery_id) \
         UPDATE delivery SET state = $3, attempts = $4, last_error = $5 FROM held WHERE id = held.delivery_id",
        waiting.id.as_uuid(),
        claim.fence,
        waiting.state.as_str(),
        i32::try_from(waiting.attempts).unwrap_or(i32::MAX),
        waiting.last_error,
        pause.as_secs_f64(),
    )
    .execute(tx)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// The mail, locked until the transaction ends.
pub async fn lock(tx: &mut PgConnection, id: DeliveryId) -> sqlx::Result<Option<Delivery>> {
    sqlx::query_as!(
        Row,
        "SELECT id, brand_id, template, event_id, recipient, locale, params, subject, message_id, state, attempts, \
         last_error, version, created_at, sent_at FROM delivery WHERE id = $1 FOR UPDATE",
        id.as_uuid()
    )
    .fetch_optional(tx)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// Mails, newest first; to this address only, when one is named.
pub async fn list(
    tx: &mut PgConnection,
    to: Option<&str>,
    before: Option<DeliveryId>,
    limit: i64,
) -> sqlx::Result<Vec<Delivery>> {
    sqlx::query_as!(
        Row,
        "SELECT id, brand_id, template, event_id, recipient, locale, params, subject, message_id, state, attempts, \
         last_error, version, created_at, sent_at FROM delivery WHERE ($1::text IS NULL OR recipient = $1) \
         AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        to,
        before.map(|id| id.as_uuid()),
        limit
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}
