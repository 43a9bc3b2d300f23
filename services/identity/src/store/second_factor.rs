//! Second factors and recovery codes.

use chrono::{DateTime, Utc};
use ottery_kernel::AccountId;
use sqlx::PgConnection;

use crate::domain::Realm;
use crate::domain::token::Hash;

/// A second factor as stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The confirmed secret, sealed.
    pub secret_sealed: Option<Vec<u8>>,
    /// One that was shown but not confirmed, sealed.
    pub pending_sealed: Option<Vec<u8>>,
    /// The newest step a code was accepted for.
    pub last_step: i64,
}

/// The account's second factor; the row stays locked, so a code cannot be used twice at once.
pub async fn lock(tx: &mut PgConnection, account: AccountId) -> sqlx::Result<Option<Stored>> {
    sqlx::query_as!(
        Stored,
        "SELECT secret_sealed, pending_sealed, last_step FROM second_factor WHERE account_id = $1 FOR UPDATE",
        account.as_uuid()
    )
    .fetch_optional(tx)
    .await
}

/// Keeps a secret that is to be confirmed.
pub async fn set_pending(tx: &mut PgConnection, realm: Realm, account: AccountId, sealed: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO second_factor (account_id, brand_id, pending_sealed) VALUES ($1, $2, $3) \
         ON CONFLICT (account_id) DO UPDATE SET pending_sealed = EXCLUDED.pending_sealed",
        account.as_uuid(),
        realm.brand().map(|brand| brand.as_uuid()),
        sealed,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Makes the confirmed secret the one that counts and replaces the recovery codes.
pub async fn confirm(
    tx: &mut PgConnection,
    realm: Realm,
    account: AccountId,
    sealed: &[u8],
    step: i64,
    codes: &[Hash],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE second_factor SET secret_sealed = $2, pending_sealed = NULL, last_step = $3, confirmed_at = $4 \
         WHERE account_id = $1",
        account.as_uuid(),
        sealed,
        step,
        now,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("DELETE FROM recovery_code WHERE account_id = $1", account.as_uuid()).execute(&mut *tx).await?;
    let codes: Vec<Vec<u8>> = codes.iter().map(|code| code.to_vec()).collect();
    sqlx::query!(
        "INSERT INTO recovery_code (account_id, brand_id, code_hash) SELECT $1, $2, code FROM UNNEST($3::bytea[]) AS c(code)",
        account.as_uuid(),
        realm.brand().map(|brand| brand.as_uuid()),
        &codes,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes the step a code was accepted for.
pub async fn set_last_step(tx: &mut PgConnection, account: AccountId, step: i64) -> sqlx::Result<()> {
    sqlx::query!("UPDATE second_factor SET last_step = $2 WHERE account_id = $1", account.as_uuid(), step)
        .execute(tx)
        .await?;
    Ok(())
}

/// Uses a recovery code up; false when there is none such or it was used.
pub async fn use_recovery_code(
    tx: &mut PgConnection,
    account: AccountId,
    code: &Hash,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let used = sqlx::query!(
        "UPDATE recovery_code SET used_at = $3 WHERE account_id = $1 AND code_hash = $2 AND used_at IS NULL",
        account.as_uuid(),
        code.as_slice(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(used.rows_affected() == 1)
}

/// Removes the second factor with its codes; false when there was none.
pub async fn remove(tx: &mut PgConnection, account: AccountId) -> sqlx::Result<bool> {
    sqlx::query!("DELETE FROM recovery_code WHERE account_id = $1", account.as_uuid()).execute(&mut *tx).await?;
    let gone = sqlx::query!("DELETE FROM second_factor WHERE account_id = $1", account.as_uuid()).execute(tx).await?;
    Ok(gone.rows_affected() == 1)
}
