//! What dunning tells.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_kit::outbox::Event;
use ottery_proto::billing::v1 as proto;

use crate::contract;
use crate::domain::invoice::Invoice;
use crate::domain::subscription::Subscription;

/// Type of `billing.dunning.suspended.v1`.
pub const SUSPENDED: &str = "billing.dunning.suspended.v1";

/// A subscription was suspended because of this invoice.
#[must_use]
pub fn suspended(brand: BrandId, subscription: &Subscription, invoice: &Invoice, now: DateTime<Utc>) -> Event {
    let buyer = &invoice.snapshot.buyer;
    let payload = proto::DunningSuspended {
        invoice: Some(contract::invoice(invoice, &[])),
        subscription_id: subscription.id.to_string(),
        plan_name: subscription.offer.plan_name.clone(),
        email: buyer.email.clone(),
        locale: buyer.locale.clone(),
    };
    Event::new(SUSPENDED, invoice.id, 0, brand, now, &payload)
}
