//! Quotes until they are ordered or expire.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId};
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::offer::Offer;
use crate::domain::quote::Quote;

/// A quote as stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its id.
    pub id: Uuid,
    /// Who asked; nobody in particular for a visitor.
    pub account: Option<AccountId>,
    /// What is bought.
    pub offer: Offer,
    /// At what price.
    pub quote: Quote,
    /// The country it was priced for; empty when unknown.
    pub country: String,
    /// It cannot be ordered before this, because a VAT number is being checked; only known when it was just made.
    pub vat_until: Option<DateTime<Utc>>,
}

/// Keeps a quote.
pub async fn insert(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    stored: &Stored,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO quote (id, brand_id, account_id, offer, content, country, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        stored.id,
        brand.as_uuid(),
        stored.account.map(|account| account.as_uuid()),
        Json(&stored.offer) as _,
        Json(&stored.quote) as _,
        stored.country,
        now,
        stored.quote.expires_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The quote, locked so that it is ordered once.
pub async fn lock(tx: &mut PgTransaction<'_>, id: Uuid) -> sqlx::Result<Option<Stored>> {
    let found = sqlx::query!(
        r#"SELECT account_id, offer AS "offer: Json<Offer>", content AS "content: Json<Quote>", country
             FROM quote WHERE id = $1 FOR UPDATE"#,
        id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found.map(|row| Stored {
        id,
        account: row.account_id.map(AccountId::from_uuid),
        offer: row.offer.0,
        quote: row.content.0,
        country: row.country,
        vat_until: None,
    }))
}

/// The quote.
pub async fn get(tx: &mut PgTransaction<'_>, id: Uuid) -> sqlx::Result<Option<Stored>> {
    let found = sqlx::query!(
        r#"SELECT account_id, offer AS "offer: Json<Offer>", content AS "content: Json<Quote>", country
             FROM quote WHERE id = $1"#,
        id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found.map(|row| Stored {
        id,
        account: row.account_id.map(AccountId::from_uuid),
        offer: row.offer.0,
        quote: row.content.0,
        country: row.country,
        vat_until: None,
    }))
}

/// Forgets quotes that expired before `before`, but for those of orders that staff still have to look at; returns how many.
pub async fn trim(tx: &mut PgTransaction<'_>, brand: BrandId, before: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    let gone = sqlx::query!(
        "DELETE FROM quote WHERE id IN (
             SELECT id FROM quote WHERE brand_id = $1 AND expires_at < $2 AND NOT EXISTS (
                 SELECT FROM orders o WHERE o.brand_id = $1 AND o.quote_id = quote.id AND o.state = 'under_review')
              LIMIT $3)",
        brand.as_uuid(),
        before,
        limit
    )
    .execute(&mut **tx)
    .await?;
    Ok(gone.rows_affected())
}
