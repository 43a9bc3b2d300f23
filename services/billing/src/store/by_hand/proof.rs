//! Files by which customers show that they have paid.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use crate::domain::by_hand::ProofKind;
use crate::store::unreadable;

/// A file without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Its id.
    pub id: Uuid,
    /// Of which reference.
    pub wait: Uuid,
    /// A harmless name.
    pub name: String,
    /// What it is.
    pub kind: ProofKind,
    /// How large, in bytes.
    pub bytes: i64,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// When staff said that it is none, and why.
    pub refused: Option<(DateTime<Utc>, String)>,
}

/// The files of these references, the oldest first.
pub async fn proofs(tx: &mut PgTransaction<'_>, waits: &[Uuid]) -> sqlx::Result<Vec<Proof>> {
    let rows = sqlx::query!(
        r#"SELECT id, wait_id, name, media_type, length(content)::bigint AS "bytes!", sent_at, refused_at, refused_reason
             FROM by_hand_proof
            WHERE brand_id = ottery_brand() AND wait_id = ANY($1) ORDER BY id"#,
        waits
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Proof {
                id: row.id,
                wait: row.wait_id,
                name: row.name,
                kind: ProofKind::from_text(&row.media_type)
                    .ok_or_else(|| unreadable("by_hand_proof", "media_type", &row.media_type))?,
                bytes: row.bytes,
                sent_at: row.sent_at,
                refused: row.refused_at.map(|at| (at, row.refused_reason)),
            })
        })
        .collect()
}

/// A file with its content.
pub async fn content(tx: &mut PgTransaction<'_>, id: Uuid) -> sqlx::Result<Option<(Uuid, Vec<u8>)>> {
    let row =
        sqlx::query!("SELECT wait_id, content FROM by_hand_proof WHERE brand_id = ottery_brand() AND id = $1", id)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(row.map(|row| (row.wait_id, row.content)))
}

/// Keeps a file; false when it is there already.
pub async fn keep(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    proof: &Proof,
    content: &[u8],
    sha256: &[u8],
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO by_hand_proof (id, brand_id, wait_id, name, media_type, content, sha256, sent_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (brand_id, wait_id, sha256) DO NOTHING",
        proof.id,
        brand.as_uuid(),
        proof.wait,
        proof.name,
        proof.kind.media_type(),
        content,
        sha256,
        proof.sent_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets a file. Doing it twice is no error.
pub async fn forget(tx: &mut PgTransaction<'_>, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM by_hand_proof WHERE brand_id = ottery_brand() AND id = $1", id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Says that a file is no proof. Doing it twice changes nothing.
pub async fn refuse(
    tx: &mut PgTransaction<'_>,
    id: Uuid,
    by: &str,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE by_hand_proof SET refused_at = $2, refused_by = $3, refused_reason = $4
          WHERE brand_id = ottery_brand() AND id = $1 AND refused_at IS NULL",
        id,
        now,
        by,
        reason
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
