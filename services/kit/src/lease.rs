//! Leases by name, for workers of which one at a time is enough.
//!
//! Times are the database's, so no clock of ours can shorten or stretch one. `token` grows with every change of
//! hands; a worker whose writes must not come from the past calls [`check`] in its final transaction.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgTransaction;

/// A lease that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What it is for.
    pub name: String,
    /// Who holds it.
    pub owner: String,
    /// Fencing token.
    pub token: i64,
}

/// Takes or renews the lease `name` for `ttl`; `None` while somebody else holds it. Renewing keeps the token.
pub async fn acquire(pool: &PgPool, name: &str, owner: &str, ttl: Duration) -> sqlx::Result<Option<Lease>> {
    let token = sqlx::query_scalar!(
        "INSERT INTO worker_lease AS l (name, owner, token, lease_until)
         VALUES ($1, $2, 1, now() + make_interval(secs => $3))
         ON CONFLICT (name) DO UPDATE SET owner = $2, lease_until = EXCLUDED.lease_until,
             token = CASE WHEN l.owner = $2 AND l.lease_until > now() THEN l.token ELSE l.token + 1 END
          WHERE l.owner = $2 OR l.lease_until <= now()
         RETURNING token",
        name,
        owner,
        ttl.as_secs_f64()
    )
    .fetch_optional(pool)
    .await?;
    Ok(token.map(|token| Lease { name: name.to_owned(), owner: owner.to_owned(), token }))
}

/// Gives it back early.
pub async fn release(pool: &PgPool, lease: &Lease) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE worker_lease SET owner = NULL, lease_until = '-infinity' WHERE name = $1 AND token = $2",
        lease.name,
        lease.token
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Whether the lease still has this holder; the row stays locked, so it remains true until the commit.
pub async fn check(tx: &mut PgTransaction<'_>, lease: &Lease) -> sqlx::Result<bool> {
    let current = sqlx::query_scalar!("SELECT token FROM worker_lease WHERE name = $1 FOR SHARE", lease.name)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(current == Some(lease.token))
}
