//! Events about saved methods; none has a place in an order.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_kit::outbox::Event;
use ottery_proto::billing::v1 as proto;

use crate::contract;
use crate::domain::invoice::Buyer;
use crate::domain::subscription::Subscription;
use crate::store::method_expiry::Due;

/// Type of `billing.method.expiring.v1`.
pub const METHOD_EXPIRING: &str = "billing.method.expiring.v1";

/// A saved method expires that these subscriptions go on being charged to.
#[must_use]
pub fn expiring(brand: BrandId, due: &Due, charged: &[Subscription], buyer: &Buyer, now: DateTime<Utc>) -> Event {
    let mut plans: Vec<String> = charged.iter().map(|subscription| subscription.offer.plan_name.clone()).collect();
    plans.sort_unstable();
    plans.dedup();
    let payload = proto::MethodExpiring {
        method_id: due.method.to_string(),
        account_id: due.account.to_string(),
        label: due.label.clone(),
        expires_on: due.expires_on.map(|day| day.to_string()).unwrap_or_default(),
        subscription_ids: charged.iter().map(|subscription| subscription.id.to_string()).collect(),
        plan_names: plans,
        renews_at: charged.iter().filter_map(|subscription| subscription.paid_through).min().map(contract::timestamp),
        email: buyer.email.clone(),
        display_name: buyer.name.clone(),
        locale: buyer.locale.clone(),
    };
    Event::new(METHOD_EXPIRING, due.method, 0, brand, now, &payload)
}
