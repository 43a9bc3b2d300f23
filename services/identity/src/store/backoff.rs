//! Failed tries.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::domain::Realm;
use crate::domain::backoff::Tries;
use crate::domain::token::Hash;

/// What was tried with this key; the row stays locked, so tries are judged one after the other.
pub async fn lock(tx: &mut PgConnection, realm: Realm, key: &Hash, now: DateTime<Utc>) -> sqlx::Result<Tries> {
    sqlx::query!(
        "INSERT INTO sign_in_backoff (key, brand_id, failures, last_at) VALUES ($1, $2, 0, $3) ON CONFLICT (key) DO NOTHING",
        key.as_slice(),
        realm.brand().map(|brand| brand.as_uuid()),
        now,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query_as!(Tries, "SELECT failures, last_at FROM sign_in_backoff WHERE key = $1 FOR UPDATE", key.as_slice())
        .fetch_one(tx)
        .await
}

/// Writes the count down.
pub async fn set(tx: &mut PgConnection, key: &Hash, failures: i32, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE sign_in_backoff SET failures = $2, last_at = $3 WHERE key = $1",
        key.as_slice(),
        failures,
        now
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives a counted try back: it was never made.
pub async fn give_back(tx: &mut PgConnection, key: &Hash) -> sqlx::Result<()> {
    sqlx::query!("UPDATE sign_in_backoff SET failures = greatest(failures - 1, 0) WHERE key = $1", key.as_slice())
        .execute(tx)
        .await?;
    Ok(())
}

/// Forgets the failures of a key.
pub async fn clear(tx: &mut PgConnection, key: &Hash) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM sign_in_backoff WHERE key = $1", key.as_slice()).execute(tx).await?;
    Ok(())
}

/// Removes what is forgotten anyway.
pub async fn prune(tx: &mut PgConnection, now: DateTime<Utc>, keep: TimeDelta) -> sqlx::Result<u64> {
    let gone = sqlx::query!("DELETE FROM sign_in_backoff WHERE last_at < $1", now - keep).execute(tx).await?;
    Ok(gone.rows_affected())
}
