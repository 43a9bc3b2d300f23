//! Mails that were asked for.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::AccountId;
use sqlx::PgConnection;

use crate::domain::Account;
use crate::domain::mail::{MailRequestId, Purpose};
use crate::domain::token::Hash;

/// A mail request that is still open.
#[derive(Clone, Debug)]
pub struct Open {
    /// To whom.
    pub account: AccountId,
    /// Why.
    pub purpose: Purpose,
}

/// Keeps a request; an open one of the same purpose is void from now on, and its link with it.
pub async fn insert(
    tx: &mut PgConnection,
    id: MailRequestId,
    account: &Account,
    purpose: Purpose,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE mail_request SET closed_at = $3 WHERE account_id = $1 AND purpose = $2 AND closed_at IS NULL",
        account.id.as_uuid(),
        purpose.as_str(),
        now,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO mail_request (id, brand_id, account_id, purpose, email, requested_at) VALUES ($1, $2, $3, $4, $5, $6)",
        id.as_uuid(),
        account.realm.brand().map(|brand| brand.as_uuid()),
        account.id.as_uuid(),
        purpose.as_str(),
        account.email.as_str(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// An open request; the row stays locked.
pub async fn lock_open(tx: &mut PgConnection, id: MailRequestId) -> sqlx::Result<Option<Open>> {
    let row = sqlx::query!(
        "SELECT account_id, purpose FROM mail_request WHERE id = $1 AND closed_at IS NULL FOR UPDATE",
        id.as_uuid()
    )
    .fetch_optional(tx)
    .await?;
    row.map(|row| open(row.account_id, &row.purpose)).transpose()
}

/// Puts a token in place of the one minted before.
pub async fn set_token(
    tx: &mut PgConnection,
    id: MailRequestId,
    token: &Hash,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE mail_request SET token_hash = $2, expires_at = $3 WHERE id = $1",
        id.as_uuid(),
        token.as_slice(),
        expires_at
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The open request behind a token that has not run out, for an account that still has the address it was sent to.
pub async fn by_token(tx: &mut PgConnection, token: &Hash, now: DateTime<Utc>) -> sqlx::Result<Option<Open>> {
    let row = sqlx::query!(
        "SELECT m.account_id, m.purpose FROM mail_request m JOIN account a ON a.id = m.account_id \
         WHERE m.token_hash = $1 AND m.closed_at IS NULL AND m.expires_at > $2 AND a.email = m.email",
        token.as_slice(),
        now,
    )
    .fetch_optional(tx)
    .await?;
    row.map(|row| open(row.account_id, &row.purpose)).transpose()
}

/// Uses a token up; false when somebody else did.
pub async fn use_token(tx: &mut PgConnection, token: &Hash, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let used = sqlx::query!(
        "UPDATE mail_request SET closed_at = $2 WHERE token_hash = $1 AND closed_at IS NULL",
        token.as_slice(),
        now
    )
    .execute(tx)
    .await?;
    Ok(used.rows_affected() == 1)
}

/// Voids every link of an account that could set a password.
pub async fn void_password_links(tx: &mut PgConnection, account: AccountId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE mail_request SET closed_at = $2 \
         WHERE account_id = $1 AND closed_at IS NULL AND purpose IN ('reset_password', 'staff_invitation')",
        account.as_uuid(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes old requests.
pub async fn prune(tx: &mut PgConnection, now: DateTime<Utc>, keep: TimeDelta) -> sqlx::Result<u64> {
    let gone = sqlx::query!("DELETE FROM mail_request WHERE requested_at < $1", now - keep).execute(tx).await?;
    Ok(gone.rows_affected())
}

fn open(account: uuid::Uuid, purpose: &str) -> sqlx::Result<Open> {
    let purpose =
        Purpose::from_stored(purpose).ok_or_else(|| sqlx::Error::Decode(format!("mail purpose `{purpose}`").into()))?;
    Ok(Open { account: AccountId::from_uuid(account), purpose })
}
