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
    sqlx::query!(
        "INSERT INTO subscription_note (subscription_id, brand_id, version, is_cancelled) VALUES ($1, $2, -1, false) \
         ON CONFLICT DO NOTHING",
        subscription,
        brand.as_uuid(),
    )
    .execute(&mut *tx)
    .await?;
    let before = sqlx::query!(
        "SELECT version, is_cancelled FROM subscription_note WHERE subscription_id = $1 FOR UPDATE",
        subscription
    )
    .fetch_one(&mut *tx)
    .await?;
    if before.version >= version {
        return Ok(Heard::Older);
    }
    sqlx::query!(
        "UPDATE subscription_note SET version = $2, is_cancelled = $3 WHERE subscription_id = $1",
        subscription,
        version,
        is_cancelled
    )
    .execute(tx)
    .await?;
    Ok(Heard::Newer { was_cancelled: before.is_cancelled })
}
