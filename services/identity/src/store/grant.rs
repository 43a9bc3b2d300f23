//! Grants of roles to staff.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, GrantId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::Role;
use crate::domain::role::Held;

/// A grant as stored.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// Identity.
    pub id: GrantId,
    /// Who holds it.
    pub account: AccountId,
    /// What and where.
    pub held: Held,
}

struct Row {
    id: Uuid,
    account_id: Uuid,
    role: String,
    scope_brand_id: Option<Uuid>,
}

impl TryFrom<Row> for Stored {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let role: Role = row.role.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(Self {
            id: GrantId::from_uuid(row.id),
            account: AccountId::from_uuid(row.account_id),
            held: Held { role, brand: row.scope_brand_id.map(BrandId::from_uuid) },
        })
    }
}

/// Adds a grant, or finds the same one; says whether it is new.
pub async fn insert(
    tx: &mut PgConnection,
    grant: Stored,
    granted_by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<(GrantId, bool)> {
    let scope = grant.held.brand.map(|brand| brand.as_uuid());
    let added = sqlx::query!(
        "INSERT INTO role_grant (id, account_id, role, scope_brand_id, granted_by, granted_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (account_id, role, scope_brand_id) DO NOTHING",
        grant.id.as_uuid(),
        grant.account.as_uuid(),
        grant.held.role.as_str(),
        scope,
        granted_by,
        now,
    )
    .execute(&mut *tx)
    .await?;
    let id = sqlx::query_scalar!(
        "SELECT id FROM role_grant WHERE account_id = $1 AND role = $2 AND scope_brand_id IS NOT DISTINCT FROM $3",
        grant.account.as_uuid(),
        grant.held.role.as_str(),
        scope,
    )
    .fetch_one(tx)
    .await?;
    Ok((GrantId::from_uuid(id), added.rows_affected() == 1))
}

/// What an account holds.
pub async fn list(tx: &mut PgConnection, account: AccountId) -> sqlx::Result<Vec<Stored>> {
    sqlx::query_as!(
        Row,
        "SELECT id, account_id, role, scope_brand_id FROM role_grant WHERE account_id = $1 ORDER BY id LIMIT 1000",
        account.as_uuid()
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// A grant; the row stays locked.
pub async fn lock(tx: &mut PgConnection, id: GrantId) -> sqlx::Result<Option<Stored>> {
    sqlx::query_as!(
        Row,
        "SELECT id, account_id, role, scope_brand_id FROM role_grant WHERE id = $1 FOR UPDATE",
        id.as_uuid()
    )
    .fetch_optional(tx)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// Takes a grant away.
pub async fn delete(tx: &mut PgConnection, id: GrantId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM role_grant WHERE id = $1", id.as_uuid()).execute(tx).await?;
    Ok(())
}

/// How many own the whole platform; their rows stay locked, so two owners cannot remove each other.
pub async fn lock_platform_owners(tx: &mut PgConnection) -> sqlx::Result<usize> {
    let owners = sqlx::query_scalar!(
        "SELECT id FROM role_grant WHERE role = 'owner' AND scope_brand_id IS NULL ORDER BY id FOR UPDATE"
    )
    .fetch_all(tx)
    .await?;
    Ok(owners.len())
}
