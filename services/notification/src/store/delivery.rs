//! Mails. Their bodies are not here.

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

/// Moves a mail on whose text leaves now, and its lease with it; false when the claim was lost or the mail is not in the
/// state it was read in any more, and then nothing may commit.
pub async fn begin(
    tx: &mut PgConnection,
    claim: &Claim,
    lease: Duration,
    known: &Delivery,
    next: State,
) -> sqlx::Result<bool> {
    let begun = sqlx::query!(
        "WITH held AS (UPDATE delivery_due SET lease_until = clock_timestamp() + make_interval(secs => $7) \
         WHERE delivery_id = $1 AND fence = $6 RETURNING delivery_id) \
         UPDATE delivery SET state = $4, attempts = attempts + 1, subject = $2, message_id = $3 \
         FROM held WHERE id = held.delivery_id AND state = $5",
        known.id.as_uuid(),
        known.subject,
        known.message_id,
        next.as_str(),
        known.state.as_str(),
        claim.fence,
        lease.as_secs_f64(),
    )
    .execute(tx)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Writes how a mail ended and ends the claim; false when the claim was lost, and then nothing may commit.
pub async fn end(tx: &mut PgConnection, claim: &Claim, ended: &Delivery) -> sqlx::Result<bool> {
    let written = sqlx::query!(
        "WITH held AS (DELETE FROM delivery_due WHERE delivery_id = $1 AND fence = $2 RETURNING delivery_id) \
         UPDATE delivery SET state = $3, attempts = $4, last_error = $5, version = $6, sent_at = $7 \
         FROM held WHERE id = held.delivery_id",
        ended.id.as_uuid(),
        claim.fence,
        ended.state.as_str(),
        i32::try_from(ended.attempts).unwrap_or(i32::MAX),
        ended.last_error,
        ended.version,
        ended.sent_at,
    )
    .execute(tx)
    .await?;
    Ok(written.rows_affected() == 1)
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
