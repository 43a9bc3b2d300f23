//! Saved instruments. Tokens are sealed before they get here.

use chrono::{DateTime, NaiveDate, Utc};
use ottery_kernel::{AccountId, BrandId, PaymentMethodId};
use sqlx::postgres::PgTransaction;

use crate::domain::provider::ProviderAccountId;

/// What a charge needs of a method.
#[derive(Clone)]
pub struct Stored {
    /// Where it was saved.
    pub provider_account: ProviderAccountId,
    /// Its sealed token.
    pub token_sealed: Vec<u8>,
    /// How it is shown.
    pub label: String,
}

/// Lets one at a time look for and keep methods of a customer, until the transaction ends: a customer has one default, and
/// may pay two orders at the same moment.
pub async fn lock(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<()> {
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(hashtextextended('payment_method ' || $1::uuid::text, 0)) AS "held!: ()""#,
        account.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(())
}

/// The method with this token hash, when the customer has saved it before and not taken it away.
pub async fn find(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    provider_account: ProviderAccountId,
    token_hash: &[u8],
) -> sqlx::Result<Option<PaymentMethodId>> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM payment_method
          WHERE brand_id = ottery_brand() AND account_id = $1 AND provider_account_id = $2 AND token_hash = $3
            AND removed_at IS NULL",
        account.as_uuid(),
        provider_account.as_uuid(),
        token_hash,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(id.map(PaymentMethodId::from_uuid))
}

/// A method to keep.
#[derive(Clone)]
pub struct New<'a> {
    /// Its id; the token is sealed for it.
    pub id: PaymentMethodId,
    /// Whose it is.
    pub account: AccountId,
    /// Where it was saved.
    pub provider_account: ProviderAccountId,
    /// Sealed token.
    pub token_sealed: &'a [u8],
    /// Keyed hash of the token.
    pub token_hash: &'a [u8],
    /// How it is shown.
    pub label: &'a str,
    /// The last day it can be charged, when there is one.
    pub expires_on: Option<NaiveDate>,
}

/// Keeps a method and makes it the customer's default. The caller holds [`lock`].
pub async fn insert(tx: &mut PgTransaction<'_>, brand: BrandId, new: &New<'_>, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE payment_method SET is_default = false WHERE brand_id = $1 AND account_id = $2 AND is_default",
        brand.as_uuid(),
        new.account.as_uuid()
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "INSERT INTO payment_method
                (id, brand_id, account_id, provider_account_id, token_sealed, token_hash, label, is_default, created_at,
                 expires_on)
         VALUES ($1, $2, $3, $4, $5, $6, $7, true, $8, $9)",
        new.id.as_uuid(),
        brand.as_uuid(),
        new.account.as_uuid(),
        new.provider_account.as_uuid(),
        new.token_sealed,
        new.token_hash,
        new.label,
        now,
        new.expires_on,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One method that can be charged.
pub async fn get(tx: &mut PgTransaction<'_>, id: PaymentMethodId) -> sqlx::Result<Option<Stored>> {
    let row = sqlx::query!(
        "SELECT provider_account_id, token_sealed, label FROM payment_method WHERE id = $1 AND removed_at IS NULL",
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Stored {
        provider_account: ProviderAccountId::from_uuid(row.provider_account_id),
        token_sealed: row.token_sealed,
        label: row.label,
    }))
}

/// The method a customer is charged by when nobody names another one, and how it is shown.
pub async fn default_of(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
) -> sqlx::Result<Option<(PaymentMethodId, String)>> {
    let row = sqlx::query!(
        "SELECT id, label FROM payment_method WHERE brand_id = ottery_brand() AND account_id = $1 AND removed_at IS NULL
          ORDER BY is_default DESC, created_at DESC, id DESC LIMIT 1",
        account.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (PaymentMethodId::from_uuid(row.id), row.label)))
}

/// A method as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its id.
    pub id: PaymentMethodId,
    /// Whose it is.
    pub account: AccountId,
    /// Where it was saved.
    pub provider_account: ProviderAccountId,
    /// How it is shown.
    pub label: String,
    /// What is charged when nobody names another one.
    pub is_default: bool,
    /// The last day it can be charged, when there is one.
    pub expires_on: Option<NaiveDate>,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// When its owner was told that it expires on that day.
    pub expiry_told_at: Option<DateTime<Utc>>,
}

/// The methods of a customer that can be charged, the default one first.
pub async fn list(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<Vec<Shown>> {
    let rows = sqlx::query!(
        r#"SELECT m.id, m.provider_account_id, m.label, m.is_default, m.expires_on, m.created_at, e.told_at AS "told_at?"
             FROM payment_method m LEFT JOIN method_expiry e ON e.method_id = m.id AND e.told = m.expires_on
            WHERE m.brand_id = ottery_brand() AND m.account_id = $1 AND m.removed_at IS NULL
            ORDER BY m.is_default DESC, m.created_at DESC, m.id DESC"#,
        account.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    let shown = rows.into_iter().map(|row| Shown {
        id: PaymentMethodId::from_uuid(row.id),
        account,
        provider_account: ProviderAccountId::from_uuid(row.provider_account_id),
        label: row.label,
        is_default: row.is_default,
        expires_on: row.expires_on,
        created_at: row.created_at,
        expiry_told_at: row.told_at,
    });
    Ok(shown.collect())
}

/// Every customer's method at an account with this hash that can be charged.
pub async fn by_instrument(
    tx: &mut PgTransaction<'_>,
    provider_account: ProviderAccountId,
    token_hash: &[u8],
) -> sqlx::Result<Vec<PaymentMethodId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM payment_method
          WHERE brand_id = ottery_brand() AND provider_account_id = $1 AND token_hash = $2 AND removed_at IS NULL",
        provider_account.as_uuid(),
        token_hash
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(PaymentMethodId::from_uuid).collect())
}

/// A method's card was replaced by its bank: how it is shown from now on, also on the subscriptions charged to it.
pub async fn renew(
    tx: &mut PgTransaction<'_>,
    id: PaymentMethodId,
    label: &str,
    expires_on: Option<NaiveDate>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH shown AS (UPDATE subscription SET payment_method_label = $2
                         WHERE brand_id = ottery_brand() AND payment_method_id = $1)
         UPDATE payment_method SET label = $2, expires_on = $3 WHERE id = $1",
        id.as_uuid(),
        label,
        expires_on
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps until when a method can be charged; true when that is news.
pub async fn date(
    tx: &mut PgTransaction<'_>,
    id: PaymentMethodId,
    expires_on: Option<NaiveDate>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE payment_method SET expires_on = $2 WHERE id = $1 AND expires_on IS DISTINCT FROM $2",
        id.as_uuid(),
        expires_on
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Nothing is charged to these any more. The newest of what is left becomes the default.
pub async fn remove(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    ids: &[PaymentMethodId],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ids: Vec<uuid::Uuid> = ids.iter().map(PaymentMethodId::as_uuid).collect();
    sqlx::query!(
        "UPDATE payment_method SET removed_at = $3, is_default = false,
                token_hash = token_hash || uuid_send(id)
          WHERE brand_id = ottery_brand() AND account_id = $1 AND id = ANY($2) AND removed_at IS NULL",
        account.as_uuid(),
        &ids,
        now
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE payment_method SET is_default = true
          WHERE id = (SELECT id FROM payment_method WHERE brand_id = ottery_brand() AND account_id = $1 AND removed_at IS NULL
                       ORDER BY created_at DESC, id DESC LIMIT 1)
            AND NOT EXISTS (SELECT FROM payment_method
                             WHERE brand_id = ottery_brand() AND account_id = $1 AND is_default)",
        account.as_uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whose a method is; none when it is not there or was removed.
pub async fn owner(tx: &mut PgTransaction<'_>, id: PaymentMethodId) -> sqlx::Result<Option<AccountId>> {
    let owner =
        sqlx::query_scalar!("SELECT account_id FROM payment_method WHERE id = $1 AND removed_at IS NULL", id.as_uuid())
            .fetch_optional(&mut **tx)
            .await?;
    Ok(owner.map(AccountId::from_uuid))
}
