//! Webhooks: in once, applied from the provider's truth.

use billing::app::webhook::BODY_BYTES_MAX;
use billing::domain::invoice::State as InvoiceState;
use billing::domain::payment::State;
use billing::domain::refund;
use futures::future::join_all;
use serde_json::json;

use crate::shop::{SECRET, shop};
use crate::world::eur;

const GOOD: &str = "4242424242424242";

#[tokio::test]
async fn case_052_a_hundred_copies_at_once_have_one_effect_and_are_all_answered() {
    let shop = shop().await;
    let (payment, page) = shop.order().await;
    shop.card(&page, GOOD).await;
    let event = shop.events("payment.succeeded", payment.id).await.pop().expect("told");
    let answers = join_all((0..100).map(|_| shop.deliver(&event))).await;
    let duplicates =
        answers.into_iter().map(|answer| answer.expect("answered")).filter(|is_duplicate| *is_duplicate).count();
    assert_eq!(duplicates, 99);
    shop.drain().await;
    assert_eq!((shop.count("provider_event").await, shop.count("provider_event_due").await), (1, 0));
    assert_eq!(shop.world.invoice(payment.invoice).await.paid, eur(1299));
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn fault_f14_five_at_once_and_in_the_wrong_order_settle_once() {
    let shop = shop().await;
    let (payment, page) = shop.order().await;
    shop.card(&page, "4000000000000002").await;
    shop.card(&page, GOOD).await;
    let failed = shop.events("payment.failed", payment.id).await.pop().expect("told");
    let paid = shop.events("payment.succeeded", payment.id).await.pop().expect("told");
    // The later event first, each of them five times, worked on by two replicas.
    let answers = join_all([&paid, &failed].into_iter().flat_map(|event| (0..5).map(|_| shop.deliver(event)))).await;
    assert!(answers.iter().all(Result::is_ok));
    let other = shop.world.billing.clone();
    let (one, two) = tokio::join!(shop.world.billing.work_events(), other.work_events());
    assert_eq!(one.unwrap() + two.unwrap(), 2);
    shop.later().await;
    shop.drain().await;
    assert_eq!(shop.payment(payment.id).await.state, State::Succeeded);
    assert_eq!(shop.world.invoice(payment.invoice).await.paid, eur(1299));
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_054_failed_after_succeeded_changes_nothing() {
    let shop = shop().await;
    let (payment, page) = shop.order().await;
    shop.card(&page, "4000000000009995").await;
    let failed = shop.events("payment.failed", payment.id).await.pop().expect("told");
    shop.card(&page, GOOD).await;
    shop.hear("payment.succeeded", payment.id).await;
    shop.drain().await;
    shop.deliver(&failed).await.expect("answered");
    shop.drain().await;
    let payment = shop.payment(payment.id).await;
    assert_eq!((payment.state, payment.received), (State::Succeeded, Some(eur(1299))));
    assert_eq!(shop.world.invoice(payment.invoice).await.state, InvoiceState::Closed);
}

#[tokio::test]
async fn case_053_a_refund_that_comes_before_its_payment_waits_for_it() {
    let shop = shop().await;
    let (payment, page) = shop.order().await;
    shop.card(&page, GOOD).await;
    let charge = shop.look(&format!("payments/charges?reference={}", payment.id)).await["charges"][0]["id"].clone();
    shop.api("refunds", json!({"payment": charge, "amount": {"currency": "EUR", "minor": 300}})).await;
    // The provider does not tell about the payment just now, so the refund cannot be placed.
    shop.fault("payment.get", "http_503", 1).await;
    shop.hear("refund.succeeded", payment.id).await;
    shop.drain().await;
    assert_eq!(shop.count("provider_event_due").await, 1, "parked");
    assert_eq!((shop.payment(payment.id).await.state, shop.count("refund").await), (State::Pending, 0));
    // Its parent arrives and wakes it.
    shop.hear("payment.succeeded", payment.id).await;
    shop.drain().await;
    assert_eq!(shop.count("provider_event_due").await, 0);
    let refunds = shop.refunds_of(payment.id).await;
    assert_eq!((refunds.len(), refunds[0].state, refunds[0].amount), (1, refund::State::Succeeded, eur(300)));
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_055_an_event_about_nothing_of_ours_is_answered_and_ignored() {
    let shop = shop().await;
    for (id, reference) in [("evt_a", "order-77"), ("evt_b", "pay_0192f0c1a2b37c4d8e5f60718293a4b5"), ("evt_c", "")] {
        let object = json!({"id": "pay_x", "reference": reference, "amount": {"currency": "EUR", "minor": 1}, "status": "succeeded"});
        let event = json!({"id": id, "type": "payment.succeeded", "created": 1, "data": {"object": object}});
        assert_eq!(shop.deliver(&event).await, Ok(false));
    }
    shop.drain().await;
    assert_eq!(
        (shop.count("provider_event WHERE state = 'ignored'").await, shop.count("provider_event_due").await),
        (3, 0)
    );
    assert!(shop.tasks().await.is_empty());
}

#[tokio::test]
async fn fault_f15_what_is_not_genuine_leaves_no_row_and_one_count() {
    let shop = shop().await;
    let event =
        json!({"id": "evt_1", "type": "payment.succeeded", "data": {"object": {"id": "pay_1", "reference": "x"}}});
    let ingest = async |webhook| shop.world.billing.ingest_webhook(&webhook).await;
    let forged = shop.webhook(&event, "whsec_wrong", 0);
    let stale = shop.webhook(&event, SECRET, 302);
    let mut tampered = shop.webhook(&event, SECRET, 0);
    tampered.body.push(b' ');
    let mut unsigned = shop.webhook(&event, SECRET, 0);
    unsigned.headers.clear();
    let mut elsewhere = shop.webhook(&event, SECRET, 0);
    elsewhere.account = "pva_0192f0c1a2b37c4d8e5f60718293a4b5".into();
    let mut nobody = shop.webhook(&event, SECRET, 0);
    nobody.account = "x".into();
    let mut messages = Vec::new();
    for webhook in [forged, stale, tampered, unsigned, elsewhere, nobody] {
        let problem = ingest(webhook).await.unwrap_err();
        assert_eq!(problem.code, ottery_kit::grpc::Code::Unauthenticated);
        messages.push((problem.reason, problem.message));
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "the answer tells nothing");
    let mut large = shop.webhook(&event, SECRET, 0);
    large.body = vec![b' '; BODY_BYTES_MAX + 1];
    assert_eq!(ingest(large).await.unwrap_err().reason, "WEBHOOK_TOO_LARGE");
    assert_eq!((shop.count("provider_event").await, shop.count("provider_event_key").await), (0, 0));
    let metrics = shop.world.billing.host.metrics.encode();
    for outcome in ["wrong_signature", "stale", "unsigned", "unknown_account", "too_large"] {
        assert!(metrics.contains(&format!("outcome=\"{outcome}\"")), "{outcome}: {metrics}");
    }
}

#[tokio::test]
async fn fault_f15_the_secret_of_another_brand_opens_nothing() {
    let (shop, other) = (shop().await, shop().await);
    other.put_account(&["whsec_of_the_other"]).await;
    let event =
        json!({"id": "evt_1", "type": "payment.succeeded", "data": {"object": {"id": "pay_1", "reference": "x"}}});
    let webhook = shop.webhook(&event, "whsec_of_the_other", 0);
    assert!(shop.world.billing.ingest_webhook(&webhook).await.is_err());
    assert_eq!(shop.count("provider_event").await, 0);
}

#[tokio::test]
async fn secure_s19_both_secrets_are_good_during_a_rotation_and_the_old_one_is_not_afterwards() {
    let shop = shop().await;
    let event = |id: &str| json!({"id": id, "type": "x.y", "data": {"object": {}}});
    shop.put_account(&[SECRET, "whsec_new"]).await;
    for (id, secret) in [("evt_1", SECRET), ("evt_2", "whsec_new")] {
        let webhook = shop.webhook(&event(id), secret, 280);
        assert_eq!(shop.world.billing.ingest_webhook(&webhook).await, Ok(false), "{secret}");
    }
    shop.put_account(&["whsec_new"]).await;
    let webhook = shop.webhook(&event("evt_3"), SECRET, 0);
    assert!(shop.world.billing.ingest_webhook(&webhook).await.is_err());
}

#[tokio::test]
async fn secure_s17_and_s18_secrets_are_sealed_and_never_shown() {
    let shop = shop().await;
    shop.paid_with(GOOD).await;
    let dump: Vec<String> = sqlx::query_scalar(
        "SELECT row_to_json(a)::text || encode(api_key_sealed, 'escape') || encode(secrets_sealed[1], 'escape') FROM provider_account a
         UNION ALL SELECT row_to_json(m)::text || encode(token_sealed, 'escape') FROM payment_method m
         UNION ALL SELECT convert_from(payload, 'LATIN1') FROM outbox",
    )
    .fetch_all(&shop.world.database.admin_pool)
    .await
    .expect("readable");
    assert!(dump.len() > 2);
    let charges = shop.look("payments/charges").await;
    let token = charges["charges"][0]["payment_method"].as_str().expect("saved").to_owned();
    for secret in [SECRET, "sk_sandbox_demo", &token] {
        assert!(dump.iter().all(|row| !row.contains(secret)), "{secret}");
    }
    let shown = format!("{:?}", shop.world.billing.provider_accounts(shop.world.brand).await.expect("listed"));
    assert!(!shown.contains("demo"), "{shown}");
}
