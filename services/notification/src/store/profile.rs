//! Brands as mails need them.

use std::collections::BTreeMap;

use ottery_kernel::BrandId;
use sqlx::PgConnection;

use crate::domain::profile::Profile;

/// Keeps the newest version.
pub async fn put(tx: &mut PgConnection, brand: BrandId, version: i64, profile: &Profile) -> sqlx::Result<()> {
    let tokens = serde_json::to_value(&profile.tokens).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "INSERT INTO brand_profile AS p (brand_id, version, name, host, default_locale, time_zone, sender_email, \
         support_email, tokens, logo) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (brand_id) DO UPDATE SET version = EXCLUDED.version, name = EXCLUDED.name, host = EXCLUDED.host, \
         default_locale = EXCLUDED.default_locale, time_zone = EXCLUDED.time_zone, sender_email = EXCLUDED.sender_email, \
         support_email = EXCLUDED.support_email, tokens = EXCLUDED.tokens, logo = EXCLUDED.logo \
         WHERE p.version < EXCLUDED.version",
        brand.as_uuid(),
        version,
        profile.name,
        profile.host,
        profile.default_locale,
        profile.time_zone,
        profile.sender_email,
        profile.support_email,
        tokens,
        profile.logo,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The transaction's brand.
pub async fn get(tx: &mut PgConnection, brand: BrandId) -> sqlx::Result<Option<Profile>> {
    let row = sqlx::query!(
        "SELECT name, host, default_locale, time_zone, sender_email, support_email, tokens, logo \
         FROM brand_profile WHERE brand_id = $1",
        brand.as_uuid()
    )
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let tokens: BTreeMap<String, String> =
        serde_json::from_value(row.tokens).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Some(Profile {
        name: row.name,
        host: row.host,
        default_locale: row.default_locale,
        time_zone: row.time_zone,
        sender_email: row.sender_email,
        support_email: row.support_email,
        tokens,
        logo: row.logo,
    }))
}
