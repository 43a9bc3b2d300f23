//! Affiliates, clicks, a brand's terms.

use chrono::{DateTime, NaiveDate, Utc};
use ottery_kernel::{AccountId, AffiliateId, BrandId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::commission::Referrer;

/// An affiliate with its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affiliate {
    /// Identity.
    pub id: AffiliateId,
    /// Their account.
    pub account: AccountId,
    /// Part of their link.
    pub code: String,
    /// Visits over the link.
    pub clicks: i64,
    /// Customers they brought.
    pub referrals: i64,
    /// When they joined.
    pub joined_at: DateTime<Utc>,
}

/// What a brand pays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Basis points of the first net payment.
    pub rate_bp: u32,
    /// Days a commission stays pending.
    pub hold_days: u32,
}

struct Row {
    id: Uuid,
    account_id: Uuid,
    code: String,
    clicks: i64,
    referrals: i64,
    joined_at: DateTime<Utc>,
}

impl From<Row> for Affiliate {
    fn from(row: Row) -> Self {
        Self {
            id: AffiliateId::from_uuid(row.id),
            account: AccountId::from_uuid(row.account_id),
            code: row.code,
            clicks: row.clicks,
            referrals: row.referrals,
            joined_at: row.joined_at,
        }
    }
}

/// Adds an affiliate unless the account has one or the code is taken; says whether it was added.
pub async fn insert(
    tx: &mut PgConnection,
    brand: BrandId,
    id: AffiliateId,
    account: AccountId,
    email: &str,
    code: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let added = sqlx::query!(
        "INSERT INTO affiliate (id, brand_id, account_id, email, code, joined_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT DO NOTHING",
        id.as_uuid(),
        brand.as_uuid(),
        account.as_uuid(),
        email,
        code,
        now,
    )
    .execute(tx)
    .await?;
    Ok(added.rows_affected() == 1)
}

/// The affiliate of that id or of that account.
pub async fn get(
    tx: &mut PgConnection,
    id: Option<AffiliateId>,
    account: Option<AccountId>,
) -> sqlx::Result<Option<Affiliate>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT a.id, a.account_id, a.code, a.joined_at, \
         (SELECT coalesce(sum(clicks), 0)::bigint FROM click_day c WHERE c.affiliate_id = a.id) AS \"clicks!\", \
         (SELECT count(*) FROM commission c WHERE c.affiliate_id = a.id) AS \"referrals!\" \
         FROM affiliate a WHERE ($1::uuid IS NULL OR a.id = $1) AND ($2::uuid IS NULL OR a.account_id = $2) \
         AND ($1::uuid IS NOT NULL OR $2::uuid IS NOT NULL)",
        id.map(|id| id.as_uuid()),
        account.map(|id| id.as_uuid()),
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(Into::into))
}

/// Affiliates, newest first.
pub async fn list(tx: &mut PgConnection, before: Option<AffiliateId>, limit: i64) -> sqlx::Result<Vec<Affiliate>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT a.id, a.account_id, a.code, a.joined_at, \
         (SELECT coalesce(sum(clicks), 0)::bigint FROM click_day c WHERE c.affiliate_id = a.id) AS \"clicks!\", \
         (SELECT count(*) FROM commission c WHERE c.affiliate_id = a.id) AS \"referrals!\" \
         FROM affiliate a WHERE $1::uuid IS NULL OR a.id < $1 ORDER BY a.id DESC LIMIT $2",
        before.map(|id| id.as_uuid()),
        limit,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Who a code belongs to.
pub async fn by_code(tx: &mut PgConnection, code: &str) -> sqlx::Result<Option<Referrer>> {
    let row =
        sqlx::query!("SELECT id, account_id, email FROM affiliate WHERE code = $1", code).fetch_optional(tx).await?;
    Ok(row.map(|row| Referrer {
        id: AffiliateId::from_uuid(row.id),
        account: AccountId::from_uuid(row.account_id),
        email: row.email,
    }))
}

/// Counts a visit.
pub async fn count_click(tx: &mut PgConnection, brand: BrandId, id: AffiliateId, day: NaiveDate) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO click_day AS c (brand_id, affiliate_id, day, clicks) VALUES ($1, $2, $3, 1) \
         ON CONFLICT (affiliate_id, day) DO UPDATE SET clicks = c.clicks + 1",
        brand.as_uuid(),
        id.as_uuid(),
        day,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What the brand pays; nothing until catalog has been heard of.
pub async fn terms(tx: &mut PgConnection, brand: BrandId) -> sqlx::Result<Terms> {
    let row = sqlx::query!("SELECT rate_bp, hold_days FROM brand_terms WHERE brand_id = $1", brand.as_uuid())
        .fetch_optional(tx)
        .await?;
    Ok(row.map_or_else(Terms::default, |row| Terms {
        rate_bp: row.rate_bp.unsigned_abs(),
        hold_days: row.hold_days.unsigned_abs(),
    }))
}

/// Stores what catalog says, unless something newer is known.
pub async fn set_terms(tx: &mut PgConnection, brand: BrandId, version: i64, terms: Terms) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO brand_terms AS t (brand_id, version, rate_bp, hold_days) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (brand_id) DO UPDATE SET version = EXCLUDED.version, rate_bp = EXCLUDED.rate_bp, hold_days = EXCLUDED.hold_days \
         WHERE t.version < EXCLUDED.version",
        brand.as_uuid(),
        version,
        terms.rate_bp.cast_signed(),
        terms.hold_days.cast_signed(),
    )
    .execute(tx)
    .await?;
    Ok(())
}
