//! Resellers, their clients, and who of these is not served because of them.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, InvoiceId, SubscriptionId};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;

use super::unreadable;
use crate::domain::reseller::Reseller;

/// A reseller and how things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Who.
    pub reseller: Reseller,
    /// Their name, as invoices show it.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
    /// The due date of what they owe the longest; none when nothing is due.
    pub oldest_due: Option<DateTime<Utc>>,
    /// How many clients they have.
    pub clients: i64,
}

/// A client of a reseller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Who.
    pub account: AccountId,
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Subscriptions that are not served because of the reseller.
    pub stopped: i64,
}

/// Makes a customer a reseller, or changes their grace. The caller holds the customer's lock.
pub async fn put(tx: &mut PgTransaction<'_>, brand: BrandId, reseller: &Reseller) -> sqlx::Result<()> {
    sqlx::query!("INSERT INTO reseller_brand (brand_id) VALUES ($1) ON CONFLICT DO NOTHING", brand.as_uuid())
        .execute(&mut **tx)
        .await?;
    sqlx::query!(
        "INSERT INTO reseller (brand_id, account_id, grace_days, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (brand_id, account_id) DO UPDATE SET grace_days = EXCLUDED.grace_days",
        brand.as_uuid(),
        reseller.account.as_uuid(),
        i32::try_from(reseller.grace_days).unwrap_or(i32::MAX),
        reseller.created_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A reseller, locked: who is added to their clients, and whether they stay one, is decided by one at a time.
pub async fn lock(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<Option<Reseller>> {
    let row = sqlx::query!(
        "SELECT grace_days, created_at FROM reseller WHERE brand_id = ottery_brand() AND account_id = $1 FOR UPDATE",
        account.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| Ok(Reseller { account, grace_days: days(row.grace_days)?, created_at: row.created_at })).transpose()
}

fn days(stored: i32) -> sqlx::Result<u32> {
    u32::try_from(stored).map_err(|_| unreadable("reseller", "grace_days", stored))
}

/// A reseller is an ordinary customer again; the caller moved their clients.
pub async fn delete(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM reseller WHERE brand_id = ottery_brand() AND account_id = $1", account.as_uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// One reseller, or the newest first.
pub async fn list(tx: &mut PgTransaction<'_>, only: Option<AccountId>, page: super::Page) -> sqlx::Result<Vec<Listed>> {
    let rows = sqlx::query!(
        r#"SELECT r.account_id, r.grace_days, r.created_at, c.display_name, c.email,
                  (SELECT min(i.due_at) FROM invoice i
                    WHERE i.brand_id = r.brand_id AND i.account_id = r.account_id AND i.state = 'open') AS oldest_due,
                  (SELECT count(*) FROM reseller_client k
                    WHERE k.brand_id = r.brand_id AND k.reseller_id = r.account_id) AS "clients!"
             FROM reseller r JOIN customer c ON c.brand_id = r.brand_id AND c.account_id = r.account_id
            WHERE r.brand_id = ottery_brand() AND ($1::uuid IS NULL OR r.account_id = $1)
              AND ($2::uuid IS NULL OR r.account_id < $2)
            ORDER BY r.account_id DESC LIMIT $3"#,
        only.map(|account| account.as_uuid()),
        page.before,
        page.limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Listed {
                reseller: Reseller {
                    account: AccountId::from_uuid(row.account_id),
                    grace_days: days(row.grace_days)?,
                    created_at: row.created_at,
                },
                name: row.display_name,
                email: row.email,
                oldest_due: row.oldest_due,
                clients: row.clients,
            })
        })
        .collect()
}

/// Clients of a reseller, by their ids.
pub async fn clients(tx: &mut PgTransaction<'_>, reseller: AccountId, page: super::Page) -> sqlx::Result<Vec<Client>> {
    let rows = sqlx::query!(
        r#"SELECT k.account_id, k.since, c.display_name, c.email,
                  (SELECT count(*) FROM subscription s
                    WHERE s.brand_id = k.brand_id AND s.account_id = k.account_id AND s.cause = 'reseller') AS "stopped!"
             FROM reseller_client k JOIN customer c ON c.brand_id = k.brand_id AND c.account_id = k.account_id
            WHERE k.brand_id = ottery_brand() AND k.reseller_id = $1 AND ($2::uuid IS NULL OR k.account_id < $2)
            ORDER BY k.account_id DESC LIMIT $3"#,
        reseller.as_uuid(),
        page.before,
        page.limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Client {
            account: AccountId::from_uuid(row.account_id),
            name: row.display_name,
            email: row.email,
            since: row.since,
            stopped: row.stopped,
        })
        .collect())
}

/// Whose client somebody is.
pub async fn of_client(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<Option<AccountId>> {
    let found = sqlx::query_scalar!(
        "SELECT reseller_id FROM reseller_client WHERE brand_id = ottery_brand() AND account_id = $1",
        account.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found.map(AccountId::from_uuid))
}

/// Whether somebody has clients.
pub async fn has_clients(tx: &mut PgTransaction<'_>, reseller: AccountId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM reseller_client WHERE brand_id = ottery_brand() AND reseller_id = $1) AS "has!""#,
        reseller.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await
}

/// Makes somebody a client of this reseller; who was another's is this one's from now on.
pub async fn put_client(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    account: AccountId,
    reseller: AccountId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO reseller_client (brand_id, account_id, reseller_id, since) VALUES ($1, $2, $3, $4)
         ON CONFLICT (brand_id, account_id) DO UPDATE SET reseller_id = EXCLUDED.reseller_id, since = EXCLUDED.since",
        brand.as_uuid(),
        account.as_uuid(),
        reseller.as_uuid(),
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Somebody is nobody's client any more.
pub async fn drop_client(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM reseller_client WHERE brand_id = ottery_brand() AND account_id = $1", account.as_uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Gives all clients of one reseller to another, or to nobody; how many.
pub async fn move_clients(
    tx: &mut PgTransaction<'_>,
    from: AccountId,
    to: Option<AccountId>,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let moved = match to {
        Some(to) => {
            sqlx::query!(
                "UPDATE reseller_client SET reseller_id = $2, since = $3
                  WHERE brand_id = ottery_brand() AND reseller_id = $1",
                from.as_uuid(),
                to.as_uuid(),
                now,
            )
            .execute(&mut **tx)
            .await?
        }
        None => {
            sqlx::query!(
                "DELETE FROM reseller_client WHERE brand_id = ottery_brand() AND reseller_id = $1",
                from.as_uuid()
            )
            .execute(&mut **tx)
            .await?
        }
    };
    Ok(moved.rows_affected())
}

/// Brands that have resellers; needs no scope.
pub async fn brands(pool: &PgPool) -> sqlx::Result<Vec<BrandId>> {
    let found = sqlx::query_scalar!("SELECT brand_id FROM reseller_brand ORDER BY brand_id").fetch_all(pool).await?;
    Ok(found.into_iter().map(BrandId::from_uuid).collect())
}

/// Subscriptions that are served although the grace of their reseller is over, each with what the reseller owes; at most so
/// many. Those somebody holds are left alone.
pub async fn to_stop(
    tx: &mut PgTransaction<'_>,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<(SubscriptionId, InvoiceId)>> {
    let rows = sqlx::query!(
        r#"SELECT s.id, l.invoice_id AS "invoice_id!"
             FROM lapsed_reseller($1) l
             JOIN reseller_client k ON k.brand_id = ottery_brand() AND k.reseller_id = l.account_id
             JOIN subscription s ON s.brand_id = k.brand_id AND s.account_id = k.account_id
            WHERE s.state IN ('trialing', 'active', 'past_due')
              AND NOT EXISTS (SELECT FROM suspension_hold h
                               WHERE h.brand_id = s.brand_id AND h.subscription_id = s.id AND h.until > $1
                                 AND h.released_at IS NULL)
            ORDER BY s.id LIMIT $2"#,
        now,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (SubscriptionId::from_uuid(row.id), InvoiceId::from_uuid(row.invoice_id))).collect())
}

/// Subscriptions that are not served because of a reseller who has paid meanwhile, or is theirs no more, or that staff hold; at
/// most so many.
pub async fn to_serve(tx: &mut PgTransaction<'_>, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<SubscriptionId>> {
    let rows = sqlx::query_scalar!(
        "SELECT s.id FROM subscription s
          WHERE s.brand_id = ottery_brand() AND s.cause = 'reseller' AND s.state = 'suspended'
            AND (NOT EXISTS (SELECT FROM reseller_client k JOIN lapsed_reseller($1) l ON l.account_id = k.reseller_id
                              WHERE k.brand_id = s.brand_id AND k.account_id = s.account_id)
                 OR EXISTS (SELECT FROM suspension_hold h
                             WHERE h.brand_id = s.brand_id AND h.subscription_id = s.id AND h.until > $1
                               AND h.source = 'staff'))
          ORDER BY s.id LIMIT $2",
        now,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(SubscriptionId::from_uuid).collect())
}

/// How many subscriptions wait to be stopped or served again.
pub async fn waiting(tx: &mut PgTransaction<'_>, now: DateTime<Utc>) -> sqlx::Result<usize> {
    const LOOKED_AT: i64 = 100_000;
    Ok(to_stop(tx, now, LOOKED_AT).await?.len() + to_serve(tx, now, LOOKED_AT).await?.len())
}

/// When the next grace of a reseller ends, after `now`; none when nothing is owed.
pub async fn next_lapse(tx: &mut PgTransaction<'_>, now: DateTime<Utc>) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        "SELECT min(i.due_at + make_interval(hours => 24 * r.grace_days))
           FROM reseller r
           JOIN invoice i ON i.brand_id = r.brand_id AND i.account_id = r.account_id AND i.state = 'open'
          WHERE r.brand_id = ottery_brand() AND i.due_at + make_interval(hours => 24 * r.grace_days) > $1",
        now
    )
    .fetch_one(&mut **tx)
    .await
}
