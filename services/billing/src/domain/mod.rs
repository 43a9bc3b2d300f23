//! What billing decides: pure, no waiting, no storage, no clock. Instants come in as arguments.

pub mod calendar;
pub mod coupon;
pub mod derivation;
pub mod dunning;
pub mod einvoice;
pub mod entitlement;
pub mod explain;
pub mod export;
pub mod invoice;
pub mod ledger;
pub mod line;
pub mod manual;
pub mod next_bill;
pub mod offer;
pub mod order;
pub mod pay_link;
pub mod payment;
pub mod portion;
pub mod profile;
pub mod proration;
pub mod provider;
pub mod quote;
pub mod rates;
pub mod refund;
pub mod rules;
pub mod subscription;
