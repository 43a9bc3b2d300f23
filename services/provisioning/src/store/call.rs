//! The journal of calls to panels.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, CallId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

/// A call as it is stored.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: Uuid,
    pub service_id: Uuid,
    pub panel_id: Uuid,
    pub action: String,
    pub state: String,
    pub outcome: String,
    pub duration_ms: i32,
    pub request: String,
    pub reply: String,
    pub trace_id: String,
    pub started_at: DateTime<Utc>,
}

/// A call to be written down before it is made, or a look that was made.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: CallId,
    pub brand: BrandId,
    pub service_id: Uuid,
    pub panel_id: Uuid,
    pub action: &'static str,
    pub state: &'static str,
    pub outcome: String,
    pub duration_ms: i32,
    pub request: String,
    pub reply: String,
    pub started_at: DateTime<Utc>,
}

/// Writes a call down.
pub async fn insert(tx: &mut PgTransaction<'_>, entry: &Entry) -> sqlx::Result<()> {
    let trace_id = ottery_kit::telemetry::traces::current_trace_id().unwrap_or_default();
    sqlx::query!(
        "INSERT INTO call_log (id, brand_id, service_id, panel_id, action, state, outcome, duration_ms, request, reply,
             trace_id, started_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        entry.id.as_uuid(),
        entry.brand.as_uuid(),
        entry.service_id,
        entry.panel_id,
        entry.action,
        entry.state,
        entry.outcome,
        entry.duration_ms,
        entry.request,
        entry.reply,
        trace_id,
        entry.started_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What became of a call.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// `confirmed`, `rejected` or `unknown`.
    pub state: &'static str,
    /// Stable code.
    pub outcome: String,
    /// How long it took.
    pub duration_ms: Option<i32>,
    /// Redacted summary of what came back.
    pub reply: String,
}

/// Writes down what became of a call.
pub async fn conclude(
    tx: &mut PgTransaction<'_>,
    id: Uuid,
    started_at: DateTime<Utc>,
    verdict: &Verdict,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE call_log SET state = $3, outcome = $4, duration_ms = coalesce($5, duration_ms), reply = $6
         WHERE id = $1 AND started_at = $2",
        id,
        started_at,
        verdict.state,
        verdict.outcome,
        verdict.duration_ms,
        verdict.reply
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A page of calls, newest first. A planned call that left already shows as sent.
pub async fn page(
    tx: &mut PgTransaction<'_>,
    service: Option<Uuid>,
    panel: Option<Uuid>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let (before_at, before_id) = before.unzip();
    sqlx::query_as!(
        Row,
        r#"SELECT c.id, c.service_id, c.panel_id, c.action,
                  CASE WHEN c.state = 'planned' AND d.sent_call = c.id THEN 'sent' ELSE c.state END AS "state!",
                  c.outcome, c.duration_ms, c.request, c.reply, c.trace_id, c.started_at
           FROM call_log c LEFT JOIN reconcile_due d ON d.service_id = c.service_id
           WHERE ($1::uuid IS NULL OR c.service_id = $1) AND ($2::uuid IS NULL OR c.panel_id = $2)
             AND ($3::timestamptz IS NULL OR (c.started_at, c.id) < ($3, $4))
           ORDER BY c.started_at DESC, c.id DESC LIMIT $5"#,
        service,
        panel,
        before_at,
        before_id,
        limit
    )
    .fetch_all(&mut **tx)
    .await
}
