//! API keys.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, ApiKeyId, BrandId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::hash;
use crate::domain::token::Hash;

/// An API key as stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Identity.
    pub id: ApiKeyId,
    /// The brand it works in; none for all.
    pub brand: Option<BrandId>,
    /// Who made it.
    pub creator: AccountId,
    /// What it is for.
    pub name: String,
    /// What it may at most.
    pub permissions: BTreeSet<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Whether somebody ended it.
    pub revoked: bool,
    /// SHA-256 of the secret.
    pub secret_hash: Hash,
}

struct Row {
    id: Uuid,
    brand_id: Option<Uuid>,
    creator_id: Uuid,
    name: String,
    permissions: Vec<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    revoked: bool,
    secret_hash: Vec<u8>,
}

impl TryFrom<Row> for Stored {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: ApiKeyId::from_uuid(row.id),
            brand: row.brand_id.map(BrandId::from_uuid),
            creator: AccountId::from_uuid(row.creator_id),
            name: row.name,
            permissions: row.permissions.into_iter().collect(),
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked: row.revoked,
            secret_hash: hash(row.secret_hash)?,
        })
    }
}

/// Adds a key.
pub async fn insert(tx: &mut PgConnection, key: &Stored) -> sqlx::Result<()> {
    let brand = key.brand.map(|brand| brand.as_uuid());
    let permissions: Vec<String> = key.permissions.iter().cloned().collect();
    sqlx::query!(
        "INSERT INTO api_key (id, brand_id, creator_id, name, permissions, secret_hash, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        key.id.as_uuid(),
        brand,
        key.creator.as_uuid(),
        key.name,
        &permissions,
        key.secret_hash.as_slice(),
        key.created_at,
        key.expires_at,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("INSERT INTO api_key_home (key_id, home_id) VALUES ($1, $2)", key.id.as_uuid(), brand)
        .execute(tx)
        .await?;
    Ok(())
}

/// Where a key lives; the outer option says whether there is such a key.
pub async fn home(tx: &mut PgConnection, id: ApiKeyId) -> sqlx::Result<Option<Option<BrandId>>> {
    let home = sqlx::query_scalar!("SELECT home_id FROM api_key_home WHERE key_id = $1", id.as_uuid())
        .fetch_optional(tx)
        .await?;
    Ok(home.map(|brand| brand.map(BrandId::from_uuid)))
}

/// A key.
pub async fn get(tx: &mut PgConnection, id: ApiKeyId) -> sqlx::Result<Option<Stored>> {
    sqlx::query_as!(
        Row,
        r#"SELECT id, brand_id, creator_id, name, permissions, created_at, expires_at, last_used_at,
                  revoked_at IS NOT NULL AS "revoked!", secret_hash FROM api_key WHERE id = $1"#,
        id.as_uuid()
    )
    .fetch_optional(tx)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// The newest keys of the scope.
pub async fn list(tx: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Stored>> {
    sqlx::query_as!(
        Row,
        r#"SELECT id, brand_id, creator_id, name, permissions, created_at, expires_at, last_used_at,
                  revoked_at IS NOT NULL AS "revoked!", secret_hash FROM api_key ORDER BY id DESC LIMIT $1"#,
        limit
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// Notes that it was used.
pub async fn touch(tx: &mut PgConnection, id: ApiKeyId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("UPDATE api_key SET last_used_at = $2 WHERE id = $1", id.as_uuid(), now).execute(tx).await?;
    Ok(())
}

/// Ends a key; false when it had ended.
pub async fn revoke(tx: &mut PgConnection, id: ApiKeyId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let ended =
        sqlx::query!("UPDATE api_key SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", id.as_uuid(), now)
            .execute(tx)
            .await?;
    Ok(ended.rows_affected() == 1)
}
