//! Orders the payer approves on PayPal's page, and what is given back of them.

use billing::app::refund::Ask;
use billing::domain::invoice::State as InvoiceState;
use billing::domain::payment::State;
use billing::domain::refund::{Policy, State as RefundState};
use billing::store;
use ottery_kernel::{PaymentId, RefundId};

use super::till::{Till, till};
use crate::world::eur;

impl Till {
    async fn give_back(&self, payment: PaymentId, minor: i64) -> RefundId {
        let ask =
            Ask { payment, invoice: None, amount: Some(eur(minor)), reason: "As asked".into(), policy: Policy::Keep };
        let owner = ottery_testkit::actor::owner(self.world.brand);
        self.world.billing.refund_payment(&owner, self.world.brand, ask, None).await.expect("asked").id
    }

    async fn refund_state(&self, payment: PaymentId) -> RefundState {
        let mut tx = self.world.tx().await;
        store::refund::of_payment(&mut tx, payment).await.expect("readable")[0].state
    }
}

#[tokio::test]
async fn case_057_paypal_an_approved_order_is_found_captured_once_and_settled_without_a_webhook() {
    let till = till().await;
    let payment = till.order().await;
    assert!(payment.checkout_url.contains(&payment.checkout_ref));
    // Nobody has approved: nothing is taken.
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Pending);
    assert!(till.stub.seen(&format!("POST /v2/checkout/orders/{}/capture", payment.checkout_ref)).is_empty());
    till.stub.approve(&payment.checkout_ref);
    till.later().await;
    till.later().await;
    let paid = till.payment(payment.id).await;
    assert_eq!((paid.state, paid.method_label.as_str()), (State::Succeeded, "PayPal a…@example.com"));
    assert_eq!(till.world.invoice(paid.invoice).await.state, InvoiceState::Closed);
    assert_eq!(till.stub.captures(&payment.id.to_string()), 1);
    // One token serves all of it.
    assert_eq!(till.stub.seen("POST /v1/oauth2/token").len(), 1);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_059_fault_f16_paypal_a_capture_whose_answer_is_lost_is_read_back_and_made_once() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.approve(&payment.checkout_ref);
    till.stub.lose(&format!("POST /v2/checkout/orders/{}/capture", payment.checkout_ref));
    till.later().await;
    assert_eq!(till.stub.captures(&payment.id.to_string()), 1);
    assert_ne!(till.payment(payment.id).await.state, State::Succeeded);
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    assert_eq!(till.stub.captures(&payment.id.to_string()), 1);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_064_paypal_a_pending_capture_is_no_money_though_its_order_is_complete() {
    let till = till().await;
    till.stub.capture_as("PENDING");
    let payment = till.paid().await;
    assert_eq!(till.stub.order(&payment.checkout_ref)["status"], "COMPLETED");
    assert_eq!(payment.state, State::Pending);
    assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Open);
}

#[tokio::test]
async fn fault_f16_paypal_a_refund_whose_answer_is_lost_is_found_and_made_once() {
    let till = till().await;
    let payment = till.paid().await;
    till.give_back(payment.id, 300).await;
    till.lose_answers();
    till.drain().await;
    assert_eq!(till.refund_state(payment.id).await, RefundState::Unknown);
    till.good_weather();
    till.later().await;
    assert_eq!(till.refund_state(payment.id).await, RefundState::Succeeded);
    assert_eq!(till.stub.refunds(), 1);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn paypal_a_key_without_its_secret_is_refused() {
    let till = till().await;
    assert_eq!(till.add_account("AZ-client").await.unwrap_err().reason, "KEY_KIND");
}
