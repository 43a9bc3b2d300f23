//! Payments on PayPal's page, and accounts.

use billing::app::payment::{HostedPage, PutAccount};
use billing::domain::invoice::State as InvoiceState;
use billing::domain::payment::State;
use billing::domain::provider::{ProviderAccountId, Route};
use billing::store;
use billing::store::payment::Payment;
use ottery_kernel::{Money, PaymentId};
use ottery_kit::grpc::Problem;
use ottery_kit::secret::Secret;

use super::till::{Till, till};
use crate::world::eur;

#[tokio::test]
async fn case_058_an_approved_order_is_taken_once_and_pays_the_invoice() {
    let till = till().await;
    let payment = till.paid().await;
    assert_eq!(payment.received, Some(eur(1299)));
    assert_eq!(payment.method_label, "PayPal a…@example.com");
    assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Closed);
    assert_eq!(till.stub.captures(&payment.id.to_string()), 1);
    // The token was fetched once for all calls.
    assert_eq!(till.stub.held(|held| held.tokens_made), 1);
    till.stub.assert_described();
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_057_an_order_whose_webhook_never_comes_is_found_and_taken_by_looking() {
    let till = till().await;
    let payment = till.order().await;
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Pending, "nobody has agreed to anything yet");
    assert!(till.stub.seen("POST /v2/checkout/orders/").is_empty());
    till.stub.approve(&payment.checkout_ref);
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_059_fault_f16_a_capture_whose_answer_is_lost_is_read_back_and_made_once() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.approve(&payment.checkout_ref);
    till.stub.fault("POST /v2/checkout/orders/", 503, true);
    till.later().await;
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    assert_eq!(till.stub.captures(&payment.id.to_string()), 1);
    till.world.assert_sound().await;
}

impl Till {
    /// Another page for the same invoice.
    async fn another_page(&self, of: &Payment) -> Result<PaymentId, Problem> {
        let address = || "https://tv.example/".to_owned();
        let page = HostedPage::any(address(), address());
        let made = self.world.billing.pay_invoice(self.world.brand, of.invoice, None, page).await;
        made.map(|(payment, _)| payment)
    }

    async fn stands(&self, of: &Payment) -> (State, bool) {
        let payment = self.payment(of.id).await;
        (payment.state, payment.is_processing)
    }

    /// Nobody waits for the payment any more.
    async fn withdraw(&self, of: &Payment) {
        let mut tx = self.world.tx().await;
        let (brand, invoices) = (self.world.brand, [of.invoice]);
        store::payment::withdraw(&mut tx, brand, &invoices, None, self.world.now()).await.expect("withdrawn");
        tx.commit().await.expect("committed");
    }
}

#[tokio::test]
async fn case_059_a_capture_whose_outcome_is_unknown_locks_the_invoice() {
    for is_told in [true, false] {
        let till = till().await;
        let payment = till.order().await;
        till.stub.approve(&payment.checkout_ref);
        till.stub.fault("POST /v2/checkout/orders/", 503, false);
        if is_told {
            till.tell("CHECKOUT.ORDER.APPROVED", till.stub.order(&payment.checkout_ref)).await.unwrap();
            till.drain().await;
        } else {
            till.later().await;
        }
        assert_eq!(till.stands(&payment).await, (State::Pending, true));
        assert_eq!(till.another_page(&payment).await.unwrap_err().reason, "PAYMENT_IN_PROGRESS");
        till.later().await;
        assert_eq!(till.stands(&payment).await, (State::Succeeded, false));
        assert_eq!(till.stub.captures(&payment.id.to_string()), 1);
        till.world.assert_sound().await;
    }
}

#[tokio::test]
async fn case_059_a_capture_that_was_surely_not_made_locks_nothing() {
    for (fault, refusal) in [(Some(429), ""), (None, "PAYER_ACTION_REQUIRED")] {
        let till = till().await;
        let first = till.order().await;
        till.stub.approve(&first.checkout_ref);
        till.stub.held(|held| held.refusal = refusal.into());
        if let Some(status) = fault {
            till.stub.fault("POST /v2/checkout/orders/", status, false);
        }
        till.later().await;
        assert_eq!(till.stands(&first).await, (State::Pending, false), "{refusal}");
        till.stub.held(|held| held.refusal.clear());
        let second = till.payment(till.another_page(&first).await.expect("a page")).await;
        till.stub.approve(&second.checkout_ref);
        till.later().await;
        assert_eq!((till.stands(&first).await.0, till.stands(&second).await.0), (State::Cancelled, State::Succeeded));
        assert_eq!(till.stub.captures(&first.id.to_string()), 0);
        till.world.assert_sound().await;
    }
}

#[tokio::test]
async fn case_059_a_page_is_not_over_while_its_capture_is_undecided() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.approve(&payment.checkout_ref);
    till.stub.fault("POST /v2/checkout/orders/", 503, false);
    till.later().await;
    till.withdraw(&payment).await;
    till.later().await;
    assert_eq!(till.stands(&payment).await, (State::Pending, true), "it may be captured yet");
    assert_eq!(till.stub.seen("POST /v2/checkout/orders/").len(), 1, "and is not asked for again");
    till.stub.held(|held| held.capture(&payment.checkout_ref));
    till.later().await;
    assert_eq!(till.stands(&payment).await, (State::Succeeded, false));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_059_an_order_paypal_has_forgotten_decides_an_unknown_capture() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.approve(&payment.checkout_ref);
    till.stub.fault("POST /v2/checkout/orders/", 503, false);
    till.later().await;
    till.stub.held(|held| held.orders.remove(&payment.checkout_ref));
    till.later().await;
    assert_eq!(till.stands(&payment).await, (State::Cancelled, false));
    assert!(till.another_page(&payment).await.is_ok());
}

#[tokio::test]
async fn case_064_a_pending_capture_is_waited_for_and_a_denied_one_fails() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.held(|held| held.capture_status = "PENDING".into());
    till.stub.approve(&payment.checkout_ref);
    till.tell("CHECKOUT.ORDER.APPROVED", till.stub.order(&payment.checkout_ref)).await.unwrap();
    till.drain().await;
    let waiting = till.payment(payment.id).await;
    assert_eq!((waiting.state, waiting.is_processing), (State::Pending, true));
    let capture = till.stub.held(|held| {
        let order = held.orders.get_mut(&payment.checkout_ref).unwrap();
        let capture = &mut order["purchase_units"][0]["payments"]["captures"][0];
        capture["status"] = serde_json::json!("DECLINED");
        capture.clone()
    });
    till.tell("PAYMENT.CAPTURE.DENIED", capture).await.unwrap();
    till.drain().await;
    assert_eq!(till.payment(payment.id).await.state, State::Failed);
    assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Open);
}

#[tokio::test]
async fn what_is_agreed_to_on_a_page_that_was_replaced_is_not_taken() {
    let till = till().await;
    let first = till.order().await;
    let address = || "https://tv.example/".to_owned();
    let page = HostedPage::any(address(), address());
    let again = till.world.billing.pay_invoice(till.world.brand, first.invoice, None, page);
    let (second, _) = again.await.expect("a page");
    till.stub.approve(&first.checkout_ref);
    till.tell("CHECKOUT.ORDER.APPROVED", till.stub.order(&first.checkout_ref)).await.unwrap();
    till.drain().await;
    till.later().await;
    assert_eq!(till.stub.captures(&first.id.to_string()), 0);
    let second = till.payment(second).await;
    till.stub.approve(&second.checkout_ref);
    till.later().await;
    assert_eq!(till.payment(second.id).await.state, State::Succeeded);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn what_is_agreed_to_again_after_a_refusal_is_not_taken_beside_the_next_page() {
    let till = till().await;
    let first = till.order().await;
    till.stub.approve(&first.checkout_ref);
    till.stub.held(|held| held.refusal = "INSTRUMENT_DECLINED".into());
    till.later().await;
    assert_eq!(till.payment(first.id).await.state, State::Failed);
    till.stub.held(|held| held.refusal.clear());
    let address = || "https://tv.example/".to_owned();
    let page = HostedPage::any(address(), address());
    let again = till.world.billing.pay_invoice(till.world.brand, first.invoice, None, page);
    let second = till.payment(again.await.expect("a page").0).await;
    // The payer goes on at the first page, which PayPal keeps open.
    till.tell("CHECKOUT.ORDER.APPROVED", till.stub.order(&first.checkout_ref)).await.unwrap();
    till.drain().await;
    assert_eq!(till.stub.captures(&first.id.to_string()), 0);
    till.stub.approve(&second.checkout_ref);
    till.later().await;
    assert_eq!(till.payment(second.id).await.state, State::Succeeded);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn an_account_that_may_save_no_wallets_is_paid_all_the_same() {
    let till = till().await;
    till.stub.held(|held| held.has_no_vault = true);
    let payment = till.paid().await;
    assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Closed);
    let methods = till.world.billing.payment_methods(till.world.brand, payment.account).await.unwrap();
    assert!(methods.is_empty());
    let keys: Vec<_> = till.stub.seen("POST /v2/checkout/orders").into_iter().map(|call| call.key).collect();
    assert!(keys[0] != keys[1], "another order has another key: {keys:?}");
}

#[tokio::test]
async fn a_customer_paypal_does_not_know_any_more_is_named_no_more() {
    for word in ["INVALID_CUSTOMER_ID", "RESOURCE_NOT_FOUND"] {
        let till = till().await;
        let account = till.paid().await.account;
        let setup = async || {
            let address = || "https://tv.example/account".to_owned();
            till.world.billing.begin_setup(till.world.brand, account, None, address(), address()).await
        };
        setup().await.expect("PayPal names the customer");
        till.stub.held(|held| held.customer_gone = word.into());
        assert_eq!(till.order_of(account).await.1.unwrap_err().reason, "PROVIDER_REFUSED", "{word}");
        till.order_of(account).await.1.expect("a page for somebody new");
        setup().await.expect("another customer");
        assert_eq!(setup().await.unwrap_err().reason, "PROVIDER_REFUSED", "{word}");
        setup().await.expect("somebody new");
    }
}

#[tokio::test]
async fn an_order_paypal_has_forgotten_is_over() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.held(|held| held.orders.clear());
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Cancelled);
    assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Open);
}

#[tokio::test]
async fn an_amount_paypal_cannot_write_is_paid_by_another_account() {
    let till = till().await;
    let paypal: ProviderAccountId = till.account.parse().unwrap();
    let stripe = |put: &mut PutAccount| {
        put.provider = "stripe".into();
        put.api_key = Secret::new("sk_test_12345");
        put.webhook_secrets = vec![Secret::new("whsec_1")];
    };
    let stripe: ProviderAccountId = till.put(stripe).await.unwrap().parse().unwrap();
    let ways = async |minor: i64, currency: &str| {
        let route = Route::of(Money::new(minor, currency.parse().unwrap()), "HU");
        let ways = till.world.billing.pay_ways(till.world.brand, route).await.unwrap();
        ways.into_iter().map(|account| account.id).collect::<Vec<_>>()
    };
    for currency in ["HUF", "TWD"] {
        assert_eq!(ways(129_950, currency).await, [stripe], "{currency}");
        assert_eq!(ways(129_900, currency).await, [stripe, paypal], "{currency}");
    }
}

#[tokio::test]
async fn an_old_token_is_replaced_and_the_call_made_then() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.held(|held| held.is_token_old = true);
    till.stub.approve(&payment.checkout_ref);
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    assert_eq!(till.stub.held(|held| held.tokens_made), 2);
}

#[tokio::test]
async fn an_account_says_what_is_wrong_with_it_by_field_and_can_be_tested() {
    let till = till().await;
    let reason = async |key: &str| {
        let problem = till.put(|put| put.api_key = Secret::new(key)).await.unwrap_err();
        (problem.reason.into_owned(), problem.message)
    };
    let (kind, message) = reason("sk_live_123456789").await;
    assert_eq!(kind, "KEY_KIND");
    assert!(message.contains("client id and the secret"), "{message}");
    let plain = till.put(|put| put.base_url = "http://api-m.paypal.com".into()).await.unwrap_err();
    assert_eq!((&*plain.reason, plain.message.contains("https://")), ("URL_REFUSED", true), "{}", plain.message);
    let id = till.account.parse().unwrap();
    assert_eq!(till.world.billing.test_provider_account(till.world.brand, id).await.unwrap(), Ok(()));
    let wrong = till.put(|put| put.api_key = Secret::new("client-1:wrong")).await.unwrap().parse().unwrap();
    let tested = till.world.billing.test_provider_account(till.world.brand, wrong).await.unwrap();
    assert!(tested.unwrap_err().contains("does not know this client id"));
}

#[tokio::test]
async fn case_060_another_amount_is_booked_as_it_came_and_pays_nothing() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.held(|held| {
        let order = held.orders.get_mut(&payment.checkout_ref).unwrap();
        order["purchase_units"][0]["amount"]["value"] = serde_json::json!("10.00");
    });
    till.stub.approve(&payment.checkout_ref);
    till.later().await;
    assert_eq!(till.payment(payment.id).await.received, Some(eur(1000)));
    assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Open);
    assert_eq!(till.tasks().await, ["payment_mismatch"]);
    till.world.assert_sound().await;
}
