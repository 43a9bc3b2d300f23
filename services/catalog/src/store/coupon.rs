//! Coupons. Rows are the transaction's brand's only.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, CouponId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Unreadable;
use crate::domain::coupon::Code;
use crate::domain::{Coupon, CouponState};

struct Row {
    id: Uuid,
    brand_id: Uuid,
    code: String,
    content: serde_json::Value,
    state: String,
    version: i64,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Coupon {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let id = CouponId::from_uuid(row.id);
        Ok(Self {
            id,
            brand: BrandId::from_uuid(row.brand_id),
            code: row.code.parse().map_err(|error| Unreadable::error(id.to_string(), Box::new(error)))?,
            content: serde_json::from_value(row.content).map_err(|error| Unreadable::error(id.to_string(), error))?,
            state: CouponState::from_stored(&row.state)
                .ok_or_else(|| Unreadable::error(id.to_string(), "unknown state"))?,
            version: row.version,
            created_at: row.created_at,
        })
    }
}

fn content(coupon: &Coupon) -> serde_json::Value {
    serde_json::to_value(&coupon.content).expect("content is plain data and always has a JSON form")
}

/// Adds a coupon.
pub async fn insert(tx: &mut PgConnection, coupon: &Coupon) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO coupon (id, brand_id, code, content, state, version, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        coupon.id.as_uuid(),
        coupon.brand.as_uuid(),
        coupon.code.as_str(),
        content(coupon),
        coupon.state.as_str(),
        coupon.version,
        coupon.created_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes what may change of it.
pub async fn update(tx: &mut PgConnection, coupon: &Coupon) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE coupon SET content = $2, state = $3, version = $4 WHERE id = $1",
        coupon.id.as_uuid(),
        content(coupon),
        coupon.state.as_str(),
        coupon.version,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The coupon, locked until the transaction ends.
pub async fn lock(tx: &mut PgConnection, id: CouponId) -> sqlx::Result<Option<Coupon>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, brand_id, code, content, state, version, created_at FROM coupon WHERE id = $1 FOR UPDATE",
        id.as_uuid()
    )
    .fetch_optional(tx)
    .await?;
    row.map(Coupon::try_from).transpose()
}

/// One coupon, enabled or not.
pub async fn get(tx: &mut PgConnection, id: CouponId) -> sqlx::Result<Option<Coupon>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, brand_id, code, content, state, version, created_at FROM coupon WHERE id = $1",
        id.as_uuid()
    )
    .fetch_optional(tx)
    .await?;
    row.map(Coupon::try_from).transpose()
}

/// The enabled coupon of that code.
pub async fn by_code(tx: &mut PgConnection, code: &Code) -> sqlx::Result<Option<Coupon>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, brand_id, code, content, state, version, created_at FROM coupon \
         WHERE brand_id = ottery_brand() AND code = $1 AND state = 'enabled'",
        code.as_str()
    )
    .fetch_optional(tx)
    .await?;
    row.map(Coupon::try_from).transpose()
}

/// Coupons, newest first.
pub async fn list(
    tx: &mut PgConnection,
    with_archived: bool,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Coupon>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, brand_id, code, content, state, version, created_at FROM coupon \
         WHERE brand_id = ottery_brand() AND ($1 OR state = 'enabled') AND ($2::uuid IS NULL OR id < $2) \
         ORDER BY id DESC LIMIT $3",
        with_archived,
        before,
        limit
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter().map(Coupon::try_from).collect()
}
