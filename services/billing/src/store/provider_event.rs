//! What providers told us: kept once, applied later.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{BrandId, PaymentId};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::errand;
use crate::domain::provider::ProviderAccountId;

/// A verified event on its way in.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// Which account it came for.
    pub account: ProviderAccountId,
    /// The provider's id of it.
    pub event_id: &'a str,
    /// The provider's name of what happened.
    pub kind: &'a str,
    /// As it arrived.
    pub body: &'a [u8],
}

/// Keeps an event and plans its application; false when it is known already. Two at once: the second waits for the first.
/// Whoever took it in rings for its own workers after the commit; others look by themselves.
pub async fn insert(tx: &mut PgTransaction<'_>, brand: BrandId, new: New<'_>) -> sqlx::Result<bool> {
    let stored = sqlx::query!(
        "WITH first AS (
             INSERT INTO provider_event_key (account_id, event_id) VALUES ($3, $4) ON CONFLICT DO NOTHING RETURNING 1),
         due AS (INSERT INTO provider_event_due (id, brand_id) SELECT $1, $2 FROM first)
         INSERT INTO provider_event (id, brand_id, account_id, event_id, kind, body)
         SELECT $1, $2, $3, $4, $5, $6 FROM first",
        Uuid::now_v7(),
        brand.as_uuid(),
        new.account.as_uuid(),
        new.event_id,
        new.kind,
        new.body,
    )
    .execute(&mut **tx)
    .await?;
    Ok(stored.rows_affected() == 1)
}

/// A claimed event.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Its row.
    pub id: Uuid,
    /// Its partition.
    pub received_at: DateTime<Utc>,
    /// Whose it is.
    pub brand: BrandId,
    /// How often it was tried.
    pub tries: u32,
}

/// Claims events across brands, the longest waiting first.
pub async fn claim(pool: &PgPool, limit: i64, lease: Duration) -> sqlx::Result<Vec<Claim>> {
    let rows = sqlx::query!(
        "UPDATE provider_event_due SET lease_until = now() + make_interval(secs => $2), fence = fence + 1
          WHERE id = ANY (ARRAY(SELECT id FROM provider_event_due WHERE due_at <= now() AND lease_until < now()
                        ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED))
         RETURNING id, received_at, brand_id, tries",
        limit,
        lease.as_secs_f64(),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Claim {
            id: row.id,
            received_at: row.received_at,
            brand: BrandId::from_uuid(row.brand_id),
            tries: row.tries.unsigned_abs(),
        })
        .collect())
}

/// An event as kept.
#[derive(Clone, Debug)]
pub struct Event {
    /// Which account it came for.
    pub account: ProviderAccountId,
    /// The provider's id of it.
    pub event_id: String,
    /// As it arrived.
    pub body: Vec<u8>,
    /// Since when it waits.
    pub age: TimeDelta,
}

/// A claimed event; none when it was applied meanwhile.
pub async fn get(tx: &mut PgTransaction<'_>, claim: &Claim) -> sqlx::Result<Option<Event>> {
    let row = sqlx::query!(
        r#"SELECT account_id, event_id, body, extract(epoch FROM clock_timestamp() - received_at)::float8 AS "age!"
             FROM provider_event WHERE id = $1 AND received_at = $2 AND state = 'waiting'"#,
        claim.id,
        claim.received_at
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Event {
        account: ProviderAccountId::from_uuid(row.account_id),
        event_id: row.event_id,
        body: row.body,
        age: TimeDelta::milliseconds((row.age * 1000.0) as i64),
    }))
}

/// How an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It had, or has had, its effect.
    Applied,
    /// It is about nothing of ours.
    Ignored,
    /// Its parent never came.
    GivenUp,
}

impl End {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Ignored => "ignored",
            Self::GivenUp => "given_up",
        }
    }
}

/// Ends an event, in the transaction of its effect.
pub async fn finish(tx: &mut PgTransaction<'_>, claim: &Claim, end: End, note: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH done AS (DELETE FROM provider_event_due WHERE id = $1)
         UPDATE provider_event SET state = $3, note = $4 WHERE id = $1 AND received_at = $2",
        claim.id,
        claim.received_at,
        end.as_str(),
        note
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Tries an event again later; `parent` wakes it earlier when it settles.
pub async fn park(
    tx: &mut PgTransaction<'_>,
    claim: &Claim,
    parent: Option<PaymentId>,
    after: TimeDelta,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE provider_event_due SET due_at = now() + make_interval(secs => $2), lease_until = '-infinity',
                tries = tries + 1, payment_id = $3 WHERE id = $1",
        claim.id,
        after.as_seconds_f64(),
        parent.map(|id| id.as_uuid())
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The parent has settled: what waited for it is due now.
pub async fn wake_parked(tx: &mut PgTransaction<'_>, payment: PaymentId) -> sqlx::Result<()> {
    let woken = sqlx::query!(
        "UPDATE provider_event_due SET due_at = now() WHERE payment_id = $1 AND due_at > now()",
        payment.as_uuid()
    )
    .execute(&mut **tx)
    .await?;
    if woken.rows_affected() > 0 {
        errand::wake(tx).await?;
    }
    Ok(())
}
