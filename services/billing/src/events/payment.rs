//! Events about payments and refunds; none has a place in an order.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_kit::outbox::Event;
use ottery_proto::billing::v1 as proto;

use crate::contract;
use crate::domain::invoice::Invoice;
use crate::store::credit_note::CreditNote;
use crate::store::payment::Payment;
use crate::store::refund::Refund;

/// Type of `billing.payment.failed.v1`.
pub const PAYMENT_FAILED: &str = "billing.payment.failed.v1";
/// Type of `billing.refund.succeeded.v1`.
pub const REFUND_SUCCEEDED: &str = "billing.refund.succeeded.v1";

/// An attempt was refused, or needs the customer. `is_told`: they hear of it.
#[must_use]
pub fn failed(brand: BrandId, payment: &Payment, invoice: &Invoice, is_told: bool, now: DateTime<Utc>) -> Event {
    let buyer = &invoice.snapshot.buyer;
    let payload = proto::PaymentFailed {
        payment: Some(contract::payment::payment_for_customer(payment)),
        subscription_id: payment.subscription.map(|id| id.to_string()).unwrap_or_default(),
        email: buyer.email.clone(),
        locale: buyer.locale.clone(),
        invoice_number: invoice.number_text(),
        quiet: !is_told,
        display_name: buyer.name.clone(),
    };
    Event::new(PAYMENT_FAILED, payment.id, 0, brand, now, &payload)
}

/// Money went back.
#[must_use]
pub fn refunded(
    brand: BrandId,
    refund: &Refund,
    invoice: &Invoice,
    note: Option<&CreditNote>,
    now: DateTime<Utc>,
) -> Event {
    let buyer = &invoice.snapshot.buyer;
    let payload = proto::RefundSucceeded {
        refund: Some(contract::payment::refund(refund)),
        account_id: refund.account.to_string(),
        email: buyer.email.clone(),
        locale: buyer.locale.clone(),
        invoice_number: invoice.number_text(),
        credit_note: note.map(contract::credit_note),
        invoice_total: Some(contract::money(invoice.totals.total)),
    };
    Event::new(REFUND_SUCCEEDED, refund.id, 0, brand, now, &payload)
}
