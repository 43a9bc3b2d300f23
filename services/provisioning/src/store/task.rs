//! Things that wait for a person.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, TaskId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

/// A task as it is stored.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: Uuid,
    pub kind: String,
    pub service_id: Option<Uuid>,
    pub summary: String,
    pub remedy: String,
    pub created_at: DateTime<Utc>,
}

/// A task to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct New {
    /// Stable kind.
    pub kind: String,
    /// The service it is about.
    pub service: Option<Uuid>,
    /// The panel it is about.
    pub panel: Option<Uuid>,
    /// What happened.
    pub summary: String,
    /// What to do.
    pub remedy: String,
}

/// Opens a task, once per kind and subject.
pub async fn open(tx: &mut PgTransaction<'_>, brand: BrandId, new: &New, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO task (id, brand_id, kind, service_id, panel_id, summary, remedy, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (brand_id, kind, coalesce(service_id, panel_id)) WHERE closed_at IS NULL
         DO UPDATE SET summary = EXCLUDED.summary, remedy = EXCLUDED.remedy",
        TaskId::new(now).as_uuid(),
        brand.as_uuid(),
        new.kind,
        new.service,
        new.panel,
        new.summary,
        new.remedy,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Closes every open task of a service, because it needs nobody any more, but not one of the kind to keep.
pub async fn close_of_service(
    tx: &mut PgTransaction<'_>,
    service: Uuid,
    keep: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE task SET closed_at = $3 WHERE service_id = $1 AND closed_at IS NULL AND kind IS DISTINCT FROM $2",
        service,
        keep,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Closes the open task of a kind of a panel that is not about one of its services.
pub async fn close_of_panel(
    tx: &mut PgTransaction<'_>,
    panel: Uuid,
    kind: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE task SET closed_at = $3 WHERE panel_id = $1 AND service_id IS NULL AND kind = $2 AND closed_at IS NULL",
        panel,
        kind,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A page of open tasks, newest first.
pub async fn page(
    tx: &mut PgTransaction<'_>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let (before_at, before_id) = before.unzip();
    sqlx::query_as!(
        Row,
        "SELECT id, kind, service_id, summary, remedy, created_at FROM task
         WHERE closed_at IS NULL AND ($1::timestamptz IS NULL OR (created_at, id) < ($1, $2))
         ORDER BY created_at DESC, id DESC LIMIT $3",
        before_at,
        before_id,
        limit
    )
    .fetch_all(&mut **tx)
    .await
}
