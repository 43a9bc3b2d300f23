//! Stripe's webhooks: in once, applied from Stripe's truth.

use billing::domain::invoice::State as InvoiceState;
use billing::domain::payment::State;
use futures::future::join_all;
use ottery_kit::grpc::Code;
use serde_json::json;

use super::front::SECRET;
use super::till::{GOOD, till};
use crate::world::eur;

#[tokio::test]
async fn case_052_twenty_copies_of_what_localstripe_signed_have_one_effect() {
    let till = till().await;
    let first = till.paid_with(GOOD).await;
    let renewal = till.charge(&first).await;
    till.drain().await;
    let renewal = till.payment(renewal.id).await;
    let hook = till.front.hook("payment_intent.succeeded", &renewal.provider_ref).await;
    let answers = join_all((0..20).map(|_| till.deliver(&hook))).await;
    let duplicates =
        answers.into_iter().map(|answer| answer.expect("answered")).filter(|is_duplicate| *is_duplicate).count();
    assert_eq!(duplicates, 19);
    till.drain().await;
    assert_eq!(till.count("provider_event_due").await, 0);
    assert_eq!(till.world.invoice(renewal.invoice).await.paid, eur(1299));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn fault_f14_five_at_once_and_paid_before_created_settle_once() {
    let till = till().await;
    let payment = till.order().await;
    till.front.card(&payment.checkout_ref, GOOD).await;
    let page = till.front.session(&payment.checkout_ref);
    let intent = till.front.get(&format!("/v1/payment_intents/{}", page["payment_intent"].as_str().unwrap())).await;
    // Four different events about one payment, the last one first, each of them five times, worked on by two replicas.
    let events = [
        till.event("payment_intent.succeeded", intent.clone()),
        till.event("checkout.session.completed", page),
        till.event("payment_intent.processing", intent.clone()),
        till.event("payment_intent.requires_action", intent),
    ];
    let webhooks: Vec<_> =
        events.iter().flat_map(|event| (0..5).map(|_| till.webhook(event, SECRET, 0)).collect::<Vec<_>>()).collect();
    let answers = join_all(webhooks.iter().map(|webhook| till.world.billing.ingest_webhook(webhook))).await;
    assert!(answers.iter().all(Result::is_ok));
    let other = till.world.billing.clone();
    let (one, two) = tokio::join!(till.world.billing.work_events(), other.work_events());
    assert_eq!(one.unwrap() + two.unwrap(), 4);
    till.later().await;
    till.drain().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    assert_eq!(till.world.invoice(payment.invoice).await.paid, eur(1299));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_054_failed_after_succeeded_is_read_again_and_changes_nothing() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    let claimed = json!({"id": payment.provider_ref, "status": "requires_payment_method", "amount": 1299, "currency": "eur",
        "metadata": {"payment": payment.id.to_string()}, "last_payment_error": {"code": "card_declined"}});
    till.tell("payment_intent.payment_failed", claimed).await.unwrap();
    till.drain().await;
    let payment = till.payment(payment.id).await;
    assert_eq!((payment.state, payment.received), (State::Succeeded, Some(eur(1299))));
    assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Closed);
}

#[tokio::test]
async fn case_055_what_another_product_on_the_account_does_is_answered_and_ignored() {
    let till = till().await;
    let stray = till.front.post("/v1/payment_intents", &[("amount", "500"), ("currency", "eur")]).await;
    let id = stray["id"].as_str().unwrap();
    for (kind, object) in [
        ("payment_intent.succeeded", json!({"id": id, "metadata": {}})),
        ("charge.refunded", json!({"id": "ch_1", "payment_intent": id})),
        ("refund.created", json!({"id": "re_1", "payment_intent": "pi_nobody_knows"})),
        ("charge.dispute.created", json!({"id": "dp_1", "payment_intent": null})),
        ("checkout.session.completed", json!({"id": "cs_1", "mode": "payment", "client_reference_id": "order-77"})),
        ("setup_intent.succeeded", json!({"id": "seti_1", "metadata": {}})),
        ("payment_method.detached", json!({"id": "pm_1"})),
        ("invoice.paid", json!({"id": "in_1"})),
    ] {
        assert_eq!(till.tell(kind, object).await, Ok(false), "{kind}");
    }
    till.drain().await;
    let ignored = till.count("provider_event WHERE state = 'ignored'").await;
    assert_eq!((ignored, till.count("provider_event_due").await), (8, 0));
    assert!(till.tasks().await.is_empty());
}

#[tokio::test]
async fn fault_f15_what_is_not_genuine_leaves_no_row_and_one_count() {
    let till = till().await;
    let event = till.event("payment_intent.succeeded", json!({"id": "pi_1", "metadata": {}}));
    let ingest = async |webhook| till.world.billing.ingest_webhook(&webhook).await;
    let forged = till.webhook(&event, "whsec_wrong", 0);
    let stale = till.webhook(&event, SECRET, 302);
    let ahead = till.webhook(&event, SECRET, -302);
    let mut tampered = till.webhook(&event, SECRET, 0);
    tampered.body.push(b' ');
    let mut binary = till.webhook(&event, SECRET, 0);
    binary.body = vec![0xff, 0xfe, 0x00];
    let mut unsigned = till.webhook(&event, SECRET, 0);
    unsigned.headers.clear();
    let mut older_scheme = till.webhook(&event, SECRET, 0);
    let header = older_scheme.headers["stripe-signature"].replace("v1=", "v0=");
    older_scheme.headers.insert("stripe-signature".into(), header);
    let mut elsewhere = till.webhook(&event, SECRET, 0);
    elsewhere.account = "pva_0192f0c1a2b37c4d8e5f60718293a4b5".into();
    for webhook in [forged, stale, ahead, tampered, binary, unsigned, older_scheme, elsewhere] {
        let problem = ingest(webhook).await.unwrap_err();
        assert_eq!((problem.code, &*problem.reason), (Code::Unauthenticated, "WEBHOOK_REFUSED"));
    }
    assert_eq!((till.count("provider_event").await, till.count("provider_event_key").await), (0, 0));
    let metrics = till.world.billing.host.metrics.encode();
    for outcome in ["wrong_signature", "stale", "unsigned", "unknown_account"] {
        assert!(metrics.contains(&format!("outcome=\"{outcome}\"")), "{outcome}: {metrics}");
    }
}

#[tokio::test]
async fn case_076_an_event_of_the_other_mode_is_refused() {
    let till = till().await;
    let mut event = till.event("payment_intent.succeeded", json!({"id": "pi_1", "metadata": {}}));
    event["livemode"] = json!(true);
    let refused = till.world.billing.ingest_webhook(&till.webhook(&event, SECRET, 0)).await;
    assert_eq!(refused.unwrap_err().reason, "WEBHOOK_REFUSED");
    assert_eq!(till.count("provider_event").await, 0);
    assert!(till.world.billing.host.metrics.encode().contains("outcome=\"other_mode\""));
}

#[tokio::test]
async fn secure_s19_the_secret_before_the_newest_is_good_for_a_while_and_then_is_not() {
    let till = till().await;
    let event = |id: &str| json!({"id": id, "type": "x.y", "livemode": false, "data": {"object": {}}});
    let rotated = till.rotate("whsec_new", 24).await;
    assert!(rotated.previous_until.is_some());
    let ingest =
        async |id: &str, secret: &str| till.world.billing.ingest_webhook(&till.webhook(&event(id), secret, 0)).await;
    assert_eq!(ingest("evt_1", SECRET).await, Ok(false));
    assert_eq!(ingest("evt_2", "whsec_new").await, Ok(false));
    sqlx::query("UPDATE provider_account SET previous_until = now() - interval '1 second'")
        .execute(&till.world.database.admin_pool)
        .await
        .unwrap();
    assert!(ingest("evt_3", SECRET).await.is_err());
    assert_eq!(ingest("evt_4", "whsec_new").await, Ok(false));
    // Replaced at once.
    till.rotate("whsec_newest", 0).await;
    assert!(ingest("evt_5", "whsec_new").await.is_err());
    assert_eq!(ingest("evt_6", "whsec_newest").await, Ok(false));
}

#[tokio::test]
async fn case_064_a_payment_that_takes_days_is_waited_for() {
    let till = till().await;
    let payment = till.order().await;
    let mut page = till.front.session(&payment.checkout_ref);
    page["status"] = json!("complete");
    page["payment_intent"] =
        json!({"id": "pi_slow", "status": "processing", "amount": 1299, "currency": "eur", "metadata": {}});
    till.front.say_session(page.clone());
    till.tell("checkout.session.completed", page.clone()).await.unwrap();
    till.drain().await;
    let waiting = till.payment(payment.id).await;
    assert_eq!((waiting.state, waiting.is_processing), (State::Pending, true));
    page["payment_intent"] = json!({"id": "pi_slow", "status": "requires_payment_method", "amount": 1299, "currency": "eur",
        "metadata": {}, "last_payment_error": {"code": "payment_method_unactivated"}});
    till.front.say_session(page.clone());
    till.tell("checkout.session.async_payment_failed", page).await.unwrap();
    till.drain().await;
    assert_eq!(till.payment(payment.id).await.state, State::Failed);
}

#[tokio::test]
async fn case_060_another_amount_is_booked_as_it_came_and_pays_nothing() {
    let till = till().await;
    let payment = till.order().await;
    let mut page = till.front.session(&payment.checkout_ref);
    page["status"] = json!("complete");
    page["payment_intent"] = json!({"id": "pi_less", "status": "succeeded", "amount": 1000, "currency": "eur",
        "metadata": {"payment": payment.id.to_string(), "amount_minor": "1299"}});
    till.front.say_session(page.clone());
    till.tell("checkout.session.completed", page).await.unwrap();
    till.drain().await;
    assert_eq!(till.payment(payment.id).await.received, Some(eur(1000)));
    assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Open);
    assert_eq!(till.tasks().await, ["payment_mismatch"]);
    till.world.assert_sound().await;
}
