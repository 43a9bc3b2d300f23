//! Contract to what identity keeps.

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound as _};
use ottery_kit::consume::{ConsumerGroup, Delivery, HandleError, Handler};
use ottery_proto::catalog::v1::BrandChanged;
use ottery_proto::common::v1::AuditRecorded;
use sqlx::postgres::PgTransaction;

use crate::domain::audit::Deed;
use crate::store::{audit, brand};

/// Every service that records what people did.
const AUDITED: &[&str] = &[
    "identity.audit.recorded.v1",
    "catalog.audit.recorded.v1",
    "billing.audit.recorded.v1",
    "provisioning.audit.recorded.v1",
    "support.audit.recorded.v1",
    "notification.audit.recorded.v1",
    "affiliate.audit.recorded.v1",
];

/// Who listens for deeds. They are linked in the order they arrive; each says itself when it was done.
#[must_use]
pub fn audit_group() -> ConsumerGroup {
    ConsumerGroup::new("identity.audit", AUDITED).newest_wins().gathers()
}

/// Links deeds into the chain of their brand.
pub struct LinkAudit;

#[async_trait]
impl Handler for LinkAudit {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        let recorded: AuditRecorded = delivery.payload()?;
        let occurred_at = recorded
            .occurred_at
            .and_then(|at| DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?))
            .unwrap_or(delivery.occurred_at)
            // What PostgreSQL stores; the hash must read back the same.
            .trunc_subsecs(6);
        let deed = Deed {
            event_id: delivery.event_id,
            action: recorded.action,
            actor_kind: recorded.actor_kind,
            actor_id: recorded.actor_id,
            target_id: recorded.target_id,
            before_json: recorded.before_json,
            after_json: recorded.after_json,
            client_ip: recorded.client_ip,
            request_id: recorded.request_id,
            occurred_at,
        };
        audit::append(tx, delivery.brand, &deed).await?;
        Ok(())
    }
}

/// Who listens for brands.
#[must_use]
pub fn brand_group() -> ConsumerGroup {
    ConsumerGroup::new("identity.brands", &["catalog.brand.changed.v1"]).newest_wins().concurrency(1)
}

/// Keeps what sign-up has to know of a brand.
pub struct FollowBrands;

#[async_trait]
impl Handler for FollowBrands {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        let changed: BrandChanged = delivery.payload()?;
        let told = changed.brand.ok_or_else(|| HandleError::permanent("`brand` is missing"))?;
        let profile = brand::Profile { name: told.name, slug: told.slug, default_locale: told.default_locale };
        brand::put(tx, delivery.brand()?, delivery.aggregate_version(), &profile).await?;
        Ok(())
    }
}
