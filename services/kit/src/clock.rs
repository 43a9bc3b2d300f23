//! What time it is for a brand.
//!
//! A brand may run on a test clock, which `catalog` owns. Every service keeps the brand's time in `brand_clock`,
//! fed by `catalog.clock.advanced.v1`; whether something is due is judged by it. Leases and timeouts never are.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, Clock};
use sqlx::postgres::PgTransaction;

/// Type of the event that moves a brand's clock.
pub const CLOCK_ADVANCED: &str = "catalog.clock.advanced.v1";

/// The present of `brand`: its test clock, or `clock` when it has none.
pub async fn brand_now(tx: &mut PgTransaction<'_>, brand: BrandId, clock: &dyn Clock) -> sqlx::Result<DateTime<Utc>> {
    Ok(test_clock(tx, brand).await?.unwrap_or_else(|| clock.now()))
}

/// Time on the brand's test clock; `None` when it lives in real time.
pub async fn test_clock(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar("SELECT now FROM brand_clock WHERE brand_id = $1")
        .bind(brand.as_uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// Moves the brand's test clock to `now`. Clocks only go forward: an older instant changes nothing.
pub async fn set_brand_clock(tx: &mut PgTransaction<'_>, brand: BrandId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO brand_clock AS c (brand_id, now) VALUES ($1, $2) \
         ON CONFLICT (brand_id) DO UPDATE SET now = EXCLUDED.now, updated_at = now() WHERE c.now < EXCLUDED.now",
    )
    .bind(brand.as_uuid())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
