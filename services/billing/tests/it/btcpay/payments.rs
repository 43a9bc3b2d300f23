//! Invoices at BTCPay Server, and accounts.

use billing::app::payment::open_checkout;
use billing::domain::invoice::State as InvoiceState;
use billing::domain::payment::State;
use ottery_kit::secret::Secret;

use super::till::till;
use crate::world::eur;
use ottery_sandbox::btcpay::{STORE, TOKEN};

#[tokio::test]
async fn case_058_a_settled_invoice_pays_ours_and_saves_nothing() {
    let till = till().await;
    let payment = till.paid().await;
    assert_eq!(payment.received, Some(eur(1299)));
    assert_eq!(payment.method_label, "Bitcoin");
    assert_eq!(payment.checkout_url, format!("https://pay.example/i/{}", payment.checkout_ref));
    assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Closed);
    let methods = till.world.billing.payment_methods(till.world.brand, payment.account).await.unwrap();
    assert!(methods.is_empty(), "renewals are paid by hand");
    let subscription = till.world.subscription(payment.subscription.unwrap()).await;
    assert!(subscription.method.is_none());
    assert!(till.tasks().await.is_empty(), "{:?}", till.task_texts().await);
    till.stub.assert_described();
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_057_a_payment_whose_webhook_never_comes_is_found_by_looking() {
    let till = till().await;
    let payment = till.order().await;
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Pending, "nobody has paid yet");
    till.stub.stands(&payment.checkout_ref, "Settled", "None", "12.99");
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_081_what_is_not_confirmed_locks_the_invoice_and_activates_nothing() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.stands(&payment.checkout_ref, "Processing", "None", "12.99");
    till.tell("InvoiceProcessing", &payment.checkout_ref).await.unwrap();
    till.drain().await;
    let waiting = till.payment(payment.id).await;
    assert_eq!((waiting.state, waiting.is_processing), (State::Pending, true));
    assert_eq!(till.another_page(&payment).await.unwrap_err().reason, "PAYMENT_IN_PROGRESS");
    assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Open);
    // Replaced by its sender before it was confirmed: the page is open again, and then over.
    till.stub.stands(&payment.checkout_ref, "New", "None", "0");
    till.later().await;
    let open = till.payment(payment.id).await;
    assert_eq!((open.state, open.is_processing), (State::Pending, false));
    till.stub.stands(&payment.checkout_ref, "Expired", "None", "0");
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Cancelled);
    till.another_page(&payment).await.expect("a page");
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_059_fault_f16_an_invoice_whose_answer_is_lost_is_found_by_our_id_at_once() {
    for status in [500, 502, 504] {
        let till = till().await;
        till.stub.fault("POST /api/v1/stores/Store1/invoices", status, true);
        let payment = till.order().await;
        assert_eq!(till.stub.made_for(&payment.id.to_string()), [payment.checkout_ref.as_str()], "{status}");
        till.stub.stands(&payment.checkout_ref, "Settled", "None", "12.99");
        till.later().await;
        assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
        till.stub.assert_described();
        till.world.assert_sound().await;
    }
}

#[tokio::test]
async fn case_059_fault_f16_an_invoice_nobody_heard_of_is_found_later_and_made_once() {
    let till = till().await;
    till.lose_answers();
    let (id, page) = till.asked().await;
    assert_eq!(page.unwrap_err().reason, "PROVIDER_AWAY");
    assert_eq!(till.payment(id).await.state, State::Unknown);
    till.good_weather();
    till.later().await;
    assert_eq!(till.payment(id).await.state, State::Pending);
    let made = till.stub.made_for(&id.to_string());
    assert_eq!(made.len(), 1);
    till.stub.stands(&made[0], "Settled", "None", "12.99");
    till.tell("InvoiceSettled", &made[0]).await.unwrap();
    till.drain().await;
    assert_eq!(till.payment(id).await.state, State::Succeeded);
    assert_eq!(till.stub.made_for(&id.to_string()).len(), 1);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_059_an_invoice_that_was_surely_not_made_is_given_up() {
    let till = till().await;
    till.stub.fault("POST /api/v1/stores/Store1/invoices", 503, false);
    let (id, page) = till.asked().await;
    assert_eq!(page.unwrap_err().reason, "PROVIDER_AWAY");
    assert_eq!(till.payment(id).await.state, State::Unknown);
    till.later().await;
    let given_up = till.payment(id).await;
    assert_eq!(given_up.state, State::Cancelled);
    assert!(till.stub.made_for(&id.to_string()).is_empty());
    till.another_page(&given_up).await.expect("a page");
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_084_without_a_rate_nothing_is_made_and_later_it_is() {
    let till = till().await;
    till.stub.held(|held| held.has_no_rate = true);
    let (id, page) = till.asked().await;
    assert_eq!(page.unwrap_err().reason, "PROVIDER_AWAY");
    assert_eq!(till.payment(id).await.state, State::Requested);
    till.stub.held(|held| held.has_no_rate = false);
    open_checkout(&till.world.billing, till.world.brand, id).await.expect("a page");
    assert_eq!(till.stub.made_for(&id.to_string()).len(), 1);
}

#[tokio::test]
async fn nobody_is_sent_to_a_page_that_asks_for_another_amount() {
    let till = till().await;
    till.stub.held(|held| held.asks_for = Some("13.00".into()));
    assert_eq!(till.asked().await.1.unwrap_err().reason, "AMOUNT_UNSUPPORTED");
}

#[tokio::test]
async fn a_server_that_finds_the_store_by_itself_is_asked_without_it() {
    let till = till().await;
    till.stub.held(|held| held.is_storeless = true);
    let payment = till.paid().await;
    assert_eq!(payment.received, Some(eur(1299)));
    till.stub.assert_described();
}

#[tokio::test]
async fn a_connection_test_names_the_permissions_that_are_missing() {
    let till = till().await;
    let test = async |account: &str| {
        let id = account.parse().unwrap();
        till.world.billing.test_provider_account(till.world.brand, id).await.unwrap()
    };
    assert_eq!(test(&till.account).await, Ok(()));
    till.stub.held(|held| held.permissions = vec![format!("btcpay.store.cancreateinvoice:{STORE}")]);
    let lacking = test(&till.account).await.unwrap_err();
    for missing in ["btcpay.store.canviewinvoices", "btcpay.store.canmanagepullpayments", STORE] {
        assert!(lacking.contains(missing), "{lacking}");
    }
    assert!(!lacking.contains("cancreateinvoice"), "{lacking}");
    till.stub.held(|held| held.permissions = vec!["unrestricted".into()]);
    assert_eq!(test(&till.account).await, Ok(()));
    let other_key = till.put(|put| put.api_key = Secret::from(format!("{STORE}:{}", "f".repeat(40)))).await.unwrap();
    assert!(test(&other_key).await.unwrap_err().contains("the key is not good for this"));
    till.stub.assert_described();
}

#[tokio::test]
async fn an_account_says_what_is_wrong_with_it_by_field() {
    let till = till().await;
    let problem = till.put(|put| put.api_key = Secret::new(TOKEN)).await.unwrap_err();
    assert_eq!(&*problem.reason, "KEY_KIND");
    assert!(problem.message.contains("the store's id and an API key"), "{}", problem.message);
    let plain = till.put(|put| put.base_url = "http://pay.example".into()).await.unwrap_err();
    assert_eq!((&*plain.reason, plain.message.contains("https://")), ("URL_REFUSED", true), "{}", plain.message);
    let nowhere = till.put(|put| put.base_url = String::new()).await.unwrap_err();
    assert_eq!(&*nowhere.reason, "URL_REFUSED", "it has no address of its own");
}
