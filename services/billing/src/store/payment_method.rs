//! Saved instruments. Tokens are sealed before they get here.

use chrono::{DateTime, Utc};
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

/// The method with this token hash, when the customer has saved it before.
pub async fn find(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    provider_account: ProviderAccountId,
    token_hash: &[u8],
) -> sqlx::Result<Option<PaymentMethodId>> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM payment_method
          WHERE brand_id = ottery_brand() AND account_id = $1 AND provider_account_id = $2 AND token_hash = $3",
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
                (id, brand_id, account_id, provider_account_id, token_sealed, token_hash, label, is_default, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, true, $8)",
        new.id.as_uuid(),
        brand.as_uuid(),
        new.account.as_uuid(),
        new.provider_account.as_uuid(),
        new.token_sealed,
        new.token_hash,
        new.label,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One method.
pub async fn get(tx: &mut PgTransaction<'_>, id: PaymentMethodId) -> sqlx::Result<Option<Stored>> {
    let row =
        sqlx::query!("SELECT provider_account_id, token_sealed, label FROM payment_method WHERE id = $1", id.as_uuid())
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
        "SELECT id, label FROM payment_method WHERE brand_id = ottery_brand() AND account_id = $1
          ORDER BY is_default DESC, created_at DESC, id DESC LIMIT 1",
        account.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (PaymentMethodId::from_uuid(row.id), row.label)))
}
