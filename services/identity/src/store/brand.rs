//! What is known of a brand.

use ottery_kernel::BrandId;
use sqlx::PgConnection;

/// What sign-up has to know of a brand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// As customers know it.
    pub name: String,
    /// As addresses know it.
    pub slug: String,
    /// Language of those who choose none.
    pub default_locale: String,
}

/// Keeps a profile unless a newer one is there.
pub async fn put(tx: &mut PgConnection, brand: BrandId, version: i64, profile: &Profile) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO brand_profile AS p (brand_id, version, name, slug, default_locale) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (brand_id) DO UPDATE SET version = $2, name = $3, slug = $4, default_locale = $5 WHERE p.version < $2",
        brand.as_uuid(),
        version,
        profile.name,
        profile.slug,
        profile.default_locale,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The profile of a brand, when its news has come.
pub async fn get(tx: &mut PgConnection, brand: BrandId) -> sqlx::Result<Option<Profile>> {
    sqlx::query_as!(
        Profile,
        "SELECT name, slug, default_locale FROM brand_profile WHERE brand_id = $1",
        brand.as_uuid()
    )
    .fetch_optional(tx)
    .await
}
