//! The brand as the catalogue last told it.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;

use crate::domain::profile::Profile;

/// Keeps the profile when it is newer than what is known; false when it is not.
pub async fn put(
    tx: &mut PgTransaction<'_>,
    profile: &Profile,
    version: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    sqlx::query!(
        "INSERT INTO known_brand (brand_id, entity_id) VALUES ($1, $2)
         ON CONFLICT (brand_id) DO UPDATE SET entity_id = EXCLUDED.entity_id",
        profile.brand.as_uuid(),
        profile.entity.id.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    let put = sqlx::query!(
        "INSERT INTO brand_profile AS known (brand_id, version, content, updated_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (brand_id) DO UPDATE
            SET version = EXCLUDED.version, content = EXCLUDED.content, updated_at = EXCLUDED.updated_at
          WHERE known.version < EXCLUDED.version",
        profile.brand.as_uuid(),
        version,
        Json(profile) as _,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(put.rows_affected() == 1)
}

/// Keeps the profile whatever is known; for a copy of the book, which hears nothing.
pub async fn replace(tx: &mut PgTransaction<'_>, profile: &Profile) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE brand_profile SET content = $2 WHERE brand_id = $1",
        profile.brand.as_uuid(),
        Json(profile) as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The profile, when the brand was heard of.
pub async fn get(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<Option<Profile>> {
    let content = sqlx::query_scalar!(
        r#"SELECT content AS "content: Json<Profile>" FROM brand_profile WHERE brand_id = $1"#,
        brand.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(content.map(|content| content.0))
}

/// Every brand this service has heard of; needs no scope.
pub async fn brands(pool: &sqlx::PgPool) -> sqlx::Result<Vec<BrandId>> {
    let brands = sqlx::query_scalar!("SELECT brand_id FROM known_brand ORDER BY brand_id").fetch_all(pool).await?;
    Ok(brands.into_iter().map(BrandId::from_uuid).collect())
}
