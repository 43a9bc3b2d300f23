//! Accounts.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Account, Email, Realm};

struct Row {
    id: Uuid,
    brand_id: Option<Uuid>,
    email: String,
    password_hash: Option<String>,
    email_verified: bool,
    display_name: String,
    locale: String,
    country: String,
    totp_enrolled: bool,
    created_at: DateTime<Utc>,
}

impl From<Row> for Account {
    fn from(row: Row) -> Self {
        Self {
            id: AccountId::from_uuid(row.id),
            realm: Realm::of(row.brand_id.map(BrandId::from_uuid)),
            email: Email::stored(row.email),
            password_hash: row.password_hash,
            email_verified: row.email_verified,
            display_name: row.display_name,
            locale: row.locale,
            country: row.country,
            totp_enrolled: row.totp_enrolled,
            created_at: row.created_at,
        }
    }
}

/// Adds an account; false when the address is taken.
pub async fn insert(tx: &mut PgConnection, account: &Account) -> sqlx::Result<bool> {
    let added = sqlx::query!(
        "INSERT INTO account (id, brand_id, email, password_hash, password_changed_at, email_verified_at, display_name, \
                              locale, country, created_at) \
         VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN $5::timestamptz END, $7, $8, $9, $5) \
         ON CONFLICT ON CONSTRAINT account_email DO NOTHING",
        account.id.as_uuid(),
        account.realm.brand().map(|brand| brand.as_uuid()),
        account.email.as_str(),
        account.password_hash,
        account.created_at,
        account.email_verified,
        account.display_name,
        account.locale,
        account.country,
    )
    .execute(tx)
    .await?;
    Ok(added.rows_affected() == 1)
}

/// The account of that address in a realm.
pub async fn by_email(tx: &mut PgConnection, realm: Realm, email: &Email) -> sqlx::Result<Option<Account>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT a.id, a.brand_id, a.email, a.password_hash, a.email_verified_at IS NOT NULL AS "email_verified!",
                  a.display_name, a.locale, a.country, f.confirmed_at IS NOT NULL AS "totp_enrolled!", a.created_at
           FROM account a LEFT JOIN second_factor f ON f.account_id = a.id
           WHERE a.email = $1 AND (a.brand_id = $2 OR ($2::uuid IS NULL AND a.brand_id IS NULL))"#,
        email.as_str(),
        realm.brand().map(|brand| brand.as_uuid()),
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(Into::into))
}

/// The account of that id, when the transaction may see it.
pub async fn get(tx: &mut PgConnection, id: AccountId) -> sqlx::Result<Option<Account>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT a.id, a.brand_id, a.email, a.password_hash, a.email_verified_at IS NOT NULL AS "email_verified!",
                  a.display_name, a.locale, a.country, f.confirmed_at IS NOT NULL AS "totp_enrolled!", a.created_at
           FROM account a LEFT JOIN second_factor f ON f.account_id = a.id WHERE a.id = $1"#,
        id.as_uuid(),
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(Into::into))
}

/// As [`get`]; nobody else changes its credentials until the transaction ends.
pub async fn lock(tx: &mut PgConnection, id: AccountId) -> sqlx::Result<Option<Account>> {
    let locked = sqlx::query_scalar!("SELECT id FROM account WHERE id = $1 FOR UPDATE", id.as_uuid())
        .fetch_optional(&mut *tx)
        .await?;
    if locked.is_none() {
        return Ok(None);
    }
    get(tx, id).await
}

/// Which accounts a list shows.
#[derive(Clone, Debug)]
pub struct Filter<'a> {
    /// Customers of a brand, or staff.
    pub realm: Realm,
    /// Staff: only those with a grant that counts in this brand.
    pub granted_in: Option<BrandId>,
    /// What the address starts with.
    pub prefix: &'a str,
    /// Older than this one.
    pub before: Option<AccountId>,
    /// At most so many.
    pub limit: i64,
}

/// Accounts, newest first.
pub async fn list(tx: &mut PgConnection, filter: &Filter<'_>) -> sqlx::Result<Vec<Account>> {
    let prefix = filter.prefix.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_") + "%";
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT a.id, a.brand_id, a.email, a.password_hash, a.email_verified_at IS NOT NULL AS "email_verified!",
                  a.display_name, a.locale, a.country, f.confirmed_at IS NOT NULL AS "totp_enrolled!", a.created_at
           FROM account a LEFT JOIN second_factor f ON f.account_id = a.id
           WHERE (a.brand_id = $1 OR ($1::uuid IS NULL AND a.brand_id IS NULL))
             AND a.email LIKE $2 AND ($3::uuid IS NULL OR a.id < $3)
             AND ($4::uuid IS NULL OR EXISTS (SELECT FROM role_grant g WHERE g.account_id = a.id
                                              AND (g.scope_brand_id = $4 OR g.scope_brand_id IS NULL)))
           ORDER BY a.id DESC LIMIT $5"#,
        filter.realm.brand().map(|brand| brand.as_uuid()),
        prefix,
        filter.before.map(|id| id.as_uuid()),
        filter.granted_in.map(|brand| brand.as_uuid()),
        filter.limit,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Stores the same password under newer parameters; sessions stay.
pub async fn rehash(tx: &mut PgConnection, id: AccountId, phc: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE account SET password_hash = $2 WHERE id = $1", id.as_uuid(), phc).execute(tx).await?;
    Ok(())
}

/// Stores another password.
pub async fn set_password(tx: &mut PgConnection, id: AccountId, phc: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE account SET password_hash = $2, password_changed_at = $3 WHERE id = $1",
        id.as_uuid(),
        phc,
        now
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes that the address was proven.
pub async fn verify_email(tx: &mut PgConnection, id: AccountId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE account SET email_verified_at = coalesce(email_verified_at, $2) WHERE id = $1",
        id.as_uuid(),
        now
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes the next version for an event about the account; the row stays locked, so versions commit in order.
pub async fn next_event_version(tx: &mut PgConnection, id: AccountId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "UPDATE account SET event_version = event_version + 1 WHERE id = $1 RETURNING event_version",
        id.as_uuid()
    )
    .fetch_one(tx)
    .await
}
