//! Keeping the order of an aggregate, or noticing that it is broken.

use sqlx::postgres::PgTransaction;

use super::{Delivery, HandleError};

/// Where an event stands in the order of its aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// The one expected: recorded, apply it.
    Next,
    /// Already applied or overtaken: ignore it.
    Older,
}

/// Version a consumer applied last of an aggregate; `None` before the first. The row stays locked until the commit.
pub async fn last_version(tx: &mut PgTransaction<'_>, consumer: &str, aggregate_id: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "SELECT version FROM seen_version WHERE consumer = $1 AND aggregate_id = $2 FOR UPDATE",
        consumer,
        aggregate_id
    )
    .fetch_optional(&mut **tx)
    .await
}

/// For consumers that need every event: records the next version, says "ignore" for an older one and returns
/// [`HandleError::Gap`] (to be passed on with `?`) when one in between is missing. The first version is 1; events
/// of version 0 have no order and are always next.
pub async fn advance(tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<Sequence, HandleError> {
    let (consumer, aggregate, got) = (&delivery.consumer, delivery.aggregate_id(), delivery.aggregate_version());
    if got == 0 {
        return Ok(Sequence::Next);
    }
    // The row has to exist to be locked: two first events of one aggregate must not both find nothing.
    sqlx::query!(
        "INSERT INTO seen_version (consumer, aggregate_id, version) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING",
        consumer,
        aggregate
    )
    .execute(&mut **tx)
    .await?;
    let last = last_version(tx, consumer, aggregate).await?.unwrap_or(0);
    if got <= last {
        return Ok(Sequence::Older);
    }
    if got > last + 1 {
        return Err(HandleError::Gap { last, got });
    }
    accept_newer(tx, consumer, aggregate, got).await?;
    Ok(Sequence::Next)
}

/// For consumers of full state: records `version` when it is newer than what was applied, gaps and all. False means
/// older or the same: ignore it.
pub async fn accept_newer(
    tx: &mut PgTransaction<'_>,
    consumer: &str,
    aggregate_id: &str,
    version: i64,
) -> sqlx::Result<bool> {
    let moved = sqlx::query!(
        "INSERT INTO seen_version AS seen (consumer, aggregate_id, version) VALUES ($1, $2, $3)
         ON CONFLICT (consumer, aggregate_id) DO UPDATE SET version = EXCLUDED.version
          WHERE seen.version < EXCLUDED.version",
        consumer,
        aggregate_id,
        version
    )
    .execute(&mut **tx)
    .await?;
    Ok(moved.rows_affected() == 1)
}
