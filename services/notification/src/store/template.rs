//! Brands' own wordings.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use sqlx::PgConnection;

use crate::domain::defaults::Wording;
use crate::domain::kind::Kind;

/// A brand's own wording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Which mail.
    pub name: String,
    /// Language tag.
    pub locale: String,
    /// What it says.
    pub wording: Wording,
    /// Grows with every change.
    pub version: i64,
}

/// All of the transaction's brand.
pub async fn list(tx: &mut PgConnection) -> sqlx::Result<Vec<Own>> {
    let rows =
        sqlx::query!("SELECT name, locale, subject, body_text, body_html, version FROM template ORDER BY name, locale")
            .fetch_all(tx)
            .await?;
    Ok(rows
        .into_iter()
        .map(|row| Own {
            name: row.name,
            locale: row.locale,
            wording: Wording { subject: row.subject, body_text: row.body_text, body_html: row.body_html },
            version: row.version,
        })
        .collect())
}

/// Version of one, locked; 0 when there is none.
pub async fn lock_version(tx: &mut PgConnection, kind: Kind, locale: &str) -> sqlx::Result<i64> {
    let version = sqlx::query_scalar!(
        "SELECT version FROM template WHERE name = $1 AND locale = $2 FOR UPDATE",
        kind.as_str(),
        locale
    )
    .fetch_optional(tx)
    .await?;
    Ok(version.unwrap_or(0))
}

/// Writes one.
pub async fn put(tx: &mut PgConnection, brand: BrandId, own: &Own, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO template (brand_id, name, locale, subject, body_text, body_html, version, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (brand_id, name, locale) DO UPDATE SET \
         subject = EXCLUDED.subject, body_text = EXCLUDED.body_text, body_html = EXCLUDED.body_html, \
         version = EXCLUDED.version, updated_at = EXCLUDED.updated_at",
        brand.as_uuid(),
        own.name,
        own.locale,
        own.wording.subject,
        own.wording.body_text,
        own.wording.body_html,
        own.version,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Back to the embedded wording.
pub async fn delete(tx: &mut PgConnection, kind: Kind, locale: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM template WHERE name = $1 AND locale = $2", kind.as_str(), locale).execute(tx).await?;
    Ok(())
}
