//! Charges of saved wallets.

use billing::domain::invoice::State as InvoiceState;
use billing::domain::payment::{DeclineClass, State};

use super::till::till;

const ORDERS: &str = "POST /v2/checkout/orders";

#[tokio::test]
async fn paypal_a_renewal_is_charged_to_the_saved_wallet_in_one_call() {
    let till = till().await;
    let first = till.paid().await;
    let before = till.stub.seen(ORDERS).len();
    let renewal = till.charge(&first).await;
    till.drain().await;
    let renewal = till.payment(renewal.id).await;
    assert_eq!(renewal.state, State::Succeeded);
    assert_eq!(till.world.invoice(renewal.invoice).await.state, InvoiceState::Closed);
    let calls = till.stub.seen(ORDERS);
    assert_eq!(calls.len(), before + 1);
    assert_eq!(calls[before].body["payment_source"]["paypal"]["vault_id"], "8kk8451t");
    assert_eq!(calls[before].body["purchase_units"][0]["custom_id"], renewal.id.to_string());
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_059_fault_f16_paypal_a_charge_whose_answer_is_lost_is_had_by_the_same_key_and_made_once() {
    let till = till().await;
    let first = till.paid().await;
    let before = till.stub.seen(ORDERS).len();
    let renewal = till.charge(&first).await;
    till.lose_answers();
    till.drain().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Unknown);
    till.good_weather();
    till.later().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Succeeded);
    assert_eq!(till.stub.captures(&renewal.id.to_string()), 1);
    let calls = till.stub.seen(ORDERS);
    assert_eq!(calls.len(), before + 2);
    assert_eq!((&calls[before].key, &calls[before].body), (&calls[before + 1].key, &calls[before + 1].body));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_063_paypal_a_refused_wallet_is_told_by_its_class() {
    let till = till().await;
    let first = till.paid().await;
    let renewal = till.charge(&first).await;
    till.stub.fault(ORDERS, 422, "PAYER_ACCOUNT_RESTRICTED");
    till.drain().await;
    let renewal = till.payment(renewal.id).await;
    assert_eq!(renewal.state, State::Failed);
    let decline = renewal.failure.expect("a refusal");
    assert_eq!((decline.class, decline.code.as_str()), (DeclineClass::Hard, "PAYER_ACCOUNT_RESTRICTED"));
    assert_eq!(till.stub.captures(&renewal.id.to_string()), 0);
}

#[tokio::test]
async fn case_062_paypal_a_wallet_that_wants_its_holder_waits_for_them() {
    let till = till().await;
    let first = till.paid().await;
    let renewal = till.charge(&first).await;
    till.stub.fault(ORDERS, 422, "PAYER_ACTION_REQUIRED");
    till.drain().await;
    assert_eq!(till.payment(renewal.id).await.state, State::ActionRequired);
    assert_eq!(till.stub.captures(&renewal.id.to_string()), 0);
}
