//! What billing decides: pure, no waiting, no storage, no clock. Instants come in as arguments.

pub mod coupon;
pub mod dunning;
pub mod entitlement;
pub mod invoice;
pub mod ledger;
pub mod line;
pub mod offer;
pub mod order;
pub mod payment;
pub mod profile;
pub mod proration;
pub mod provider;
pub mod quote;
pub mod refund;
pub mod subscription;
