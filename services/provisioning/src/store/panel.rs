//! Panels and how full they are.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, PanelId};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

/// A panel as it is stored, with its number of lines.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: Uuid,
    pub brand_id: Uuid,
    pub name: String,
    pub driver: String,
    pub base_url: String,
    pub player_url: String,
    pub region: String,
    pub pool: String,
    pub capacity: i32,
    pub rate_per_second: f64,
    pub concurrency: i32,
    pub enabled: bool,
    pub sandbox: bool,
    pub sandbox_control_url: String,
    pub time_zone: String,
    pub api_key_sealed: Vec<u8>,
    pub api_key_hint: String,
    pub key_id: Uuid,
    pub version: i64,
    pub event_version: i64,
    pub health: String,
    pub problem_code: String,
    pub problem: String,
    pub remedy: String,
    pub checked_at: Option<DateTime<Utc>>,
    pub credits: String,
    pub clock_skew_ms: i64,
    pub clock_wanted: Option<DateTime<Utc>>,
    pub clock_told: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub lines: i32,
}

impl Row {
    /// Its id.
    #[must_use]
    pub const fn panel_id(&self) -> PanelId {
        PanelId::from_uuid(self.id)
    }

    /// Its brand.
    #[must_use]
    pub const fn brand(&self) -> BrandId {
        BrandId::from_uuid(self.brand_id)
    }
}

/// Reads a panel.
pub async fn get(tx: &mut PgTransaction<'_>, id: PanelId) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT p.*, l.lines FROM panel p JOIN panel_load l ON l.panel_id = p.id WHERE p.id = $1",
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await
}

/// The little of a panel that every step of its services looks at.
#[derive(Clone, Debug)]
pub struct Head {
    pub version: i64,
    pub clock_wanted: Option<DateTime<Utc>>,
    pub clock_told: Option<DateTime<Utc>>,
}

impl Head {
    /// The time a simulated panel has not been told yet.
    #[must_use]
    pub fn clock_to_tell(&self) -> Option<DateTime<Utc>> {
        self.clock_wanted.filter(|_| self.clock_wanted != self.clock_told)
    }
}

/// Reads the head of a panel.
pub async fn head(tx: &mut PgTransaction<'_>, id: PanelId) -> sqlx::Result<Option<Head>> {
    sqlx::query_as!(Head, "SELECT version, clock_wanted, clock_told FROM panel WHERE id = $1", id.as_uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// Locks a panel.
pub async fn lock(tx: &mut PgTransaction<'_>, id: PanelId) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT p.*, l.lines FROM panel p JOIN panel_load l ON l.panel_id = p.id WHERE p.id = $1 FOR UPDATE OF p",
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Every panel of the brand; a brand has tens, not thousands.
pub async fn all(tx: &mut PgTransaction<'_>) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(Row, "SELECT p.*, l.lines FROM panel p JOIN panel_load l ON l.panel_id = p.id ORDER BY p.id")
        .fetch_all(&mut **tx)
        .await
}

/// A page of panels, newest first.
pub async fn page(
    tx: &mut PgTransaction<'_>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let (before_at, before_id) = before.unzip();
    sqlx::query_as!(
        Row,
        "SELECT p.*, l.lines FROM panel p JOIN panel_load l ON l.panel_id = p.id
         WHERE ($1::timestamptz IS NULL OR (p.created_at, p.id) < ($1, $2))
         ORDER BY p.created_at DESC, p.id DESC LIMIT $3",
        before_at,
        before_id,
        limit
    )
    .fetch_all(&mut **tx)
    .await
}

/// Adds a panel and makes its health due.
pub async fn insert(tx: &mut PgTransaction<'_>, row: &Row, drift_every: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO panel (id, brand_id, name, driver, base_url, player_url, region, pool, capacity, rate_per_second,
             concurrency, enabled, sandbox, sandbox_control_url, time_zone, api_key_sealed, api_key_hint, key_id,
             version, clock_wanted, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $21)",
        row.id,
        row.brand_id,
        row.name,
        row.driver,
        row.base_url,
        row.player_url,
        row.region,
        row.pool,
        row.capacity,
        row.rate_per_second,
        row.concurrency,
        row.enabled,
        row.sandbox,
        row.sandbox_control_url,
        row.time_zone,
        row.api_key_sealed,
        row.api_key_hint,
        row.key_id,
        row.version,
        row.clock_wanted,
        row.created_at,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("INSERT INTO panel_load (panel_id, brand_id) VALUES ($1, $2)", row.id, row.brand_id)
        .execute(&mut **tx)
        .await?;
    sqlx::query!(
        "INSERT INTO panel_due (panel_id, brand_id, drift_at) VALUES ($1, $2, now() + make_interval(secs => $3))",
        row.id,
        row.brand_id,
        drift_every.as_secs_f64()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes what people enter.
pub async fn update(tx: &mut PgTransaction<'_>, row: &Row) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE panel SET name = $2, driver = $3, base_url = $4, player_url = $5, region = $6, pool = $7, capacity = $8,
             rate_per_second = $9, concurrency = $10, enabled = $11, sandbox = $12, sandbox_control_url = $13,
             time_zone = $14, api_key_sealed = $15, api_key_hint = $16, key_id = $17, version = $18, clock_wanted = $19,
             clock_told = $20, updated_at = $21
         WHERE id = $1",
        row.id,
        row.name,
        row.driver,
        row.base_url,
        row.player_url,
        row.region,
        row.pool,
        row.capacity,
        row.rate_per_second,
        row.concurrency,
        row.enabled,
        row.sandbox,
        row.sandbox_control_url,
        row.time_zone,
        row.api_key_sealed,
        row.api_key_hint,
        row.key_id,
        row.version,
        row.clock_wanted,
        row.clock_told,
        row.updated_at,
    )
    .execute(&mut **tx)
    .await?;
    // Services of the panel follow it to its new key.
    sqlx::query!(
        "UPDATE reconcile_due d SET key_id = $2, due_at = CASE WHEN d.due_at > now() THEN now() ELSE d.due_at END
         FROM service s WHERE s.id = d.service_id AND s.panel_id = $1 AND d.due_at IS NOT NULL",
        row.id,
        row.key_id
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes what the health worker saw.
pub async fn update_health(tx: &mut PgTransaction<'_>, row: &Row) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE panel SET health = $2, problem_code = $3, problem = $4, remedy = $5, checked_at = $6, credits = $7,
             clock_skew_ms = $8, event_version = $9
         WHERE id = $1",
        row.id,
        row.health,
        row.problem_code,
        row.problem,
        row.remedy,
        row.checked_at,
        row.credits,
        row.clock_skew_ms,
        row.event_version,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes which time the simulated panel was told.
pub async fn clock_told(tx: &mut PgTransaction<'_>, id: PanelId, told: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("UPDATE panel SET clock_told = $2 WHERE id = $1", id.as_uuid(), told).execute(&mut **tx).await?;
    Ok(())
}

/// Removes a panel; services that had a line there long ago forget it.
pub async fn delete(tx: &mut PgTransaction<'_>, id: PanelId) -> sqlx::Result<()> {
    let id = id.as_uuid();
    sqlx::query!("UPDATE service SET panel_id = NULL WHERE panel_id = $1", id).execute(&mut **tx).await?;
    sqlx::query!("DELETE FROM panel_due WHERE panel_id = $1", id).execute(&mut **tx).await?;
    sqlx::query!("DELETE FROM panel WHERE id = $1", id).execute(&mut **tx).await?;
    Ok(())
}

/// Takes a place on a panel; false when the last one was taken meanwhile.
pub async fn take_place(tx: &mut PgTransaction<'_>, id: PanelId, capacity: i32) -> sqlx::Result<bool> {
    let taken = sqlx::query!(
        "UPDATE panel_load SET lines = lines + 1 WHERE panel_id = $1 AND ($2 = 0 OR lines < $2)",
        id.as_uuid(),
        capacity
    )
    .execute(&mut **tx)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Gives a place back.
pub async fn give_place(tx: &mut PgTransaction<'_>, id: PanelId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE panel_load SET lines = lines - 1 WHERE panel_id = $1 AND lines > 0", id.as_uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Puts the sandbox panels of a brand on its test clock, and makes telling them due. Returns how many.
pub async fn want_clock(tx: &mut PgTransaction<'_>, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let rows = sqlx::query!(
        "WITH moved AS (
             UPDATE panel SET clock_wanted = $1
             WHERE sandbox_control_url <> '' AND (clock_wanted IS NULL OR clock_wanted < $1) RETURNING id),
         due AS (UPDATE panel_due d SET probe_at = now() FROM moved WHERE d.panel_id = moved.id RETURNING 1)
         SELECT pg_notify('ottery_provisioning_panel', '') FROM due",
        now
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.len() as u64)
}

/// Whether a sandbox panel of the brand has not been told the time yet.
pub async fn clocks_behind(tx: &mut PgTransaction<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM panel
           WHERE enabled AND sandbox_control_url <> '' AND clock_wanted IS NOT NULL AND clock_wanted IS DISTINCT FROM clock_told"#
    )
    .fetch_one(&mut **tx)
    .await
}

/// Makes a look at a panel due now.
pub async fn look_now(tx: &mut PgTransaction<'_>, id: PanelId) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH due AS (UPDATE panel_due SET probe_at = now() WHERE panel_id = $1 RETURNING 1)
         SELECT pg_notify('ottery_provisioning_panel', '') FROM due",
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(())
}

/// A panel that is to be looked at.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    pub panel: PanelId,
    pub brand: BrandId,
}

/// Claims panels whose health is due, for one look each.
pub async fn claim(pool: &PgPool, limit: i64, lease: Duration) -> sqlx::Result<Vec<Due>> {
    let rows = sqlx::query!(
        "WITH due AS (
             SELECT panel_id FROM panel_due
             WHERE probe_at <= now() AND lease_until <= now() ORDER BY probe_at LIMIT $1 FOR UPDATE SKIP LOCKED)
         UPDATE panel_due p SET lease_until = now() + make_interval(secs => $2)
         FROM due WHERE p.panel_id = due.panel_id
         RETURNING p.panel_id, p.brand_id",
        limit,
        lease.as_secs_f64()
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Due { panel: PanelId::from_uuid(row.panel_id), brand: BrandId::from_uuid(row.brand_id) })
        .collect())
}

/// Gives a panel back, to be looked at again after this time.
pub async fn release(pool: &PgPool, panel: PanelId, after: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE panel_due SET lease_until = '-infinity', probe_at = now() + make_interval(secs => $2) WHERE panel_id = $1",
        panel.as_uuid(),
        after.as_secs_f64()
    )
    .execute(pool)
    .await?;
    Ok(())
}
