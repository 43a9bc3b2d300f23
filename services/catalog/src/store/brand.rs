//! Brands, their hosts and their clocks.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Unreadable;
use crate::domain::{Brand, TestClock};

/// A brand as stored.
#[derive(Clone, Debug)]
pub struct StoredBrand {
    /// Identity.
    pub id: BrandId,
    /// What the operator says.
    pub brand: Brand,
    /// Grows with every change by the operator.
    pub version: i64,
    /// Moves with everything a page shows.
    pub catalog_version: i64,
    /// Version as an aggregate of events.
    pub event_version: i64,
    /// Last change by the operator.
    pub updated_at: DateTime<Utc>,
    /// Where its time stands.
    pub clock: TestClock,
}

struct Row {
    id: Uuid,
    content: serde_json::Value,
    version: i64,
    catalog_version: i64,
    event_version: i64,
    updated_at: DateTime<Utc>,
    clock_state: String,
    clock_now: Option<DateTime<Utc>>,
    clock_waiting: String,
}

impl TryFrom<Row> for StoredBrand {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let id = BrandId::from_uuid(row.id);
        let brand = serde_json::from_value(row.content).map_err(|error| Unreadable::error(id.to_string(), error))?;
        let clock = match (row.clock_state.as_str(), row.clock_now) {
            ("ready", Some(now)) => TestClock::Ready(now),
            ("advancing", Some(now)) => TestClock::Advancing { now, waiting_for: row.clock_waiting },
            _ => TestClock::Off,
        };
        Ok(Self {
            id,
            brand,
            version: row.version,
            catalog_version: row.catalog_version,
            event_version: row.event_version,
            updated_at: row.updated_at,
            clock,
        })
    }
}

fn to_json(brand: &Brand) -> serde_json::Value {
    serde_json::to_value(brand).expect("a brand is plain data and always has a JSON form")
}

/// Adds a brand; its slug and hosts are unique across all brands.
pub async fn insert(tx: &mut PgConnection, id: BrandId, brand: &Brand, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO brand (id, slug, content, version, updated_at) VALUES ($1, $2, $3, 1, $4)",
        id.as_uuid(),
        brand.slug.as_str(),
        to_json(brand),
        now,
    )
    .execute(&mut *tx)
    .await?;
    set_hosts(tx, id, &brand.hosts).await
}

/// Writes a changed brand and moves its versions.
pub async fn update(tx: &mut PgConnection, id: BrandId, brand: &Brand, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE brand SET content = $2, version = version + 1, updated_at = $3 WHERE id = $1",
        id.as_uuid(),
        to_json(brand),
        now,
    )
    .execute(&mut *tx)
    .await?;
    set_hosts(tx, id, &brand.hosts).await
}

async fn set_hosts(tx: &mut PgConnection, id: BrandId, hosts: &[String]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM brand_host WHERE brand_id = $1 AND host <> ALL ($2)", id.as_uuid(), hosts)
        .execute(&mut *tx)
        .await?;
    // A host of another brand violates brand_host_pkey and is reported by name.
    sqlx::query!(
        "INSERT INTO brand_host (host, brand_id) SELECT host, $1 FROM UNNEST($2::text[]) AS host \
         WHERE NOT EXISTS (SELECT FROM brand_host h WHERE h.host = host.host AND h.brand_id = $1)",
        id.as_uuid(),
        hosts,
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Which of these hosts belong to another brand already.
pub async fn taken_hosts(tx: &mut PgConnection, id: BrandId, hosts: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT host FROM brand_host WHERE host = ANY ($2) AND brand_id <> $1 ORDER BY host",
        id.as_uuid(),
        hosts
    )
    .fetch_all(tx)
    .await
}

/// The brand, locked until the transaction ends.
pub async fn lock(tx: &mut PgConnection, id: BrandId) -> sqlx::Result<Option<StoredBrand>> {
    sqlx::query_as!(Row, "SELECT id, content, version, catalog_version, event_version, updated_at, clock_state, clock_now, clock_waiting \
         FROM brand WHERE id = $1 FOR UPDATE", id.as_uuid())
        .fetch_optional(tx)
        .await?
        .map(TryInto::try_into)
        .transpose()
}

/// The brand.
pub async fn get(tx: &mut PgConnection, id: BrandId) -> sqlx::Result<Option<StoredBrand>> {
    sqlx::query_as!(Row, "SELECT id, content, version, catalog_version, event_version, updated_at, clock_state, clock_now, clock_waiting \
         FROM brand WHERE id = $1", id.as_uuid())
        .fetch_optional(tx)
        .await?
        .map(TryInto::try_into)
        .transpose()
}

/// The brand of that slug.
pub async fn by_slug(tx: &mut PgConnection, slug: &str) -> sqlx::Result<Option<StoredBrand>> {
    sqlx::query_as!(Row, "SELECT id, content, version, catalog_version, event_version, updated_at, clock_state, clock_now, clock_waiting \
         FROM brand WHERE slug = $1", slug)
        .fetch_optional(tx)
        .await?
        .map(TryInto::try_into)
        .transpose()
}

/// The brand of that host name, compared exactly.
pub async fn by_host(tx: &mut PgConnection, host: &str) -> sqlx::Result<Option<StoredBrand>> {
    sqlx::query_as!(Row, "SELECT b.id, b.content, b.version, b.catalog_version, b.event_version, b.updated_at, b.clock_state, b.clock_now, b.clock_waiting \
         FROM brand_host h JOIN brand b ON b.id = h.brand_id WHERE h.host = $1", host)
        .fetch_optional(tx)
        .await?
        .map(TryInto::try_into)
        .transpose()
}

/// Brands older than `before`, newest first.
pub async fn list(tx: &mut PgConnection, before: Option<Uuid>, limit: i64) -> sqlx::Result<Vec<StoredBrand>> {
    sqlx::query_as!(Row, "SELECT id, content, version, catalog_version, event_version, updated_at, clock_state, clock_now, clock_waiting \
         FROM brand WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2", before, limit)
        .fetch_all(tx)
        .await?
        .into_iter()
        .map(TryInto::try_into)
        .collect()
}

/// Brands whose clock is moving.
pub async fn advancing(tx: &mut PgConnection) -> sqlx::Result<Vec<StoredBrand>> {
    sqlx::query_as!(Row, "SELECT id, content, version, catalog_version, event_version, updated_at, clock_state, clock_now, clock_waiting \
         FROM brand WHERE clock_state = 'advancing'")
        .fetch_all(tx)
        .await?
        .into_iter()
        .map(TryInto::try_into)
        .collect()
}

/// Stores where the brand's time stands.
pub async fn set_clock(tx: &mut PgConnection, id: BrandId, clock: &TestClock) -> sqlx::Result<()> {
    let (state, now, waiting) = match clock {
        TestClock::Off => ("off", None, ""),
        TestClock::Ready(now) => ("ready", Some(*now), ""),
        TestClock::Advancing { now, waiting_for } => ("advancing", Some(*now), waiting_for.as_str()),
    };
    sqlx::query!(
        "UPDATE brand SET clock_state = $2, clock_now = $3, clock_waiting = $4 WHERE id = $1",
        id.as_uuid(),
        state,
        now,
        waiting,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Says what an advancing clock waits for, unless it moved on meanwhile.
pub async fn set_waiting(tx: &mut PgConnection, id: BrandId, now: DateTime<Utc>, waiting: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE brand SET clock_waiting = $3 WHERE id = $1 AND clock_state = 'advancing' AND clock_now = $2 AND clock_waiting <> $3",
        id.as_uuid(),
        now,
        waiting,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The next version of the brand as an aggregate of events; locks the row.
pub async fn next_event_version(tx: &mut PgConnection, id: BrandId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "UPDATE brand SET event_version = event_version + 1 WHERE id = $1 RETURNING event_version",
        id.as_uuid()
    )
    .fetch_one(tx)
    .await
}

/// Moves the number that cached pages are keyed by.
pub async fn touch_catalog(tx: &mut PgConnection, id: BrandId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE brand SET catalog_version = catalog_version + 1 WHERE id = $1", id.as_uuid())
        .execute(tx)
        .await?;
    Ok(())
}
