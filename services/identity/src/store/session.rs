//! Sessions and sign-in challenges.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, SessionId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::token::Hash;
use crate::domain::{Device, Realm, SessionKind};

/// A session as stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Identity.
    pub id: SessionId,
    /// Where its account lives.
    pub realm: Realm,
    /// Whose.
    pub account: AccountId,
    /// What it may be used for.
    pub kind: SessionKind,
    /// From where.
    pub device: Device,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_seen_at: DateTime<Utc>,
    /// When the person last proved who they are.
    pub authenticated_at: DateTime<Utc>,
    /// Ends unless it is used.
    pub idle_deadline: DateTime<Utc>,
    /// Ends.
    pub absolute_deadline: DateTime<Utc>,
}

struct Row {
    id: Uuid,
    brand_id: Option<Uuid>,
    account_id: Uuid,
    kind: String,
    user_agent: String,
    client_ip: String,
    created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    authenticated_at: DateTime<Utc>,
    idle_deadline: DateTime<Utc>,
    absolute_deadline: DateTime<Utc>,
}

impl From<Row> for Stored {
    fn from(row: Row) -> Self {
        Self {
            id: SessionId::from_uuid(row.id),
            realm: Realm::of(row.brand_id.map(BrandId::from_uuid)),
            account: AccountId::from_uuid(row.account_id),
            kind: SessionKind::from_stored(&row.kind),
            device: Device { user_agent: row.user_agent, client_ip: row.client_ip },
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            authenticated_at: row.authenticated_at,
            idle_deadline: row.idle_deadline,
            absolute_deadline: row.absolute_deadline,
        }
    }
}

/// Adds a session.
pub async fn insert(tx: &mut PgConnection, session: &Stored, secret: &Hash) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO session (id, brand_id, account_id, secret_hash, kind, user_agent, client_ip, created_at, \
                              last_seen_at, authenticated_at, idle_deadline, absolute_deadline) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        session.id.as_uuid(),
        session.realm.brand().map(|brand| brand.as_uuid()),
        session.account.as_uuid(),
        secret.as_slice(),
        session.kind.as_str(),
        session.device.user_agent,
        session.device.client_ip,
        session.created_at,
        session.last_seen_at,
        session.authenticated_at,
        session.idle_deadline,
        session.absolute_deadline,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The live session behind a secret.
pub async fn live(tx: &mut PgConnection, secret: &Hash, now: DateTime<Utc>) -> sqlx::Result<Option<Stored>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, brand_id, account_id, kind, user_agent, client_ip, created_at, last_seen_at, authenticated_at, \
                idle_deadline, absolute_deadline \
         FROM session WHERE secret_hash = $1 AND revoked_at IS NULL AND idle_deadline > $2 AND absolute_deadline > $2",
        secret.as_slice(),
        now,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(Into::into))
}

/// The live session of that id.
pub async fn live_by_id(tx: &mut PgConnection, id: SessionId, now: DateTime<Utc>) -> sqlx::Result<Option<Stored>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, brand_id, account_id, kind, user_agent, client_ip, created_at, last_seen_at, authenticated_at, \
                idle_deadline, absolute_deadline \
         FROM session WHERE id = $1 AND revoked_at IS NULL AND idle_deadline > $2 AND absolute_deadline > $2",
        id.as_uuid(),
        now,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(Into::into))
}

/// Live sessions of an account, newest first.
pub async fn list(tx: &mut PgConnection, account: AccountId, now: DateTime<Utc>) -> sqlx::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, brand_id, account_id, kind, user_agent, client_ip, created_at, last_seen_at, authenticated_at, \
                idle_deadline, absolute_deadline \
         FROM session \
         WHERE account_id = $1 AND revoked_at IS NULL AND idle_deadline > $2 AND absolute_deadline > $2 \
         ORDER BY id DESC LIMIT 100",
        account.as_uuid(),
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Moves the idle deadline of a session that is being used.
pub async fn touch(
    tx: &mut PgConnection,
    id: SessionId,
    now: DateTime<Utc>,
    idle_deadline: DateTime<Utc>,
    client_ip: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE session SET last_seen_at = $2, idle_deadline = $3, client_ip = CASE WHEN $4 = '' THEN client_ip ELSE $4 END \
         WHERE id = $1 AND revoked_at IS NULL",
        id.as_uuid(),
        now,
        idle_deadline,
        client_ip,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes that the person proved again who they are.
pub async fn reauthenticated(tx: &mut PgConnection, id: SessionId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("UPDATE session SET authenticated_at = $2 WHERE id = $1", id.as_uuid(), now).execute(tx).await?;
    Ok(())
}

/// Ends one session; false when it had ended.
pub async fn revoke(tx: &mut PgConnection, id: SessionId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let ended =
        sqlx::query!("UPDATE session SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", id.as_uuid(), now)
            .execute(tx)
            .await?;
    Ok(ended.rows_affected() == 1)
}

/// Ends all sessions of an account and forgets half-done sign-ins; says how many sessions were live.
pub async fn revoke_all(tx: &mut PgConnection, account: AccountId, now: DateTime<Utc>) -> sqlx::Result<u32> {
    sqlx::query!("DELETE FROM sign_in_challenge WHERE account_id = $1", account.as_uuid()).execute(&mut *tx).await?;
    let live = sqlx::query_scalar!(
        r#"WITH ended AS (UPDATE session SET revoked_at = $2 WHERE account_id = $1 AND revoked_at IS NULL
                          RETURNING idle_deadline)
           SELECT count(*) FILTER (WHERE idle_deadline > $2) AS "live!" FROM ended"#,
        account.as_uuid(),
        now,
    )
    .fetch_one(tx)
    .await?;
    Ok(u32::try_from(live).unwrap_or(u32::MAX))
}

/// Remembers that the first factor was right.
pub async fn insert_challenge(
    tx: &mut PgConnection,
    secret: &Hash,
    realm: Realm,
    account: AccountId,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO sign_in_challenge (secret_hash, brand_id, account_id, expires_at) VALUES ($1, $2, $3, $4)",
        secret.as_slice(),
        realm.brand().map(|brand| brand.as_uuid()),
        account.as_uuid(),
        expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Whose challenge it is.
pub async fn challenged(tx: &mut PgConnection, secret: &Hash, now: DateTime<Utc>) -> sqlx::Result<Option<AccountId>> {
    let account = sqlx::query_scalar!(
        "SELECT account_id FROM sign_in_challenge WHERE secret_hash = $1 AND expires_at > $2",
        secret.as_slice(),
        now
    )
    .fetch_optional(tx)
    .await?;
    Ok(account.map(AccountId::from_uuid))
}

/// Uses a challenge up; false when somebody else did.
pub async fn take_challenge(tx: &mut PgConnection, secret: &Hash) -> sqlx::Result<bool> {
    let taken =
        sqlx::query!("DELETE FROM sign_in_challenge WHERE secret_hash = $1", secret.as_slice()).execute(tx).await?;
    Ok(taken.rows_affected() == 1)
}

/// Removes what ended long ago; says how many rows went.
pub async fn prune(tx: &mut PgConnection, now: DateTime<Utc>, keep: TimeDelta) -> sqlx::Result<u64> {
    let challenges = sqlx::query!("DELETE FROM sign_in_challenge WHERE expires_at < $1", now).execute(&mut *tx).await?;
    let sessions =
        sqlx::query!("DELETE FROM session WHERE absolute_deadline < $1", now - keep).execute(&mut *tx).await?;
    Ok(challenges.rows_affected() + sessions.rows_affected())
}
