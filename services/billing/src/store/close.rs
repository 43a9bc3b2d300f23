//! Trial balances, and months that are closed.

use chrono::{DateTime, NaiveDate, Utc};
use ottery_kernel::{BrandId, EntityId};
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::money;
use crate::domain::trial_balance::{Month, Row, TrialBalance};

/// Posted transfers of an entity before an instant, by currency and account; customers' accounts of a kind are one.
pub async fn trial_balance(
    tx: &mut PgTransaction<'_>,
    entity: EntityId,
    before: DateTime<Utc>,
) -> sqlx::Result<Vec<Row>> {
    let rows = sqlx::query!(
        r#"SELECT account AS "account!", currency AS "currency!", sum(debit)::bigint AS "debits!", sum(credit)::bigint AS "credits!"
             FROM (SELECT CASE WHEN debit LIKE 'provider%' THEN debit ELSE split_part(debit, ':', 1) END AS account,
                          currency, amount_minor AS debit, 0 AS credit
                     FROM transfer WHERE brand_id = ottery_brand() AND entity_id = $1 AND state = 'posted' AND booked_at < $2
                   UNION ALL
                   SELECT CASE WHEN credit LIKE 'provider%' THEN credit ELSE split_part(credit, ':', 1) END,
                          currency, 0, amount_minor
                     FROM transfer WHERE brand_id = ottery_brand() AND entity_id = $1 AND state = 'posted' AND booked_at < $2) AS sides
            GROUP BY account, currency ORDER BY currency COLLATE "C", account COLLATE "C""#,
        entity.as_uuid(),
        before
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Row {
                account: row.account,
                debits: money("transfer", row.debits, &row.currency)?,
                credits: money("transfer", row.credits, &row.currency)?,
            })
        })
        .collect()
}

/// A closing of a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Its row.
    pub id: Uuid,
    /// The month, by its first day.
    pub month: NaiveDate,
    /// Whose days.
    pub zone: String,
    /// The trial balance as CSV, byte for byte.
    pub trial_balance: String,
    /// Its hash, in hexadecimal digits.
    pub sha256: String,
    /// By whom.
    pub closed_by: String,
    /// When.
    pub closed_at: DateTime<Utc>,
    /// When it was opened again.
    pub reopened_at: Option<DateTime<Utc>>,
    /// Why; empty while it is closed.
    pub reopen_reason: String,
}

/// Before which instant nothing may be booked; none when no month was ever closed. Locked for who closes and opens.
pub async fn closed_through(
    tx: &mut PgTransaction<'_>,
    entity: EntityId,
    is_locked: bool,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    if is_locked {
        sqlx::query_scalar!(
            "SELECT pg_advisory_xact_lock(hashtextextended('ledger_books ' || ottery_brand()::text || $1::text, 0))::text",
            entity.as_uuid().to_string()
        )
        .fetch_one(&mut **tx)
        .await?;
    }
    sqlx::query_scalar!(
        "SELECT closed_through FROM ledger_books WHERE brand_id = ottery_brand() AND entity_id = $1",
        entity.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Keeps a closing: nothing may be booked before `end` any more.
pub async fn insert(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    balance: &TrialBalance,
    month: Month,
    closed_by: &str,
    end: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<Closed> {
    let trial_balance = balance.csv();
    let closed = Closed {
        id: Uuid::now_v7(),
        month: month.first,
        zone: month.zone.to_string(),
        sha256: digest(&trial_balance),
        trial_balance,
        closed_by: closed_by.to_owned(),
        closed_at: now,
        reopened_at: None,
        reopen_reason: String::new(),
    };
    sqlx::query!(
        "INSERT INTO ledger_close (id, brand_id, entity_id, month, zone, trial_balance, sha256, closed_by, closed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        closed.id,
        brand.as_uuid(),
        balance.entity.as_uuid(),
        closed.month,
        closed.zone,
        closed.trial_balance,
        closed.sha256,
        closed.closed_by,
        now,
    )
    .execute(&mut **tx)
    .await?;
    set_closed_through(tx, brand, balance.entity, end).await?;
    Ok(closed)
}

async fn set_closed_through(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    entity: EntityId,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO ledger_books (brand_id, entity_id, closed_through) VALUES ($1, $2, $3)
         ON CONFLICT (brand_id, entity_id) DO UPDATE SET closed_through = EXCLUDED.closed_through",
        brand.as_uuid(),
        entity.as_uuid(),
        at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The hash of a text, in hexadecimal digits.
#[must_use]
pub fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// The closing of a month that stands.
pub async fn latest(tx: &mut PgTransaction<'_>, entity: EntityId, month: NaiveDate) -> sqlx::Result<Option<Closed>> {
    let all = list(tx, entity).await?;
    Ok(all.into_iter().find(|closed| closed.month == month && closed.reopened_at.is_none()))
}

/// Closings that are shown at most.
const LIST_MAX: i64 = 240;

/// Every closing of an entity, the latest month first, the latest closing of a month before earlier ones.
pub async fn list(tx: &mut PgTransaction<'_>, entity: EntityId) -> sqlx::Result<Vec<Closed>> {
    let rows = sqlx::query!(
        r#"SELECT c.id, c.month, c.zone, c.trial_balance, c.sha256, c.closed_by, c.closed_at,
                  r.reopened_at AS "reopened_at?", r.reason AS "reason?"
             FROM ledger_close c LEFT JOIN ledger_reopen r ON r.brand_id = c.brand_id AND r.close_id = c.id
            WHERE c.brand_id = ottery_brand() AND c.entity_id = $1 ORDER BY c.month DESC, c.id DESC LIMIT $2"#,
        entity.as_uuid(),
        LIST_MAX
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Closed {
            id: row.id,
            month: row.month,
            zone: row.zone,
            trial_balance: row.trial_balance,
            sha256: row.sha256,
            closed_by: row.closed_by,
            closed_at: row.closed_at,
            reopened_at: row.reopened_at,
            reopen_reason: row.reason.unwrap_or_default(),
        })
        .collect())
}

/// Notes that a closing stands no more: booking is free again from `start` on.
pub async fn reopen(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    closed: &Closed,
    reason: &str,
    reopened_by: &str,
    start: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO ledger_reopen (close_id, brand_id, reason, reopened_by, reopened_at) VALUES ($1, $2, $3, $4, $5)",
        closed.id,
        brand.as_uuid(),
        reason,
        reopened_by,
        now
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE ledger_books b SET closed_through = $2 FROM ledger_close c
          WHERE c.id = $1 AND b.brand_id = c.brand_id AND b.entity_id = c.entity_id",
        closed.id,
        start
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
