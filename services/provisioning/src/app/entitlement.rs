//! Taking in what billing wants.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, ServiceId};
use sqlx::postgres::PgTransaction;

use crate::domain::Wanted;
use crate::store::service::{self, Entitlement};

/// A wanted state as it came.
#[derive(Clone, Debug)]
pub struct Wish {
    pub brand: BrandId,
    pub subscription: ottery_kernel::SubscriptionId,
    pub account_id: String,
    pub order_id: String,
    pub email: String,
    pub locale: String,
    pub plan_name: String,
    pub pool: String,
    pub region: String,
    pub wanted: Wanted,
    pub causation_id: String,
    pub correlation_id: String,
}

/// Stores a wanted state when it is newer than the stored one; the consumer wakes the reconciler after the commit. It is the whole
/// state, so an older one is ignored and a gap does not matter. Returns whether it was newer.
pub async fn want(tx: &mut PgTransaction<'_>, wish: Wish, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let mut wanted = wish.wanted;
    wanted.bouquets.sort_unstable();
    wanted.bouquets.dedup();
    wanted.outputs.sort_unstable();
    wanted.outputs.dedup();
    let entitlement = Entitlement {
        id: ServiceId::new(now),
        brand: wish.brand,
        subscription: wish.subscription,
        account_id: wish.account_id,
        order_id: wish.order_id,
        email: wish.email,
        locale: wish.locale,
        plan_name: wish.plan_name,
        pool: wish.pool,
        region: wish.region,
        wanted,
        traceparent: ottery_kit::telemetry::traces::current_traceparent().unwrap_or_default(),
        causation_id: wish.causation_id,
        correlation_id: wish.correlation_id,
        now,
    };
    service::want(tx, &entitlement).await
}
