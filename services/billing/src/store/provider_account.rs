//! Accounts at providers. What is secret is sealed before it gets here.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;

use super::currency;
use crate::domain::amount_limit::AmountLimit;
use crate::domain::by_hand::ByHandTerms;
use crate::domain::provider::{ProviderAccountId, Terms};

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
    /// Until when, in real time, the secret before the newest one is good; none: until it is taken away.
    pub previous_until: Option<DateTime<Utc>>,
    /// No real money moves there.
    pub is_test: bool,
    /// What it is used for.
    pub terms: Terms,
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
    previous_until: Option<DateTime<Utc>>,
    is_test: bool,
    name: String,
    is_enabled: bool,
    is_default: bool,
    countries: Vec<String>,
    currencies: Vec<String>,
    amounts: Json<Vec<AmountLimit>>,
    suspends_on_dispute: bool,
    by_hand: Option<Json<ByHandTerms>>,
    updated_at: DateTime<Utc>,
    version: i64,
}

impl TryFrom<Row> for ProviderAccount {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let currencies = row.currencies.iter().map(|code| currency("provider_account", code));
        Ok(Self {
            id: ProviderAccountId::from_uuid(row.id),
            provider: row.provider,
            base_url: row.base_url,
            api_key_sealed: row.api_key_sealed,
            api_key_hint: row.api_key_hint,
            secrets_sealed: row.secrets_sealed,
            previous_until: row.previous_until,
            is_test: row.is_test,
            terms: Terms {
                name: row.name,
                is_enabled: row.is_enabled,
                is_default: row.is_default,
                countries: row.countries,
                currencies: currencies.collect::<sqlx::Result<_>>()?,
                amounts: row.amounts.0,
                suspends_on_dispute: row.suspends_on_dispute,
                by_hand: row.by_hand.map(|terms| terms.0),
            },
            updated_at: row.updated_at,
            version: row.version,
        })
    }
}

/// Creates or replaces an account. One that becomes the default takes that from the one that was.
pub async fn put(tx: &mut PgTransaction<'_>, brand: BrandId, account: &ProviderAccount) -> sqlx::Result<()> {
    let terms = &account.terms;
    if terms.is_default {
        sqlx::query!(
            "UPDATE provider_account SET is_default = false, version = version + 1, updated_at = $3
              WHERE brand_id = $1 AND is_default AND id <> $2",
            brand.as_uuid(),
            account.id.as_uuid(),
            account.updated_at
        )
        .execute(&mut **tx)
        .await?;
    }
    let currencies: Vec<String> = terms.currencies.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "INSERT INTO provider_account
                (id, brand_id, provider, base_url, api_key_sealed, api_key_hint, secrets_sealed, created_at, updated_at,
                 version, previous_until, is_test, name, is_enabled, is_default, countries, currencies, suspends_on_dispute,
                 amounts, by_hand)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
         ON CONFLICT (id) DO UPDATE
            SET base_url = EXCLUDED.base_url, api_key_sealed = EXCLUDED.api_key_sealed,
                api_key_hint = EXCLUDED.api_key_hint, secrets_sealed = EXCLUDED.secrets_sealed,
                updated_at = EXCLUDED.updated_at, version = EXCLUDED.version, previous_until = EXCLUDED.previous_until,
                is_test = EXCLUDED.is_test, name = EXCLUDED.name, is_enabled = EXCLUDED.is_enabled,
                is_default = EXCLUDED.is_default, countries = EXCLUDED.countries, currencies = EXCLUDED.currencies,
                suspends_on_dispute = EXCLUDED.suspends_on_dispute, amounts = EXCLUDED.amounts,
                by_hand = EXCLUDED.by_hand",
        account.id.as_uuid(),
        brand.as_uuid(),
        account.provider,
        account.base_url,
        account.api_key_sealed,
        account.api_key_hint,
        &account.secrets_sealed,
        account.updated_at,
        account.version,
        account.previous_until,
        account.is_test,
        terms.name,
        terms.is_enabled,
        terms.is_default,
        &terms.countries,
        &currencies,
        terms.suspends_on_dispute,
        Json(&terms.amounts) as _,
        terms.by_hand.as_ref().map(Json) as _,
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
    super::provider_poll::begin(tx, brand, account.id).await?;
    super::reconcile::begin(tx, brand, account.id).await
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
        r#"SELECT id, provider, base_url, api_key_sealed, api_key_hint, secrets_sealed, previous_until, is_test, name, is_enabled,
                  is_default, countries, currencies, amounts AS "amounts: Json<Vec<AmountLimit>>", suspends_on_dispute,
                  by_hand AS "by_hand: Json<ByHandTerms>", updated_at, version
             FROM provider_account WHERE id = $1 FOR UPDATE"#,
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// One account.
pub async fn get(tx: &mut PgTransaction<'_>, id: ProviderAccountId) -> sqlx::Result<Option<ProviderAccount>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, provider, base_url, api_key_sealed, api_key_hint, secrets_sealed, previous_until, is_test, name, is_enabled,
                  is_default, countries, currencies, amounts AS "amounts: Json<Vec<AmountLimit>>", suspends_on_dispute,
                  by_hand AS "by_hand: Json<ByHandTerms>", updated_at, version
             FROM provider_account WHERE id = $1"#,
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// The brand's accounts, the oldest first.
pub async fn list(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<Vec<ProviderAccount>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, provider, base_url, api_key_sealed, api_key_hint, secrets_sealed, previous_until, is_test, name, is_enabled,
                  is_default, countries, currencies, amounts AS "amounts: Json<Vec<AmountLimit>>", suspends_on_dispute,
                  by_hand AS "by_hand: Json<ByHandTerms>", updated_at, version
             FROM provider_account WHERE brand_id = $1 ORDER BY id"#,
        brand.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// What the provider calls a customer; empty when it has not heard of them.
pub async fn customer(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    provider_account: ProviderAccountId,
) -> sqlx::Result<String> {
    let found = sqlx::query_scalar!(
        "SELECT reference FROM provider_customer
          WHERE brand_id = ottery_brand() AND account_id = $1 AND provider_account_id = $2",
        account.as_uuid(),
        provider_account.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found.unwrap_or_default())
}

/// Keeps what the provider calls a customer. The first name stays: methods belong to it.
pub async fn keep_customer(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    account: AccountId,
    provider_account: ProviderAccountId,
    reference: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO provider_customer (brand_id, account_id, provider_account_id, reference, created_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        brand.as_uuid(),
        account.as_uuid(),
        provider_account.as_uuid(),
        reference,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The provider knows of no such customer (any more): the next page makes a new one.
pub async fn forget_customer(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    provider_account: ProviderAccountId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM provider_customer
          WHERE brand_id = ottery_brand() AND account_id = $1 AND provider_account_id = $2",
        account.as_uuid(),
        provider_account.as_uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The real time, which webhooks are judged by: the clock of a test may stand anywhere.
pub async fn real_now(tx: &mut PgTransaction<'_>) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&mut **tx).await
}
