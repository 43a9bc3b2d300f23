//! How far scans got, whose turn it is, and which services they met. Times are the database's.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, PanelId};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::panel::Due;
use super::service;

/// A scan as it is stored.
#[derive(Clone, Debug)]
pub struct Row {
    pub panel_id: Uuid,
    pub brand_id: Uuid,
    pub scan: i64,
    pub turn: i64,
    pub phase: String,
    pub next_cursor: Option<i64>,
    pub last_line: String,
    pub after: Option<Uuid>,
    pub pages: i32,
    pub lines: i32,
    pub problem_code: String,
    pub problem: String,
    pub remedy: String,
    pub began_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// Claims panels whose scan is due or goes on.
pub async fn claim(pool: &PgPool, limit: i64, lease: Duration) -> sqlx::Result<Vec<Due>> {
    let rows = sqlx::query!(
        "WITH due AS (
             SELECT panel_id FROM panel_due
             WHERE drift_at <= now() AND drift_lease_until <= now() ORDER BY drift_at LIMIT $1 FOR UPDATE SKIP LOCKED)
         UPDATE panel_due p SET drift_lease_until = now() + make_interval(secs => $2)
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

/// Prolongs the lease.
pub async fn renew(pool: &PgPool, panel: PanelId, lease: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE panel_due SET drift_lease_until = now() + make_interval(secs => $2) WHERE panel_id = $1",
        panel.as_uuid(),
        lease.as_secs_f64()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Gives a panel back; its scan is due again after this time.
pub async fn release(pool: &PgPool, panel: PanelId, after: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE panel_due SET drift_lease_until = '-infinity', drift_at = now() + make_interval(secs => $2)
         WHERE panel_id = $1",
        panel.as_uuid(),
        after.as_secs_f64()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Makes a scan due now.
pub async fn due_now(tx: &mut PgTransaction<'_>, panel: PanelId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE panel_due SET drift_at = now() WHERE panel_id = $1", panel.as_uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// When the scan of each panel of a brand is due.
pub async fn due(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<Vec<(Uuid, DateTime<Utc>)>> {
    let rows = sqlx::query!("SELECT panel_id, drift_at FROM panel_due WHERE brand_id = $1", brand.as_uuid())
        .fetch_all(&mut **tx)
        .await?;
    Ok(rows.into_iter().map(|row| (row.panel_id, row.drift_at)).collect())
}

/// Whether paying work waits for a key.
pub async fn is_key_busy(pool: &PgPool, key: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM reconcile_due WHERE key_id = $1 AND due_at <= now()) AS "busy!""#,
        key
    )
    .fetch_one(pool)
    .await
}

/// The database's time.
pub async fn now(tx: &mut PgTransaction<'_>) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&mut **tx).await
}

/// Reads a scan.
pub async fn get(tx: &mut PgTransaction<'_>, panel: PanelId) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(Row, "SELECT * FROM drift_scan WHERE panel_id = $1", panel.as_uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// Every scan of the brand.
pub async fn all(tx: &mut PgTransaction<'_>) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(Row, "SELECT * FROM drift_scan").fetch_all(&mut **tx).await
}

/// Begins the next scan of a panel.
pub async fn begin(tx: &mut PgTransaction<'_>, brand: BrandId, panel: PanelId, phase: &str) -> sqlx::Result<Row> {
    sqlx::query_as!(
        Row,
        "INSERT INTO drift_scan AS s (panel_id, brand_id, scan, phase, began_at) VALUES ($1, $2, 1, $3, clock_timestamp())
         ON CONFLICT (panel_id) DO UPDATE SET scan = s.scan + 1, turn = s.turn + 1, phase = $3, next_cursor = NULL,
             last_line = '', after = NULL, pages = 0, lines = 0, problem_code = '', problem = '', remedy = '',
             began_at = clock_timestamp(), ended_at = NULL
         RETURNING *",
        panel.as_uuid(),
        brand.as_uuid(),
        phase
    )
    .fetch_one(&mut **tx)
    .await
}

/// Writes how far it got; false when somebody else has gone on meanwhile, and then nothing may commit.
pub async fn save(tx: &mut PgTransaction<'_>, row: &Row) -> sqlx::Result<bool> {
    let saved = sqlx::query!(
        "UPDATE drift_scan SET turn = turn + 1, phase = $4, next_cursor = $5, last_line = $6, after = $7, pages = $8,
             lines = $9, problem_code = $10, problem = $11, remedy = $12, ended_at = $13
         WHERE panel_id = $1 AND scan = $2 AND turn = $3",
        row.panel_id,
        row.scan,
        row.turn,
        row.phase,
        row.next_cursor,
        row.last_line,
        row.after,
        row.pages,
        row.lines,
        row.problem_code,
        row.problem,
        row.remedy,
        row.ended_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(saved.rows_affected() == 1)
}

/// Notes that the scan met the lines of these services.
pub async fn meet(tx: &mut PgTransaction<'_>, scan: &Row, services: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO drift_met (service_id, brand_id, panel_id, scan) SELECT id, $2, $3, $4 FROM UNNEST($1::uuid[]) AS met(id)
         ON CONFLICT (service_id) DO UPDATE SET panel_id = $3, scan = $4",
        services,
        scan.brand_id,
        scan.panel_id,
        scan.scan
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Services that may own one of these lines: by the line's id, by its name, or by our mark in its notes.
pub async fn owners(
    tx: &mut PgTransaction<'_>,
    panel: PanelId,
    lines: &[String],
    names: &[String],
    marks: &[Uuid],
) -> sqlx::Result<Vec<service::Row>> {
    sqlx::query_as!(
        service::Row,
        "SELECT * FROM service
         WHERE panel_id = $1 AND (line_id = ANY($2) OR (username = ANY($3) AND username <> '')) OR id = ANY($4)",
        panel.as_uuid(),
        lines,
        names,
        marks
    )
    .fetch_all(&mut **tx)
    .await
}

/// Services that should have a line on a panel and that the scan has not met, in the order of their ids.
pub async fn unmet(tx: &mut PgTransaction<'_>, scan: &Row, limit: i64) -> sqlx::Result<Vec<service::Row>> {
    sqlx::query_as!(
        service::Row,
        "SELECT s.* FROM service s
         WHERE s.panel_id = $1 AND s.line_fact IN ('seen', 'missing') AND ($3::uuid IS NULL OR s.id > $3)
           AND NOT EXISTS (SELECT FROM drift_met m WHERE m.service_id = s.id AND m.panel_id = $1 AND m.scan = $2)
         ORDER BY s.id LIMIT $4",
        scan.panel_id,
        scan.scan,
        scan.after,
        limit
    )
    .fetch_all(&mut **tx)
    .await
}

/// Which of these services are due or being worked on.
pub async fn busy(tx: &mut PgTransaction<'_>, services: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT service_id FROM reconcile_due
         WHERE service_id = ANY($1) AND (due_at <= clock_timestamp() OR lease_until > clock_timestamp())",
        services
    )
    .fetch_all(&mut **tx)
    .await
}
