//! Known devices.

use chrono::{DateTime, Utc};
use ottery_kernel::AccountId;
use sqlx::PgConnection;

use crate::domain::Realm;
use crate::domain::token::Hash;

/// How well a device is known to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Familiarity {
    /// From this very place before.
    pub exact: bool,
    /// From around here before.
    pub near: bool,
    /// From anywhere before.
    pub any: bool,
}

/// How well it is known.
pub async fn familiarity(
    tx: &mut PgConnection,
    account: AccountId,
    exact: &Hash,
    near: &Hash,
) -> sqlx::Result<Familiarity> {
    sqlx::query_as!(
        Familiarity,
        r#"SELECT coalesce(bool_or(exact = $2), false) AS "exact!", coalesce(bool_or(near = $3), false) AS "near!",
                  count(*) > 0 AS "any!"
           FROM known_device WHERE account_id = $1"#,
        account.as_uuid(),
        exact.as_slice(),
        near.as_slice(),
    )
    .fetch_one(tx)
    .await
}

/// Remembers a device somebody signed in from.
pub async fn remember(
    tx: &mut PgConnection,
    realm: Realm,
    account: AccountId,
    exact: &Hash,
    near: &Hash,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO known_device (account_id, brand_id, exact, near, last_seen_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (account_id, exact) DO UPDATE SET last_seen_at = EXCLUDED.last_seen_at",
        account.as_uuid(),
        realm.brand().map(|brand| brand.as_uuid()),
        exact.as_slice(),
        near.as_slice(),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
