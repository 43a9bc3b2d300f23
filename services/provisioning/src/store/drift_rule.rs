//! What is done with differences without a person.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

/// A rule as it is stored; the nil panel is every panel without a rule of its own.
#[derive(Clone, Debug)]
pub struct Row {
    pub panel_id: Uuid,
    pub kind: String,
    pub action: String,
    pub updated_by: String,
    pub updated_at: DateTime<Utc>,
}

/// Every rule of the brand; there are few.
pub async fn all(tx: &mut PgTransaction<'_>) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT panel_id, kind, action, updated_by, updated_at FROM drift_rule ORDER BY panel_id, kind"
    )
    .fetch_all(&mut **tx)
    .await
}

/// Sets one.
pub async fn put(tx: &mut PgTransaction<'_>, brand: BrandId, row: &Row) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO drift_rule (brand_id, panel_id, kind, action, updated_by, updated_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (brand_id, panel_id, kind) DO UPDATE SET action = $4, updated_by = $5, updated_at = $6",
        brand.as_uuid(),
        row.panel_id,
        row.kind,
        row.action,
        row.updated_by,
        row.updated_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets the rules of a panel that goes.
pub async fn forget_panel(tx: &mut PgTransaction<'_>, panel: Uuid) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM drift_rule WHERE panel_id = $1", panel).execute(&mut **tx).await?;
    Ok(())
}
