//! Work that needs a person.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, TaskId};
use sqlx::postgres::PgTransaction;

use super::{Page, column};

/// A matter that waits for staff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What kind of matter: `payment_mismatch`.
    pub kind: String,
    /// Prefixed id of what it is about.
    pub reference: String,
    /// What happened and what to do.
    pub summary: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// Opens a task, unless the same matter has an open one.
pub async fn open(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    kind: &str,
    reference: impl ToString,
    summary: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO task (id, brand_id, kind, reference_id, summary, created_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (brand_id, kind, reference_id) WHERE resolved_at IS NULL DO NOTHING",
        TaskId::new(now).as_uuid(),
        brand.as_uuid(),
        kind,
        reference.to_string(),
        summary,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Opens the same kind of task for several matters, except for those that have an open one; in one statement.
pub async fn open_all(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    kind: &str,
    references: &[impl ToString],
    summary: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if references.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO task (id, brand_id, kind, reference_id, summary, created_at)
         SELECT id, $2, $3, reference_id, $5, $6 FROM UNNEST($1::uuid[], $4::text[]) AS r (id, reference_id)
         ON CONFLICT (brand_id, kind, reference_id) WHERE resolved_at IS NULL DO NOTHING",
        &column(references, |_| TaskId::new(now).as_uuid()),
        brand.as_uuid(),
        kind,
        &column(references, ToString::to_string),
        summary,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Closes the open task of a matter, if there is one.
pub async fn resolve(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    kind: &str,
    reference: impl ToString,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE task SET resolved_at = $4 WHERE brand_id = $1 AND kind = $2 AND reference_id = $3 AND resolved_at IS NULL",
        brand.as_uuid(),
        kind,
        reference.to_string(),
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Open tasks, newest first.
pub async fn list(tx: &mut PgTransaction<'_>, page: Page) -> sqlx::Result<Vec<Task>> {
    let rows = sqlx::query!(
        "SELECT id, kind, reference_id, summary, created_at FROM task
          WHERE resolved_at IS NULL AND ($1::uuid IS NULL OR id < $1) ORDER BY id DESC LIMIT $2",
        page.before,
        page.limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Task {
            id: TaskId::from_uuid(row.id),
            kind: row.kind,
            reference: row.reference_id,
            summary: row.summary,
            created_at: row.created_at,
        })
        .collect())
}
