//! Pages on which customers save a method without paying.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, PaymentMethodId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use crate::domain::provider::ProviderAccountId;

/// A page that was asked for.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its id.
    pub id: Uuid,
    /// Whose method.
    pub account: AccountId,
    /// Where it is saved.
    pub provider_account: ProviderAccountId,
    /// The provider's id of the page; empty until it is made.
    pub checkout_ref: String,
    /// Nothing more happens by it.
    pub is_finished: bool,
}

/// Writes a page down before the provider hears of it.
pub async fn insert(tx: &mut PgTransaction<'_>, brand: BrandId, setup: &Setup, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO payment_setup (id, brand_id, account_id, provider_account_id, state, created_at)
         VALUES ($1, $2, $3, $4, 'open', $5)",
        setup.id,
        brand.as_uuid(),
        setup.account.as_uuid(),
        setup.provider_account.as_uuid(),
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps what the provider calls the page.
pub async fn keep_page(tx: &mut PgTransaction<'_>, id: Uuid, reference: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE payment_setup SET checkout_ref = $2 WHERE id = $1", id, reference).execute(&mut **tx).await?;
    Ok(())
}

/// One page, locked.
pub async fn lock(tx: &mut PgTransaction<'_>, id: Uuid) -> sqlx::Result<Option<Setup>> {
    let row = sqlx::query!(
        "SELECT id, account_id, provider_account_id, state, checkout_ref FROM payment_setup WHERE id = $1 FOR UPDATE",
        id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Setup {
        id: row.id,
        account: AccountId::from_uuid(row.account_id),
        provider_account: ProviderAccountId::from_uuid(row.provider_account_id),
        checkout_ref: row.checkout_ref,
        is_finished: row.state != "open",
    }))
}

/// It saved that method, or nothing.
pub async fn finish(
    tx: &mut PgTransaction<'_>,
    id: Uuid,
    method: Option<PaymentMethodId>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE payment_setup SET state = CASE WHEN $2::uuid IS NULL THEN 'failed' ELSE 'saved' END, method_id = $2,
                finished_at = $3
          WHERE id = $1",
        id,
        method.map(|id| id.as_uuid()),
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
