//! What customers are told of money they send by bank or hand over; no event has a place in an order.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, Money};
use ottery_kit::outbox::Event;
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::by_hand_told::What;

use crate::contract;
use crate::domain::invoice::Invoice;
use crate::store::by_hand::{Proof, Wait};
use crate::store::payment::Payment;

/// Type of `billing.by_hand.told.v1`.
pub const TOLD: &str = "billing.by_hand.told.v1";

/// Less came than is due: `came` by this record, `due` is still to be paid.
#[must_use]
pub fn short(
    brand: BrandId,
    wait: &Wait,
    payment: &Payment,
    came: Money,
    due: Money,
    invoice: &Invoice,
    now: DateTime<Utc>,
) -> Event {
    let payload = proto::ByHandTold { came: Some(contract::money(came)), ..told(What::Short, wait, due, invoice) };
    Event::new(TOLD, payment.id, 0, brand, now, &payload)
}

/// A file is no proof.
#[must_use]
pub fn proof_refused(
    brand: BrandId,
    wait: &Wait,
    proof: &Proof,
    reason: &str,
    due: Money,
    invoice: &Invoice,
    now: DateTime<Utc>,
) -> Event {
    let payload = proto::ByHandTold {
        file_name: proof.name.clone(),
        reason: reason.to_owned(),
        ..told(What::ProofRefused, wait, due, invoice)
    };
    Event::new(TOLD, wait.payment, 0, brand, now, &payload)
}

fn told(what: What, wait: &Wait, due: Money, invoice: &Invoice) -> proto::ByHandTold {
    let buyer = &invoice.snapshot.buyer;
    proto::ByHandTold {
        what: what.into(),
        payment_id: wait.payment.to_string(),
        invoice_id: invoice.id.to_string(),
        title: wait.title.clone(),
        reference: wait.reference.printed(),
        due: Some(contract::money(due)),
        email: buyer.email.clone(),
        display_name: buyer.name.clone(),
        locale: buyer.locale.clone(),
        ..proto::ByHandTold::default()
    }
}
