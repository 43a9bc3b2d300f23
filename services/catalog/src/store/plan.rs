//! Plans, versions and prices. Rows are the transaction's brand's only.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, Currency, Money, PlanId, PlanVersionId, PriceId, Term, TermUnit};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Unreadable;
use crate::domain::{Plan, PlanState, PlanVersion, Price, Sale};

struct PlanRow {
    id: Uuid,
    brand_id: Uuid,
    slug: String,
    state: String,
    position: i32,
    featured: bool,
    version: i64,
    current_version_id: Uuid,
    stock: Option<i32>,
    sale_from: Option<DateTime<Utc>>,
    sale_until: Option<DateTime<Utc>>,
}

struct VersionRow {
    id: Uuid,
    plan_id: Uuid,
    number: i32,
    content: serde_json::Value,
    published_at: DateTime<Utc>,
}

struct PriceRow {
    id: Uuid,
    plan_version_id: Uuid,
    currency: String,
    amount_minor: i64,
    setup_fee_minor: i64,
    term_count: i16,
    term_unit: String,
    once: bool,
}

/// Adds a plan together with its first version.
pub async fn insert(tx: &mut PgConnection, plan: &Plan) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO plan (id, brand_id, slug, state, position, featured, version, current_version_id, stock, sale_from, sale_until) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        plan.id.as_uuid(),
        plan.brand.as_uuid(),
        plan.slug.as_str(),
        plan.state.as_str(),
        i32::try_from(plan.position).unwrap_or(i32::MAX),
        plan.featured,
        plan.version,
        plan.current.id.as_uuid(),
        stock(plan),
        plan.sale.from,
        plan.sale.until,
    )
    .execute(&mut *tx)
    .await?;
    insert_version(tx, plan.brand, &plan.current).await
}

fn stock(plan: &Plan) -> Option<i32> {
    plan.sale.stock.map(|stock| i32::try_from(stock).unwrap_or(i32::MAX))
}

/// Writes the plan's own columns.
pub async fn update(tx: &mut PgConnection, plan: &Plan) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE plan SET slug = $2, state = $3, position = $4, featured = $5, version = $6, current_version_id = $7, \
                stock = $8, sale_from = $9, sale_until = $10 WHERE id = $1",
        plan.id.as_uuid(),
        plan.slug.as_str(),
        plan.state.as_str(),
        i32::try_from(plan.position).unwrap_or(i32::MAX),
        plan.featured,
        plan.version,
        plan.current.id.as_uuid(),
        stock(plan),
        plan.sale.from,
        plan.sale.until,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds a version with its prices.
pub async fn insert_version(tx: &mut PgConnection, brand: BrandId, version: &PlanVersion) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO plan_version (id, brand_id, plan_id, number, content, published_at) VALUES ($1, $2, $3, $4, $5, $6)",
        version.id.as_uuid(),
        brand.as_uuid(),
        version.plan_id.as_uuid(),
        i32::try_from(version.number).unwrap_or(i32::MAX),
        serde_json::to_value(&version.content).expect("content is plain data and always has a JSON form"),
        version.published_at,
    )
    .execute(&mut *tx)
    .await?;
    for (position, price) in (0_i16..).zip(&version.prices) {
        sqlx::query!(
            "INSERT INTO price (id, brand_id, plan_version_id, position, currency, amount_minor, setup_fee_minor, term_count, term_unit, once) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            price.id.as_uuid(),
            brand.as_uuid(),
            version.id.as_uuid(),
            position,
            price.amount.currency.code(),
            price.amount.minor,
            price.setup_fee.minor,
            i16::try_from(price.term.count()).unwrap_or(i16::MAX),
            price.term.unit().to_string(),
            price.once,
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// The plan, locked until the transaction ends.
pub async fn lock(tx: &mut PgConnection, id: PlanId) -> sqlx::Result<Option<Plan>> {
    let row = sqlx::query_as!(
        PlanRow,
        "SELECT id, brand_id, slug, state, position, featured, version, current_version_id, stock, sale_from, sale_until \
         FROM plan WHERE id = $1 FOR UPDATE",
        id.as_uuid()
    )
    .fetch_optional(&mut *tx)
    .await?;
    Ok(with_versions(tx, row.into_iter().collect()).await?.pop())
}

/// The plan of that id, or of that slug.
pub async fn get(tx: &mut PgConnection, id: Option<PlanId>, slug: &str) -> sqlx::Result<Option<Plan>> {
    let row = sqlx::query_as!(
        PlanRow,
        "SELECT id, brand_id, slug, state, position, featured, version, current_version_id, stock, sale_from, sale_until \
         FROM plan WHERE id = $1 OR ($1 IS NULL AND slug = $2)",
        id.map(|id| id.as_uuid()),
        slug
    )
    .fetch_optional(&mut *tx)
    .await?;
    Ok(with_versions(tx, row.into_iter().collect()).await?.pop())
}

/// Plans in the order of the storefront, after `(position, id)`; with an instant only those that are sold then.
pub async fn list(
    tx: &mut PgConnection,
    after: Option<(i32, Uuid)>,
    sold_at: Option<DateTime<Utc>>,
    limit: i64,
) -> sqlx::Result<Vec<Plan>> {
    let (position, id) = after.map_or((None, None), |(position, id)| (Some(position), Some(id)));
    let rows = sqlx::query_as!(
        PlanRow,
        "SELECT id, brand_id, slug, state, position, featured, version, current_version_id, stock, sale_from, sale_until \
         FROM plan WHERE ($1::integer IS NULL OR (position, id) > ($1, $2::uuid)) \
           AND ($3::timestamptz IS NULL OR (state = 'on_sale' \
                AND (sale_from IS NULL OR sale_from <= $3) AND (sale_until IS NULL OR sale_until > $3))) \
         ORDER BY position, id LIMIT $4",
        position,
        id,
        sold_at,
        limit
    )
    .fetch_all(&mut *tx)
    .await?;
    with_versions(tx, rows).await
}

/// A version, however old, with the plan as it is now.
pub async fn version(tx: &mut PgConnection, id: PlanVersionId) -> sqlx::Result<Option<(Plan, PlanVersion)>> {
    let Some(version) = versions(tx, &[id.as_uuid()]).await?.remove(&id.as_uuid()) else { return Ok(None) };
    let plan = get(tx, Some(version.plan_id), "").await?;
    Ok(plan.map(|plan| (plan, version)))
}

/// The version a price belongs to.
pub async fn version_of_price(tx: &mut PgConnection, id: PriceId) -> sqlx::Result<Option<PlanVersionId>> {
    let version =
        sqlx::query_scalar!("SELECT plan_version_id FROM price WHERE id = $1", id.as_uuid()).fetch_optional(tx).await?;
    Ok(version.map(PlanVersionId::from_uuid))
}

async fn with_versions(tx: &mut PgConnection, rows: Vec<PlanRow>) -> sqlx::Result<Vec<Plan>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.current_version_id).collect();
    let mut versions = versions(tx, &ids).await?;
    rows.into_iter()
        .map(|row| {
            let id = PlanId::from_uuid(row.id);
            let unreadable = |why: &str| Unreadable::error(id.to_string(), why);
            Ok(Plan {
                id,
                brand: BrandId::from_uuid(row.brand_id),
                slug: row.slug.parse().map_err(|error| Unreadable::error(id.to_string(), Box::new(error)))?,
                state: PlanState::from_stored(&row.state).ok_or_else(|| unreadable("unknown state"))?,
                position: u32::try_from(row.position).map_err(|error| Unreadable::error(id.to_string(), error))?,
                featured: row.featured,
                version: row.version,
                sale: Sale {
                    stock: row
                        .stock
                        .map(u32::try_from)
                        .transpose()
                        .map_err(|error| Unreadable::error(id.to_string(), error))?,
                    from: row.sale_from,
                    until: row.sale_until,
                },
                current: versions
                    .remove(&row.current_version_id)
                    .ok_or_else(|| unreadable("its version is missing"))?,
            })
        })
        .collect()
}

async fn versions(tx: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<HashMap<Uuid, PlanVersion>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query_as!(
        VersionRow,
        "SELECT id, plan_id, number, content, published_at FROM plan_version WHERE id = ANY ($1)",
        ids
    )
    .fetch_all(&mut *tx)
    .await?;
    let prices = sqlx::query_as!(
        PriceRow,
        "SELECT id, plan_version_id, currency, amount_minor, setup_fee_minor, term_count, term_unit, once \
         FROM price WHERE plan_version_id = ANY ($1) ORDER BY plan_version_id, position",
        ids
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let id = PlanVersionId::from_uuid(row.id);
        let version = PlanVersion {
            id,
            plan_id: PlanId::from_uuid(row.plan_id),
            number: u32::try_from(row.number).map_err(|error| Unreadable::error(id.to_string(), error))?,
            content: serde_json::from_value(row.content).map_err(|error| Unreadable::error(id.to_string(), error))?,
            prices: Vec::new(),
            published_at: row.published_at,
        };
        found.insert(row.id, version);
    }
    for row in prices {
        let price = read_price(&row)?;
        if let Some(version) = found.get_mut(&row.plan_version_id) {
            version.prices.push(price);
        }
    }
    Ok(found)
}

fn read_price(row: &PriceRow) -> sqlx::Result<Price> {
    let id = PriceId::from_uuid(row.id);
    let currency: Currency =
        row.currency.parse().map_err(|error| Unreadable::error(id.to_string(), Box::new(error)))?;
    let unit = match row.term_unit.as_str() {
        "day" => TermUnit::Day,
        "week" => TermUnit::Week,
        "month" => TermUnit::Month,
        "year" => TermUnit::Year,
        other => return Err(Unreadable::error(id.to_string(), format!("unknown term unit `{other}`"))),
    };
    let count = u16::try_from(row.term_count).map_err(|error| Unreadable::error(id.to_string(), error))?;
    Ok(Price {
        id,
        amount: Money { minor: row.amount_minor, currency },
        setup_fee: Money { minor: row.setup_fee_minor, currency },
        term: Term::try_new(count, unit).map_err(|error| Unreadable::error(id.to_string(), error))?,
        once: row.once,
    })
}
