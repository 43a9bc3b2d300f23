//! Calls that may safely be made twice.
//!
//! The key is kept in the transaction of the effect: both are there or neither is. A call that fails leaves nothing
//! behind and may be made again with the same key.

use std::time::Duration;

use ottery_kernel::BrandId;
use prost::Message;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

/// How long a started call counts as being at work; afterwards it is driven again, not replayed.
const STARTED_LEASE: Duration = Duration::from_secs(60);
/// Longest key that is taken.
const KEY_CHARS: usize = 255;

/// Within what a key is unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyScope {
    /// Brand of the call; `None` for platform calls.
    pub brand: Option<BrandId>,
    /// Who calls: the actor's subject, or something a visitor keeps (cart id) when anonymous.
    pub actor: String,
    /// Which call, `billing.PlaceOrder`.
    pub route: &'static str,
}

/// What is known about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Never seen, or started by somebody who is gone: do the work, then [`finish`].
    Fresh,
    /// Done before: answer with these bytes.
    Replay(Vec<u8>),
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// Reason `IDEMPOTENCY_KEY_REUSED`, conflict.
    #[error("this Idempotency-Key was used for another request: send a new key with a new request")]
    Reused,
    /// Reason `IDEMPOTENCY_IN_PROGRESS`, conflict; try again in a second.
    #[error("a request with this Idempotency-Key is still at work: try again in a second")]
    InProgress,
    /// Reason `IDEMPOTENCY_KEY_INVALID`, bad request.
    #[error("an Idempotency-Key has 1 to 255 visible ASCII characters")]
    Invalid,
    /// The database.
    #[error("the idempotency key cannot be kept")]
    Database(#[from] sqlx::Error),
}

impl IdempotencyError {
    /// Stable reason for the caller.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Reused => "IDEMPOTENCY_KEY_REUSED",
            Self::InProgress => "IDEMPOTENCY_IN_PROGRESS",
            Self::Invalid => "IDEMPOTENCY_KEY_INVALID",
            Self::Database(_) => "INTERNAL",
        }
    }
}

/// Hash of a request: the same bytes mean the same request.
#[must_use]
pub fn request_hash(request: &impl Message) -> [u8; 32] {
    Sha256::digest(request.encode_to_vec()).into()
}

/// Looks the key up, or takes it, within the caller's transaction.
pub async fn begin(
    tx: &mut PgTransaction<'_>,
    scope: &KeyScope,
    key: &str,
    request_hash: &[u8],
) -> Result<Begin, IdempotencyError> {
    if key.is_empty() || key.len() > KEY_CHARS || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(IdempotencyError::Invalid);
    }
    let brand = brand_of(scope);
    // A second caller is told so at once instead of waiting for the first one's commit.
    let free = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(hashtextextended(
               concat_ws(chr(31), $1::uuid, $2::text, $3::text, $4::text), 0)) AS "free!""#,
        brand,
        scope.actor,
        scope.route,
        key
    )
    .fetch_one(&mut **tx)
    .await?;
    if !free {
        return Err(IdempotencyError::InProgress);
    }
    let found = sqlx::query!(
        r#"SELECT request_hash, response, lease_until > now() AS "is_live!" FROM idempotency
            WHERE brand_id = $1 AND actor = $2 AND route = $3 AND key = $4"#,
        brand,
        scope.actor,
        scope.route,
        key
    )
    .fetch_optional(&mut **tx)
    .await?;
    if let Some(found) = found {
        if found.request_hash != request_hash {
            return Err(IdempotencyError::Reused);
        }
        if let Some(response) = found.response {
            return Ok(Begin::Replay(response));
        }
        if found.is_live {
            return Err(IdempotencyError::InProgress);
        }
    }
    sqlx::query!(
        "INSERT INTO idempotency (brand_id, actor, route, key, request_hash, state, lease_until)
         VALUES ($1, $2, $3, $4, $5, 'started', now() + make_interval(secs => $6))
         ON CONFLICT (brand_id, actor, route, key) DO UPDATE SET lease_until = EXCLUDED.lease_until",
        brand,
        scope.actor,
        scope.route,
        key,
        request_hash,
        STARTED_LEASE.as_secs_f64()
    )
    .execute(&mut **tx)
    .await?;
    Ok(Begin::Fresh)
}

/// Keeps the answer; call it in the transaction that makes the effect final.
pub async fn finish(tx: &mut PgTransaction<'_>, scope: &KeyScope, key: &str, response: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE idempotency SET state = 'done', response = $5
          WHERE brand_id = $1 AND actor = $2 AND route = $3 AND key = $4",
        brand_of(scope),
        scope.actor,
        scope.route,
        key,
        response
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets at most `limit` keys older than `keep` (7 days); returns how many.
pub async fn prune(pool: &PgPool, keep: Duration, limit: i64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM idempotency i USING (
             SELECT brand_id, actor, route, key FROM idempotency
              WHERE created_at < now() - make_interval(secs => $1) LIMIT $2) old
          WHERE (i.brand_id, i.actor, i.route, i.key) = (old.brand_id, old.actor, old.route, old.key)",
        keep.as_secs_f64(),
        limit
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}

fn brand_of(scope: &KeyScope) -> Uuid {
    scope.brand.map_or(Uuid::nil(), |brand| brand.as_uuid())
}
