//! The first way in.

use chrono::{DateTime, Utc};
use ottery_kernel::AccountId;
use sqlx::PgConnection;

use super::hash;
use crate::domain::token::Hash;

/// Keeps the hash of a token unless there is one already; false then.
pub async fn mint(tx: &mut PgConnection, token: &Hash) -> sqlx::Result<bool> {
    let minted = sqlx::query!("INSERT INTO setup (token_hash) VALUES ($1) ON CONFLICT DO NOTHING", token.as_slice())
        .execute(tx)
        .await?;
    Ok(minted.rows_affected() == 1)
}

/// Whether the way in is open.
pub async fn is_open(tx: &mut PgConnection) -> sqlx::Result<bool> {
    let open = sqlx::query_scalar!(r#"SELECT closed_at IS NULL AS "open!" FROM setup"#).fetch_optional(tx).await?;
    Ok(open.unwrap_or(false))
}

/// The hash of the token while the way in is open; the row stays locked.
pub async fn lock_open(tx: &mut PgConnection) -> sqlx::Result<Option<Hash>> {
    let token = sqlx::query_scalar!("SELECT token_hash FROM setup WHERE closed_at IS NULL FOR UPDATE")
        .fetch_optional(tx)
        .await?;
    token.map(hash).transpose()
}

/// Closes it for ever.
pub async fn close(tx: &mut PgConnection, owner: AccountId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("UPDATE setup SET closed_at = $1, account_id = $2", now, owner.as_uuid()).execute(tx).await?;
    Ok(())
}
