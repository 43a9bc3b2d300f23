//! What time it is for a brand.
//!
//! A brand may run on a test clock, which `catalog` owns. Every service keeps the brand's time in `brand_clock`,
//! fed by `catalog.clock.advanced.v1`; whether something is due is judged by it. Leases and timeouts never are.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, Clock};
use ottery_proto::catalog::v1::ClockAdvanced;
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;

use crate::consume::{Consumer, ConsumerGroup, Delivery, HandleError, Handler};

/// Type of the event that moves a brand's clock.
pub const CLOCK_ADVANCED: &str = "catalog.clock.advanced.v1";

/// The present of `brand`: its test clock, or `clock` when it has none.
pub async fn brand_now(tx: &mut PgTransaction<'_>, brand: BrandId, clock: &dyn Clock) -> sqlx::Result<DateTime<Utc>> {
    Ok(test_clock(tx, brand).await?.unwrap_or_else(|| clock.now()))
}

/// Time on the brand's test clock; `None` when it lives in real time.
pub async fn test_clock(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("SELECT now FROM brand_clock WHERE brand_id = $1", brand.as_uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// Moves the brand's test clock to `now`. Clocks only go forward: an older instant changes nothing.
pub async fn set_brand_clock(tx: &mut PgTransaction<'_>, brand: BrandId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO brand_clock AS c (brand_id, now) VALUES ($1, $2)
         ON CONFLICT (brand_id) DO UPDATE SET now = EXCLUDED.now, updated_at = now() WHERE c.now < EXCLUDED.now",
        brand.as_uuid(),
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The consumer that keeps `brand_clock` of a service; every service but `catalog` itself runs one.
#[must_use]
pub fn consumer(service: &str, pool: PgPool) -> Consumer {
    Consumer::new(pool, group(service), FollowClock)
}

/// The group of [`consumer`], for declaring.
#[must_use]
pub fn group(service: &str) -> ConsumerGroup {
    // An older instant changes nothing, so no event has to wait for another.
    ConsumerGroup::new(format!("{service}.clock"), &[CLOCK_ADVANCED]).newest_wins().concurrency(1)
}

/// Applies `catalog.clock.advanced.v1`.
pub struct FollowClock;

#[async_trait]
impl Handler for FollowClock {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        let advanced: ClockAdvanced = delivery.payload()?;
        let brand: BrandId =
            advanced.brand_id.parse().map_err(|error| HandleError::permanent(format!("brand_id: {error}")))?;
        let now = advanced
            .now
            .and_then(|now| DateTime::from_timestamp(now.seconds, u32::try_from(now.nanos).ok()?))
            .ok_or_else(|| HandleError::permanent("`now` is missing or out of range"))?;
        set_brand_clock(tx, brand, now).await?;
        Ok(())
    }
}
