//! Events of others, turned into use cases.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ottery_kit::clock::CLOCK_ADVANCED;
use ottery_kit::consume::{ConsumerGroup, Delivery, HandleError, Handler};
use ottery_proto::billing::v1::EntitlementChanged;
use ottery_proto::billing::v1::entitlement_changed::Wanted as WantedProto;
use ottery_proto::catalog::v1::ClockAdvanced;
use prost_types::Timestamp;
use sqlx::postgres::PgTransaction;

use crate::app::App;
use crate::app::entitlement::{self, Wish};
use crate::domain::{Country, Goal, Wanted};
use crate::driver::Output;
use crate::store::panel;

/// Type of the event that says what a customer is entitled to.
pub const ENTITLEMENT_CHANGED: &str = "billing.entitlement.changed.v1";
/// Key of the option that binds a line to one internet provider.
const ISP_LOCK: &str = "isp-lock";
/// Key of the option that lets a line play only from its customer's country.
const COUNTRY_LOCK: &str = "country-lock";

/// Who listens to entitlements. It is state: the newest says everything.
#[must_use]
pub fn entitlements() -> ConsumerGroup {
    ConsumerGroup::new("provisioning.entitlement", &[ENTITLEMENT_CHANGED]).newest_wins()
}

/// Who tells simulated panels the time.
#[must_use]
pub fn clocks() -> ConsumerGroup {
    ConsumerGroup::new("provisioning.panel_clock", &[CLOCK_ADVANCED]).newest_wins()
}

/// Stores what is wanted.
pub struct Entitlements(pub App);

#[async_trait]
impl Handler for Entitlements {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        let event: EntitlementChanged = delivery.payload()?;
        let wish = wish(delivery, event)?;
        let now = ottery_kit::clock::brand_now(tx, wish.brand, &*self.0.host.clock).await?;
        let subscription = wish.subscription;
        if !entitlement::want(tx, wish, now).await? {
            tracing::debug!(%subscription, "an older entitlement came late; ignored");
        }
        Ok(())
    }

    fn committed(&self) {
        self.0.due.notify_one();
    }
}

fn wish(delivery: &Delivery, event: EntitlementChanged) -> Result<Wish, HandleError> {
    let goal = match event.wanted() {
        WantedProto::Active => Goal::Active,
        WantedProto::Suspended => Goal::Suspended,
        WantedProto::Terminated => Goal::Terminated,
        WantedProto::Unspecified => return Err(HandleError::permanent("`wanted` is not set")),
    };
    let mapping = event.mapping.unwrap_or_default();
    let mut outputs = Vec::new();
    for text in &mapping.outputs {
        outputs.push(
            Output::parse(text).ok_or_else(|| HandleError::permanent(format!("`mapping.outputs` has `{text}`")))?,
        );
    }
    if outputs.is_empty() {
        // A line without formats could play nothing; HLS plays everywhere.
        outputs = vec![Output::Hls, Output::Ts];
    }
    let paid_through = event
        .paid_through
        .and_then(instant)
        .ok_or_else(|| HandleError::permanent("`paid_through` is missing or out of range"))?;
    let lock = |key: &str| event.options.iter().find(|option| option.key == key).map(|option| option.quantity > 0);
    let (isp_lock, country_lock) = (lock(ISP_LOCK), lock(COUNTRY_LOCK));
    let region = if event.region.is_empty() { mapping.region } else { event.region };
    Ok(Wish {
        brand: delivery.brand()?,
        subscription: event.subscription_id.parse().map_err(HandleError::permanent)?,
        account_id: event.account_id,
        order_id: event.order_id,
        email: event.email,
        locale: event.locale,
        plan_name: event.plan_name,
        pool: mapping.pool,
        region,
        wanted: Wanted {
            version: event.version,
            goal,
            connections: event.connections.max(1),
            bouquets: mapping.bouquet_ids,
            outputs,
            package: Some(mapping.package_id).filter(|id| *id > 0),
            paid_through,
            trial: event.trial,
            isp_lock,
            country_lock,
            country: Country::parse(&event.country),
        },
        causation_id: delivery.envelope.event_id.clone(),
        correlation_id: delivery.envelope.correlation_id.clone(),
    })
}

/// Puts simulated panels on the brand's test clock.
pub struct Clocks;

#[async_trait]
impl Handler for Clocks {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        let event: ClockAdvanced = delivery.payload()?;
        let now =
            event.now.and_then(instant).ok_or_else(|| HandleError::permanent("`now` is missing or out of range"))?;
        panel::want_clock(tx, now).await?;
        Ok(())
    }
}

fn instant(at: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?)
}
