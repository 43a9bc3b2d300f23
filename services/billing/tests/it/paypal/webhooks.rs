//! PayPal's webhooks: checked offline, in once, applied from PayPal's truth.

use billing::domain::dispute::State as DisputeState;
use billing::domain::payment::State;
use billing::provider::Forged;
use billing::store;
use chrono::TimeDelta;
use futures::future::join_all;
use ottery_kernel::{Clock as _, SystemClock};
use ottery_kit::grpc::Code;
use ottery_kit::secret::Secret;
use serde_json::json;

use super::till::{WEBHOOK_ID, signer, till, till_told_by};

#[tokio::test]
async fn case_052_and_054_fault_f14_twenty_copies_and_a_late_first_event_settle_once() {
    let till = till().await;
    let payment = till.paid().await;
    let capture = till.stub.order(&payment.checkout_ref)["purchase_units"][0]["payments"]["captures"][0].clone();
    let webhook = till.webhook("PAYMENT.CAPTURE.COMPLETED", &capture, WEBHOOK_ID);
    let answers = join_all((0..20).map(|_| till.world.billing.ingest_webhook(&webhook))).await;
    assert_eq!(answers.into_iter().filter(|answer| *answer == Ok(true)).count(), 19);
    till.tell("PAYMENT.CAPTURE.PENDING", capture).await.unwrap();
    till.drain().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    assert_eq!(till.count("provider_event_due").await, 0);
    // The certificate was asked for once, however many came.
    assert_eq!(till.stub.held(|held| held.certificates_asked), 1);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_056_fault_f15_what_is_not_genuine_leaves_no_row_and_one_count() {
    let till = till().await;
    let event = || till.webhook("PAYMENT.CAPTURE.COMPLETED", &json!({"id": "C1"}), WEBHOOK_ID);
    let mut tampered = event();
    tampered.body.push(b' ');
    // The event's own id in place of the id of our address.
    let event_id =
        serde_json::from_slice::<serde_json::Value>(&event().body).unwrap()["id"].as_str().unwrap().to_owned();
    let misnamed = till.webhook("PAYMENT.CAPTURE.COMPLETED", &json!({"id": "C1"}), &event_id);
    let mut unsigned = event();
    unsigned.headers.remove("paypal-transmission-sig");
    let mut weak = event();
    weak.headers.insert("paypal-auth-algo".into(), "SHA1withRSA".into());
    let mut later = event();
    later.headers.insert("paypal-transmission-time".into(), "2026-11-20T10:00:01Z".into());
    for webhook in [tampered, misnamed, unsigned, weak, later] {
        let problem = till.world.billing.ingest_webhook(&webhook).await.unwrap_err();
        assert_eq!((problem.code, &*problem.reason), (Code::Unauthenticated, "WEBHOOK_REFUSED"));
    }
    assert_eq!(till.count("provider_event").await, 0);
    let metrics = till.world.billing.host.metrics.encode();
    for outcome in ["wrong_signature", "unsigned"] {
        assert!(metrics.contains(&format!("outcome=\"{outcome}\"")), "{outcome}: {metrics}");
    }
    assert_eq!(till.world.billing.ingest_webhook(&event()).await, Ok(false), "the genuine one is taken");
}

#[tokio::test]
async fn secure_s19_a_certificate_from_elsewhere_is_never_asked_for() {
    let till = till().await;
    let mut webhook = till.webhook("PAYMENT.CAPTURE.COMPLETED", &json!({"id": "C1"}), WEBHOOK_ID);
    for url in [
        "https://paypal.com.evil.test/v1/notifications/certs/CERT-1".to_owned(),
        // The stub itself by another name than the account's address.
        format!("http://{}/v1/notifications/certs/CERT-1", till.stub.address),
    ] {
        webhook.headers.insert("paypal-cert-url".into(), url);
        assert!(till.world.billing.ingest_webhook(&webhook).await.is_err());
    }
    assert_eq!(till.stub.held(|held| held.certificates_asked), 0);
}

#[tokio::test]
async fn secure_s19_a_certificate_kept_for_one_account_is_not_believed_by_another() {
    let till = till().await;
    let direct = format!("http://{}", till.stub.address);
    let other = till.put(|put| put.base_url = direct.clone()).await.unwrap();
    let event = || till.webhook("BILLING.PLAN.CREATED", &json!({"id": "P-1"}), WEBHOOK_ID);
    assert_eq!(till.world.billing.ingest_webhook(&event()).await, Ok(false), "its certificate is kept now");
    let mut webhook = event();
    webhook.account = other;
    let problem = till.world.billing.ingest_webhook(&webhook).await.unwrap_err();
    assert_eq!(problem.reason, "WEBHOOK_REFUSED", "it is at no address of that account");
    let own = format!("{direct}/v1/notifications/certs/CERT-1");
    webhook.headers.insert("paypal-cert-url".into(), own);
    assert_eq!(till.world.billing.ingest_webhook(&webhook).await, Ok(false));
}

#[tokio::test]
async fn secure_s19_a_certificate_of_another_name_or_authority_is_not_believed() {
    let mut till = till().await;
    // Of an authority nobody knows.
    let stranger = signer("messageverificationcerts.paypal.com");
    till.stub.held(|held| held.certificate = stranger.certificate().expect("a file"));
    till.signer = stranger;
    assert!(till.tell("PAYMENT.CAPTURE.COMPLETED", json!({"id": "C1"})).await.is_err());
    assert!(till.world.billing.host.metrics.encode().contains("outcome=\"certificate\""));
    assert_eq!(till.count("provider_event").await, 0);
    // Of a known one, and somebody else's: every site of the web has such a certificate.
    let till = till_told_by("notpaypal.com").await;
    assert!(till.tell("PAYMENT.CAPTURE.COMPLETED", json!({"id": "C1"})).await.is_err());
    assert!(till.world.billing.host.metrics.encode().contains("outcome=\"certificate\""));
}

#[tokio::test]
async fn fault_f15_a_certificate_is_believed_while_it_is_good_and_two_ids_while_one_replaces_the_other() {
    let mut till = till().await;
    let ids = ["WH-OLD", "WH-NEW"];
    till.account = till.put(|put| put.webhook_secrets = ids.map(Secret::new).to_vec()).await.unwrap();
    let event = |id: &str| till.webhook("BILLING.PLAN.CREATED", &json!({"id": "P-1"}), id);
    for id in ids {
        assert_eq!(till.world.billing.ingest_webhook(&event(id)).await, Ok(false), "{id}");
    }
    assert!(till.world.billing.ingest_webhook(&event(WEBHOOK_ID)).await.is_err());
    // It was made for nine days from now on.
    let webhook = event("WH-NEW");
    let paypal = till.world.billing.providers.get("paypal").unwrap();
    let verified = |days: i64| {
        let then = SystemClock.now() + TimeDelta::days(days);
        let (base_url, ids) = (till.base_url(), ids.map(Secret::new));
        paypal.verify_webhook(&base_url, &webhook.body, &webhook.headers, &ids, then).map(|_| ())
    };
    assert_eq!([verified(0), verified(8)], [Ok(()), Ok(())]);
    assert_eq!([verified(10), verified(-2)], [Err(Forged::Certificate), Err(Forged::Certificate)]);
}

#[tokio::test]
async fn case_055_what_another_product_on_the_account_does_is_answered_and_ignored() {
    let till = till().await;
    for (kind, resource) in [
        ("PAYMENT.CAPTURE.COMPLETED", json!({"id": "C9", "custom_id": "shop-7"})),
        ("CHECKOUT.ORDER.APPROVED", json!({"id": "O9"})),
        ("BILLING.SUBSCRIPTION.CREATED", json!({"id": "I-9"})),
    ] {
        assert_eq!(till.tell(kind, resource).await, Ok(false), "{kind}");
    }
    till.drain().await;
    assert_eq!(till.count("provider_event WHERE state = 'ignored'").await, 3);
}

#[tokio::test]
async fn case_069_a_dispute_is_followed_as_paypal_tells_it() {
    let till = till().await;
    let payment = till.paid().await;
    let mut dispute = json!({"dispute_id": "PP-D-1", "status": "WAITING_FOR_SELLER_RESPONSE", "reason": "UNAUTHORISED",
        "dispute_life_cycle_stage": "CHARGEBACK", "dispute_amount": {"currency_code": "EUR", "value": "12.99"},
        "disputed_transactions": [{"seller_transaction_id": payment.provider_ref}],
        "money_movements": [{"affected_party": "SELLER", "type": "DEBIT", "amount": {"currency_code": "EUR", "value": "12.99"}}]});
    till.stub.held(|held| held.disputes.insert("PP-D-1".into(), dispute.clone()));
    till.tell("CUSTOMER.DISPUTE.CREATED", dispute.clone()).await.unwrap();
    till.drain().await;
    let known = async || {
        let mut tx = till.world.tx().await;
        let page = store::Page { before: None, limit: 5 };
        store::dispute::list(&mut tx, None, page).await.unwrap().remove(0)
    };
    let opened = known().await;
    assert_eq!((opened.state, opened.books.taken), (DisputeState::NeedsResponse, 1299));
    dispute["status"] = json!("RESOLVED");
    dispute["dispute_outcome"] = json!({"outcome_code": "RESOLVED_BUYER_FAVOUR"});
    till.stub.held(|held| held.disputes.insert("PP-D-1".into(), dispute.clone()));
    till.tell("CUSTOMER.DISPUTE.RESOLVED", dispute).await.unwrap();
    till.drain().await;
    let lost = known().await;
    assert_eq!((lost.state, lost.books.lost), (DisputeState::Lost, 1299));
    till.stub.assert_described();
    till.world.assert_sound().await;
}
