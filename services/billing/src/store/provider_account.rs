//! Accounts at providers. What is secret is sealed before it gets here.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;

use crate::domain::provider::ProviderAccountId;

/// An account as stored.
#[derive(Clone)]
pub struct ProviderAccount {
    /// Its id.
    pub id: ProviderAccountId,
    /// The provider's name.
    pub provider: String,
    /// Where its API is.
    pub base_url: String,
    /// Sealed key.
    pub api_key_sealed: Vec<u8>,
    /// The last characters of the key.
    pub api_key_hint: String,
    /// Sealed webhook secrets, the newest last.
    pub secrets_sealed: Vec<Vec<u8>>,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
    /// Grows with every change.
    pub version: i64,
}

impl std::fmt::Debug for ProviderAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderAccount")
            .field("id", &self.id)
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

struct Row {
    id: uuid::Uuid,
    provider: String,
    base_url: String,
    api_key_sealed: Vec<u8>,
    api_key_hint: String,
    secrets_sealed: Vec<Vec<u8>>,
    updated_at: DateTime<Utc>,
    version: i64,
}

impl From<Row> for ProviderAccount {
    fn from(row: Row) -> Self {
        Self {
            id: ProviderAccountId::from_uuid(row.id),
            provider: row.provider,
            base_url: row.base_url,
            api_key_sealed: row.api_key_sealed,
            api_key_hint: row.api_key_hint,
            secrets_sealed: row.secrets_sealed,
            updated_at: row.updated_at,
            version: row.version,
        }
    }
}

/// Creates or replaces an account.
pub async fn put(tx: &mut PgTransaction<'_>, brand: BrandId, account: &ProviderAccount) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO provider_account
                (id, brand_id, provider, base_url, api_key_sealed, api_key_hint, secrets_sealed, created_at, updated_at,
                 version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)
         ON CONFLICT (id) DO UPDATE
            SET base_url = EXCLUDED.base_url, api_key_sealed = EXCLUDED.api_key_sealed,
                api_key_hint = EXCLUDED.api_key_hint, secrets_sealed = EXCLUDED.secrets_sealed,
                updated_at = EXCLUDED.updated_at, version = EXCLUDED.version",
        account.id.as_uuid(),
        brand.as_uuid(),
        account.provider,
        account.base_url,
        account.api_key_sealed,
        account.api_key_hint,
        &account.secrets_sealed,
        account.updated_at,
        account.version,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "INSERT INTO provider_route (account_id, brand_id) VALUES ($1, $2) ON CONFLICT (account_id) DO NOTHING",
        account.id.as_uuid(),
        brand.as_uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The brand a webhook address belongs to; needs no scope.
pub async fn brand_of(pool: &PgPool, id: ProviderAccountId) -> sqlx::Result<Option<BrandId>> {
    let brand = sqlx::query_scalar!("SELECT brand_id FROM provider_route WHERE account_id = $1", id.as_uuid())
        .fetch_optional(pool)
        .await?;
    Ok(brand.map(BrandId::from_uuid))
}

/// One account, held until the transaction ends.
pub async fn lock(tx: &mut PgTransaction<'_>, id: ProviderAccountId) -> sqlx::Result<Option<ProviderAccount>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, provider, base_url, api_key_sealed, api_key_hint, secrets_sealed, updated_at, version
           FROM provider_account WHERE id = $1 FOR UPDATE",
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Into::into))
}

/// One account.
pub async fn get(tx: &mut PgTransaction<'_>, id: ProviderAccountId) -> sqlx::Result<Option<ProviderAccount>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, provider, base_url, api_key_sealed, api_key_hint, secrets_sealed, updated_at, version
           FROM provider_account WHERE id = $1",
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Into::into))
}

/// The brand's accounts, the oldest first. New attempts use the last one.
pub async fn list(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<Vec<ProviderAccount>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, provider, base_url, api_key_sealed, api_key_hint, secrets_sealed, updated_at, version
           FROM provider_account WHERE brand_id = $1 ORDER BY id",
        brand.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The real time, which webhooks are judged by: the clock of a test may stand anywhere.
pub async fn real_now(tx: &mut PgTransaction<'_>) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&mut **tx).await
}
