//! Differences between panels and what is wanted there. Times are the database's.

use chrono::{DateTime, Utc};
use ottery_kernel::PanelId;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::Unknown;
use crate::domain::drift::{Kind, Known, State};

/// A difference as it is stored.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: Uuid,
    pub brand_id: Uuid,
    pub panel_id: Uuid,
    pub kind: String,
    pub subject: String,
    pub service_id: Option<Uuid>,
    pub account_id: String,
    pub line_id: String,
    pub username: String,
    pub wanted: String,
    pub observed: String,
    pub wanted_version: i64,
    pub state: String,
    pub returns: i32,
    pub scan: i64,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub decided_at: Option<DateTime<Utc>>,
    pub decided_by: String,
    pub reason: String,
    pub closed_at: Option<DateTime<Utc>>,
}

impl Row {
    /// What differs.
    ///
    /// # Errors
    /// A word this version does not know.
    pub fn kind(&self) -> Result<Kind, Unknown> {
        Kind::parse(&self.kind).ok_or_else(|| Unknown { column: "drift.kind", value: self.kind.clone() })
    }

    /// As the domain knows it.
    ///
    /// # Errors
    /// A word this version does not know.
    pub fn known(&self) -> Result<Known, Unknown> {
        Ok(Known {
            state: State::parse(&self.state)
                .ok_or_else(|| Unknown { column: "drift.state", value: self.state.clone() })?,
            observed: self.observed.clone(),
            wanted_version: u64::try_from(self.wanted_version).unwrap_or(0),
        })
    }
}

/// Which differences; nothing is any.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub panel: Option<Uuid>,
    pub kind: Option<String>,
    pub state: Option<String>,
}

/// Locks the difference of a panel, kind and subject that is seen now.
pub async fn lock(tx: &mut PgTransaction<'_>, panel: Uuid, kind: &str, subject: &str) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT * FROM drift WHERE panel_id = $1 AND kind = $2 AND subject = $3 AND closed_at IS NULL FOR UPDATE",
        panel,
        kind,
        subject
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Locks these, in the order of their ids.
pub async fn lock_these(tx: &mut PgTransaction<'_>, ids: &[Uuid]) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(Row, "SELECT * FROM drift WHERE id = ANY($1) ORDER BY id FOR UPDATE", ids)
        .fetch_all(&mut **tx)
        .await
}

/// Locks the oldest that fit and are seen now.
pub async fn lock_fitting(tx: &mut PgTransaction<'_>, filter: &Filter, limit: i64) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT * FROM drift
         WHERE closed_at IS NULL AND ($1::uuid IS NULL OR panel_id = $1) AND ($2::text IS NULL OR kind = $2)
           AND ($3::text IS NULL OR state = $3)
         ORDER BY id LIMIT $4 FOR UPDATE",
        filter.panel,
        filter.kind,
        filter.state,
        limit
    )
    .fetch_all(&mut **tx)
    .await
}

/// Adds one.
pub async fn insert(tx: &mut PgTransaction<'_>, row: &Row) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO drift (id, brand_id, panel_id, kind, subject, service_id, account_id, line_id, username, wanted,
             observed, wanted_version, state, returns, scan, first_seen_at, last_seen_at, decided_at, decided_by, reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
        row.id,
        row.brand_id,
        row.panel_id,
        row.kind,
        row.subject,
        row.service_id,
        row.account_id,
        row.line_id,
        row.username,
        row.wanted,
        row.observed,
        row.wanted_version,
        row.state,
        row.returns,
        row.scan,
        row.first_seen_at,
        row.last_seen_at,
        row.decided_at,
        row.decided_by,
        row.reason,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes what a scan saw or a person decided.
pub async fn save(tx: &mut PgTransaction<'_>, row: &Row) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE drift SET line_id = $2, username = $3, wanted = $4, observed = $5, wanted_version = $6, state = $7,
             returns = $8, scan = $9, last_seen_at = $10, decided_at = $11, decided_by = $12, reason = $13, closed_at = $14
         WHERE id = $1",
        row.id,
        row.line_id,
        row.username,
        row.wanted,
        row.observed,
        row.wanted_version,
        row.state,
        row.returns,
        row.scan,
        row.last_seen_at,
        row.decided_at,
        row.decided_by,
        row.reason,
        row.closed_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Closes what is not seen of a subject any more: a repair is proven by that, everything else is gone. Returns how many.
pub async fn close_others(
    tx: &mut PgTransaction<'_>,
    panel: Uuid,
    subject: &str,
    seen: &[String],
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let closed = sqlx::query!(
        "UPDATE drift SET closed_at = $4, state = CASE WHEN state = 'repaired' THEN state ELSE 'gone' END
         WHERE panel_id = $1 AND subject = $2 AND closed_at IS NULL AND kind <> ALL($3)",
        panel,
        subject,
        seen,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(closed.rows_affected())
}

/// Differences of a panel that the scan has not seen, in the order of their ids.
pub async fn unseen(
    tx: &mut PgTransaction<'_>,
    panel: PanelId,
    scan: i64,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT * FROM drift
         WHERE panel_id = $1 AND closed_at IS NULL AND scan < $2 AND ($3::uuid IS NULL OR id > $3)
         ORDER BY id LIMIT $4",
        panel.as_uuid(),
        scan,
        after,
        limit
    )
    .fetch_all(&mut **tx)
    .await
}

/// A page, newest first.
pub async fn page(
    tx: &mut PgTransaction<'_>,
    filter: &Filter,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let (before_at, before_id) = before.unzip();
    sqlx::query_as!(
        Row,
        "SELECT * FROM drift
         WHERE ($1::uuid IS NULL OR panel_id = $1) AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR state = $3)
           AND ($4::timestamptz IS NULL OR (first_seen_at, id) < ($4, $5))
         ORDER BY first_seen_at DESC, id DESC LIMIT $6",
        filter.panel,
        filter.kind,
        filter.state,
        before_at,
        before_id,
        limit
    )
    .fetch_all(&mut **tx)
    .await
}

/// How many of a kind are open on a panel.
#[derive(Clone, Debug)]
pub struct Count {
    pub panel_id: Uuid,
    pub kind: String,
    pub count: i64,
}

/// Open differences by panel and kind.
pub async fn open(tx: &mut PgTransaction<'_>, panel: Option<PanelId>) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"SELECT panel_id, kind, count(*) AS "count!" FROM drift
           WHERE state = 'open' AND closed_at IS NULL AND ($1::uuid IS NULL OR panel_id = $1)
           GROUP BY panel_id, kind ORDER BY panel_id, kind"#,
        panel.map(|id| id.as_uuid())
    )
    .fetch_all(&mut **tx)
    .await
}
