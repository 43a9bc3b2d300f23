//! BTCPay Server's webhooks: in once, applied from its truth.

use billing::app::payment::Rotate;
use billing::domain::payment::State;
use futures::future::join_all;
use ottery_kit::grpc::Code;
use ottery_kit::secret::Secret;
use serde_json::json;

use super::till::{SECRET, till};

#[tokio::test]
async fn case_052_fault_f14_copies_and_repetitions_settle_once() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.stands(&payment.checkout_ref, "Settled", "None", "12.99");
    let event = till.event("InvoiceSettled", &payment.checkout_ref);
    let webhook = till.webhook(&event, SECRET);
    let answers = join_all((0..20).map(|_| till.world.billing.ingest_webhook(&webhook))).await;
    assert_eq!(answers.iter().filter(|answer| **answer == Ok(false)).count(), 1, "{answers:?}");
    assert!(answers.iter().all(Result::is_ok));
    // Delivered again it has an id of its own.
    let mut again = event.clone();
    again["deliveryId"] = json!("D-again");
    again["isRedelivery"] = json!(true);
    assert_eq!(till.world.billing.ingest_webhook(&till.webhook(&again, SECRET)).await, Ok(true));
    till.drain().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    assert_eq!(till.count("provider_event").await, 1);
    assert_eq!(till.count("transfer WHERE kind = 'payment.settled'").await, 1);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_054_events_in_any_order_mean_what_is_true_now() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.stands(&payment.checkout_ref, "Settled", "None", "12.99");
    for kind in ["InvoiceExpired", "InvoiceSettled", "InvoiceProcessing", "InvoiceReceivedPayment"] {
        till.tell(kind, &payment.checkout_ref).await.unwrap();
        till.drain().await;
        assert_eq!(till.payment(payment.id).await.state, State::Succeeded, "{kind}");
    }
    // Whatever an event says, the invoice says more.
    let other = till.order().await;
    till.tell("InvoiceSettled", &other.checkout_ref).await.unwrap();
    till.drain().await;
    assert_eq!(till.payment(other.id).await.state, State::Pending);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_056_secure_s19_what_is_not_signed_with_a_live_secret_is_refused_without_a_row() {
    let till = till().await;
    let payment = till.order().await;
    let event = till.event("InvoiceSettled", &payment.checkout_ref);
    let good = till.webhook(&event, SECRET);
    let mut longer = good.clone();
    longer.body.push(b' ');
    let mut unsigned = good.clone();
    unsigned.headers.clear();
    for forged in [till.webhook(&event, "another secret"), longer, unsigned] {
        let refused = till.world.billing.ingest_webhook(&forged).await.unwrap_err();
        assert_eq!((refused.code, &*refused.reason), (Code::Unauthenticated, "WEBHOOK_REFUSED"));
    }
    assert_eq!(till.count("provider_event").await, 0);
    assert_eq!(till.world.billing.ingest_webhook(&good).await, Ok(false));
}

#[tokio::test]
async fn secure_s19_two_secrets_are_live_while_one_is_replaced() {
    let till = till().await;
    let payment = till.order().await;
    let rotate = Rotate {
        id: till.account.parse().unwrap(),
        webhook_secret: Secret::new("the next secret"),
        overlap_hours: 24,
        expected_version: 1,
    };
    let owner = ottery_testkit::actor::owner(till.world.brand);
    till.world.billing.rotate_provider_account(&owner, till.world.brand, rotate).await.expect("replaced");
    for secret in [SECRET, "the next secret"] {
        let webhook = till.webhook(&till.event("InvoiceProcessing", &payment.checkout_ref), secret);
        assert_eq!(till.world.billing.ingest_webhook(&webhook).await, Ok(false), "{secret}");
    }
    sqlx::query("UPDATE provider_account SET previous_until = now() - interval '1 second'")
        .execute(&till.world.database.admin_pool)
        .await
        .unwrap();
    let late = till.webhook(&till.event("InvoiceProcessing", &payment.checkout_ref), SECRET);
    assert!(till.world.billing.ingest_webhook(&late).await.is_err());
}

#[tokio::test]
async fn case_055_other_stores_and_other_orders_are_answered_and_ignored() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.stands(&payment.checkout_ref, "Settled", "None", "12.99");
    let mut foreign_store = till.event("InvoiceSettled", &payment.checkout_ref);
    foreign_store["storeId"] = json!("Store2");
    let mut foreign_order = till.event("InvoiceSettled", "Inv99");
    foreign_order["metadata"] = json!({"orderId": "shop-7"});
    let mut nothing = till.event("PaymentRequestCreated", &payment.checkout_ref);
    nothing["metadata"] = json!({});
    for event in [foreign_store, foreign_order, nothing] {
        assert_eq!(till.world.billing.ingest_webhook(&till.webhook(&event, SECRET)).await, Ok(false));
    }
    till.drain().await;
    assert_eq!(till.count("provider_event WHERE state = 'ignored'").await, 3);
    assert_eq!(till.payment(payment.id).await.state, State::Pending, "nobody told of it");
}

#[tokio::test]
async fn case_055_an_invoice_of_another_store_under_our_id_pays_nothing() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.stands(&payment.checkout_ref, "Settled", "None", "12.99");
    till.stub.held(|held| held.invoices.get_mut(&payment.checkout_ref).unwrap()["storeId"] = json!("Store2"));
    till.tell("InvoiceSettled", &payment.checkout_ref).await.unwrap();
    till.drain().await;
    assert_ne!(till.payment(payment.id).await.state, State::Succeeded);
    till.world.assert_sound().await;
}
