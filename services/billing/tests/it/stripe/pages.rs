//! Hosted pages.

use billing::app::payment::{HostedPage, open_checkout};
use billing::domain::invoice::State as InvoiceState;
use billing::domain::payment::State;
use billing::domain::subscription::State as SubscriptionState;

use super::till::{GOOD, till};
use crate::world::eur;

#[tokio::test]
async fn case_058_the_webhook_alone_finishes_an_order_paid_at_stripe() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    let invoice = till.world.invoice(payment.invoice).await;
    assert_eq!((invoice.state, invoice.paid), (InvoiceState::Closed, eur(1299)));
    let subscription = till.world.subscription(payment.subscription.unwrap()).await;
    assert_eq!(subscription.state, SubscriptionState::Active);
    assert_eq!(subscription.method.expect("saved").label, "Visa ending 4242");
    assert_eq!((payment.provider.as_str(), payment.received), ("stripe", Some(eur(1299))));
    assert!(payment.provider_ref.starts_with("pi_"), "{}", payment.provider_ref);
    assert_eq!((till.balance("provider:stripe").await, till.balance("receivable").await), (1299, 0));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn every_call_names_the_version_of_the_api_and_every_change_has_its_key() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    let calls = till.front.seen("");
    assert!(calls.iter().filter(|call| call.path.starts_with("/v1/")).count() >= 3);
    for call in calls.iter().filter(|call| call.path.starts_with("/v1/")) {
        assert_eq!(call.version, billing::provider::stripe::API_VERSION, "{} {}", call.method, call.path);
        assert_eq!(call.method == "POST", !call.key.is_empty(), "{} {}", call.method, call.path);
    }
    let page = &till.front.seen("POST /v1/checkout/sessions")[0];
    assert_eq!(page.key, format!("pay:{}", payment.id));
    assert_eq!(page.form["client_reference_id"], payment.id.to_string());
    assert_eq!(page.form["payment_intent_data[setup_future_usage]"], "off_session");
}

#[tokio::test]
async fn case_057_a_payment_whose_webhook_never_comes_is_found_by_looking() {
    let till = till().await;
    let payment = till.order().await;
    till.front.card(&payment.checkout_ref, GOOD).await;
    till.drain().await;
    assert_eq!(till.payment(payment.id).await.state, State::Pending, "nobody has looked yet");
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn a_refused_card_leaves_the_page_open_for_another_one() {
    let till = till().await;
    let payment = till.order().await;
    assert_eq!(till.front.card(&payment.checkout_ref, "4000000000000341").await, 402);
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Pending);
    assert_eq!(till.front.card(&payment.checkout_ref, GOOD).await, 303);
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
}

#[tokio::test]
async fn a_page_that_was_closed_cancels_its_attempt_and_a_new_one_closes_the_old() {
    let till = till().await;
    let first = till.order().await;
    let address = || "https://tv.example/".to_owned();
    let billing = &till.world.billing;
    let (second, _) = billing
        .pay_invoice(till.world.brand, first.invoice, None, HostedPage::any(address(), address()))
        .await
        .unwrap();
    assert_ne!(first.id, second);
    till.drain().await;
    assert_eq!(till.payment(first.id).await.state, State::Cancelled);
    assert_eq!(till.front.session(&first.checkout_ref)["status"], "expired");
    // One customer at Stripe, however many pages they see.
    assert_eq!(till.front.seen("POST /v1/customers").len(), 1);
}

#[tokio::test]
async fn case_059_a_page_whose_answer_was_lost_is_forgotten_and_nobody_pays_on_it() {
    let till = till().await;
    let account = till.world.account();
    let quote = till.world.quote(Some(account), crate::world::offer(1299, crate::world::week()), false).await;
    let placing = crate::world::placing(quote, account);
    let placed = till.world.billing.place_order(till.world.brand, placing, None).await.expect("placed");
    let id = placed.payment.expect("due");
    till.front.fault("POST /v1/checkout/sessions", 500, true);
    let refused = open_checkout(&till.world.billing, till.world.brand, id).await.unwrap_err();
    assert_eq!(refused.reason, "PROVIDER_AWAY");
    assert_eq!(till.payment(id).await.state, State::Unknown);
    till.later().await;
    assert_eq!(till.payment(id).await.state, State::Cancelled);
}

#[tokio::test]
async fn a_customer_stripe_has_deleted_is_made_anew() {
    let till = till().await;
    let first = till.order().await;
    till.front.fault("POST /v1/checkout/sessions", 404, false);
    let pay = async || {
        let address = || "https://tv.example/".to_owned();
        till.world
            .billing
            .pay_invoice(till.world.brand, first.invoice, None, HostedPage::any(address(), address()))
            .await
    };
    assert_eq!(pay().await.unwrap_err().reason, "PROVIDER_REFUSED");
    assert_eq!(till.count("provider_customer").await, 0);
    pay().await.expect("a page");
    assert_eq!(till.front.seen("POST /v1/customers").len(), 2);
}
