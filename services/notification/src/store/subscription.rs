//! What was last heard of a subscription.

use sqlx::PgConnection;

use ottery_kernel::BrandId;

/// What was last heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something newer was heard already.
    Older,
    /// Whether it was cancelled before this was heard.
    Newer {
        /// Ends with its period.
        was_cancelled: bool,
    },
}

/// Notes whether the subscription is cancelled at this version, and gives what was known before.
pub async fn note(
    tx: &mut PgConnection,
    brand: BrandId,
    subscription: &str,
    version: i64,
    is_cancelled: bool,
) -> sqlx::Result<Heard> {
    let was_cancelled = sqlx::query_scalar!(
        "INSERT INTO subscription_note AS n (subscription_id, brand_id, version, is_cancelled) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (subscription_id) DO UPDATE SET version = EXCLUDED.version, is_cancelled = EXCLUDED.is_cancelled, \
         was_cancelled = n.is_cancelled WHERE n.version < EXCLUDED.version RETURNING was_cancelled",
        subscription,
        brand.as_uuid(),
        version,
        is_cancelled,
    )
    .fetch_optional(tx)
    .await?;
    Ok(was_cancelled.map_or(Heard::Older, |was_cancelled| Heard::Newer { was_cancelled }))
}

/// Whether the subscription was cancelled when it was last heard of; none when it never was.
pub async fn is_cancelled(tx: &mut PgConnection, subscription: &str) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!("SELECT is_cancelled FROM subscription_note WHERE subscription_id = $1", subscription)
        .fetch_optional(tx)
        .await
}
