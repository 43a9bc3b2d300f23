//! Charges of saved wallets.

use billing::app::payment::HostedPage;
use billing::domain::payment::{DeclineClass, State};
use billing::domain::portion::Wanted;
use billing::domain::provider::Terms;
use billing::store;
use billing::store::payment::Payment;
use serde_json::json;

use super::till::{Till, till};
use crate::world::eur;

#[tokio::test]
async fn a_renewal_is_charged_to_the_saved_wallet_in_one_call() {
    let till = till().await;
    let first = till.paid().await;
    let renewal = till.charge(&first).await;
    till.drain().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Succeeded);
    assert_eq!(till.stub.captures(&renewal.id.to_string()), 1);
    till.stub.assert_described();
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_059_fault_f16_a_charge_whose_answer_is_lost_is_made_again_with_the_same_key_and_charged_once() {
    let till = till().await;
    let first = till.paid().await;
    let renewal = till.charge(&first).await;
    till.lose_answers();
    till.drain().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Unknown);
    // While nobody knows, no other way is opened.
    let address = || "https://tv.example/".to_owned();
    let page = HostedPage::any(address(), address());
    let other = till.world.billing.pay_invoice(till.world.brand, renewal.invoice, None, page).await;
    assert_eq!(other.unwrap_err().reason, "PAYMENT_IN_PROGRESS");
    till.good_weather();
    till.later().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Succeeded);
    let calls: Vec<_> =
        till.stub.seen("POST /v2/checkout/orders").into_iter().filter(|call| call.key.starts_with("charge:")).collect();
    assert_eq!((calls.len(), &calls[0]), (2, &calls[1]), "the same bytes under the same key");
    assert_eq!(till.stub.captures(&renewal.id.to_string()), 1);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_059_after_the_lifetime_of_its_key_a_charge_is_not_made_again() {
    let till = till().await;
    let first = till.paid().await;
    let renewal = till.charge(&first).await;
    till.lose_answers();
    till.drain().await;
    till.good_weather();
    sqlx::query("UPDATE payment SET sent_at = sent_at - interval '6 hours' WHERE id = $1")
        .bind(renewal.id.as_uuid())
        .execute(&till.world.database.admin_pool)
        .await
        .unwrap();
    till.later().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Unknown);
    assert_eq!(till.tasks().await, ["payment_unknown"]);
    // The webhook tells after all.
    let capture = till.stub.held(|held| {
        let ours = held.orders.values().find(|order| order["purchase_units"][0]["custom_id"] == renewal.id.to_string());
        ours.unwrap()["purchase_units"][0]["payments"]["captures"][0].clone()
    });
    till.tell("PAYMENT.CAPTURE.COMPLETED", capture).await.unwrap();
    till.drain().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Succeeded);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_059_a_repetition_that_is_turned_away_says_nothing_about_the_charge_before_it() {
    let till = till().await;
    let first = till.paid().await;
    let renewal = till.charge(&first).await;
    till.lose_answers();
    till.drain().await;
    till.good_weather();
    till.stub.fault("POST /v2/checkout/orders", 429, false);
    till.later().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Unknown, "the first call may have charged, and has");
    assert!(till.tasks().await.is_empty());
    // It is asked for ever more rarely, and staff hears of it.
    let tries = || async {
        let tries = "SELECT tries FROM errand WHERE id = $1";
        let tries = sqlx::query_scalar::<_, i32>(tries).bind(renewal.id.as_uuid());
        tries.fetch_one(&till.world.database.admin_pool).await.unwrap()
    };
    assert_eq!(tries().await, 1);
    let age = async |sql: &'static str| {
        let aged = sqlx::query(sql).bind(renewal.id.as_uuid()).execute(&till.world.database.admin_pool);
        aged.await.unwrap();
    };
    age("UPDATE payment SET sent_at = sent_at - interval '31 minutes' WHERE id = $1").await;
    till.stub.fault("POST /v2/checkout/orders", 503, false);
    till.later().await;
    assert_eq!((tries().await, till.tasks().await), (2, vec!["payment_unknown".to_owned()]));
    age("UPDATE payment SET sent_at = sent_at - interval '6 hours' WHERE id = $1").await;
    till.later().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Unknown);
    let calls = till.stub.seen("POST /v2/checkout/orders").into_iter().filter(|call| call.key.starts_with("charge:"));
    assert_eq!(calls.count(), 3, "the lost one and two that did nothing");
    assert_eq!(till.stub.captures(&renewal.id.to_string()), 1);
}

impl Till {
    /// A renewal that was charged, and whose answer was lost more than half an hour ago.
    async fn lost(&self) -> Payment {
        let first = self.paid().await;
        let renewal = self.charge(&first).await;
        self.lose_answers();
        self.drain().await;
        assert_eq!(self.payment(renewal.id).await.state, State::Unknown);
        self.good_weather();
        sqlx::query("UPDATE payment SET sent_at = sent_at - interval '31 minutes' WHERE id = $1")
            .bind(renewal.id.as_uuid())
            .execute(&self.world.database.admin_pool)
            .await
            .expect("aged");
        renewal
    }

    /// Nobody knows, however often is looked; staff does, and the invoice is charged by no other way.
    async fn stays_lost(&self, renewal: &Payment) {
        for _ in 0..2 {
            self.later().await;
            assert_eq!(self.payment(renewal.id).await.state, State::Unknown);
        }
        assert_eq!(self.tasks().await, ["payment_unknown"]);
        let address = || "https://tv.example/".to_owned();
        let page = HostedPage::any(address(), address());
        let other = self.world.billing.pay_invoice(self.world.brand, renewal.invoice, None, page).await;
        assert_eq!(other.unwrap_err().reason, "PAYMENT_IN_PROGRESS");
        assert_eq!(self.stub.captures(&renewal.id.to_string()), 1);
    }

    /// The webhook tells after all.
    async fn found(&self, renewal: &Payment) {
        let reference = renewal.id.to_string();
        let capture = self.stub.held(|held| {
            let ours = held.orders.values().find(|order| order["purchase_units"][0]["custom_id"] == reference);
            ours.expect("an order")["purchase_units"][0]["payments"]["captures"][0].clone()
        });
        self.tell("PAYMENT.CAPTURE.COMPLETED", capture).await.expect("taken in");
        self.drain().await;
        assert_eq!(self.payment(renewal.id).await.state, State::Succeeded);
        assert!(self.tasks().await.is_empty(), "{:?}", self.tasks().await);
        self.world.assert_sound().await;
    }
}

#[tokio::test]
async fn case_059_a_wallet_that_is_deleted_says_nothing_about_a_lost_charge() {
    let till = till().await;
    let renewal = till.lost().await;
    let wallet = till.stub.held(|held| held.vault.pop_first().unwrap().0);
    till.tell("VAULT.PAYMENT-TOKEN.DELETED", json!({"id": wallet})).await.unwrap();
    till.drain().await;
    let methods = till.world.billing.payment_methods(till.world.brand, renewal.account).await.unwrap();
    assert!(methods.is_empty(), "it is gone here as well");
    till.stays_lost(&renewal).await;
    till.found(&renewal).await;
}

#[tokio::test]
async fn case_059_an_account_that_is_switched_off_says_nothing_about_a_lost_charge() {
    let till = till().await;
    let renewal = till.lost().await;
    let id = till.account.parse().unwrap();
    let mut tx = till.world.tx().await;
    let version = store::provider_account::get(&mut tx, id).await.unwrap().unwrap().version.unsigned_abs();
    drop(tx);
    let off = Some(Terms { is_enabled: false, ..Terms::default() });
    till.put(|put| (put.id, put.terms, put.expected_version) = (Some(id), off, version)).await.unwrap();
    till.stays_lost(&renewal).await;
    till.found(&renewal).await;
}

#[tokio::test]
async fn case_059_an_invoice_is_not_credited_while_nobody_knows_of_its_charge() {
    let till = till().await;
    let renewal = till.lost().await;
    let owner = ottery_testkit::actor::owner(till.world.brand);
    let some = Wanted::Amount(eur(300));
    let credit = till.world.billing.credit_invoice(&owner, till.world.brand, renewal.invoice, some, "Goodwill", None);
    assert_eq!(credit.await.unwrap_err().reason, "PAYMENT_IN_PROGRESS");
}

#[tokio::test]
async fn case_059_a_refusal_of_the_repetition_says_nothing_about_a_lost_charge() {
    for word in ["PAYER_ACCOUNT_RESTRICTED", "CURRENCY_NOT_SUPPORTED"] {
        let till = till().await;
        let renewal = till.lost().await;
        till.stub.held(|held| held.forget_keys());
        till.stub.held(|held| held.refusal = word.into());
        till.stays_lost(&renewal).await;
        till.found(&renewal).await;
    }
}

#[tokio::test]
async fn case_062_and_063_refusals_have_the_class_of_paypals_word() {
    for (word, state, class) in [
        ("INSTRUMENT_DECLINED", State::Failed, DeclineClass::Soft),
        ("PAYER_ACCOUNT_RESTRICTED", State::Failed, DeclineClass::Hard),
        ("PAYER_ACTION_REQUIRED", State::ActionRequired, DeclineClass::Action),
    ] {
        let till = till().await;
        let first = till.paid().await;
        let renewal = till.charge(&first).await;
        till.stub.held(|held| held.refusal = word.into());
        till.drain().await;
        let renewal = till.payment(renewal.id).await;
        let failure = renewal.failure.expect("refused");
        assert_eq!((renewal.state, failure.class, failure.code), (state, class, word.to_lowercase()));
        till.world.assert_sound().await;
    }
}

#[tokio::test]
async fn a_wallet_that_is_saved_after_the_payment_is_charged_for_the_next_one() {
    let till = till().await;
    till.stub.held(|held| held.saves_late = true);
    let payment = till.paid().await;
    let subscription = payment.subscription.expect("a subscription");
    assert!(till.world.subscription(subscription).await.method.is_none(), "nothing is saved yet");
    let vault = till.stub.held(|held| held.vault.first_key_value().unwrap().0.clone());
    let event = json!({"id": vault, "metadata": {"order_id": payment.checkout_ref}});
    till.tell("VAULT.PAYMENT-TOKEN.CREATED", event.clone()).await.unwrap();
    till.drain().await;
    // Told again, it is kept once.
    till.tell("VAULT.PAYMENT-TOKEN.CREATED", event).await.unwrap();
    till.drain().await;
    let methods = till.world.billing.payment_methods(till.world.brand, payment.account).await.unwrap();
    assert_eq!(methods.len(), 1);
    let method = till.world.subscription(subscription).await.method.expect("the wallet");
    assert_eq!(method.label, "PayPal a…@example.com");
    let renewal = till.charge(&payment).await;
    till.drain().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Succeeded);
    // Of an order of somebody else, or of none that we know.
    till.tell("VAULT.PAYMENT-TOKEN.CREATED", json!({"id": vault, "metadata": {"order_id": "ORDER99"}})).await.unwrap();
    till.drain().await;
    assert_eq!(till.count("provider_event WHERE state = 'ignored'").await, 1);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn fault_f16_a_wallet_is_kept_once_when_the_answer_to_keeping_it_is_lost() {
    let till = till().await;
    let first = till.paid().await;
    let address = || "https://tv.example/account".to_owned();
    till.world.billing.begin_setup(till.world.brand, first.account, None, address(), address()).await.expect("a page");
    till.stub.held(|held| held.setups.values_mut().for_each(|setup| setup["status"] = json!("APPROVED")));
    till.stub.fault("POST /v3/vault/payment-tokens", 503, true);
    let known = async || {
        let methods = till.world.billing.payment_methods(till.world.brand, first.account).await.unwrap();
        (methods.len(), till.stub.held(|held| held.vault.len()))
    };
    till.later().await;
    assert_eq!(known().await, (1, 2), "PayPal has it, and nobody here knows");
    till.later().await;
    assert_eq!(known().await, (2, 2));
}

#[tokio::test]
async fn case_072_a_wallet_is_saved_without_paying_and_one_that_is_gone_is_charged_no_more() {
    let till = till().await;
    let first = till.paid().await;
    let address = || "https://tv.example/account".to_owned();
    till.world.billing.begin_setup(till.world.brand, first.account, None, address(), address()).await.expect("a page");
    let labels = async || {
        let methods = till.world.billing.payment_methods(till.world.brand, first.account).await.unwrap();
        methods.into_iter().map(|method| method.label).collect::<Vec<_>>()
    };
    till.later().await;
    assert_eq!(labels().await, ["PayPal a…@example.com"], "nobody has agreed yet");
    till.stub.held(|held| held.setups.values_mut().for_each(|setup| setup["status"] = json!("APPROVED")));
    till.later().await;
    assert_eq!(labels().await, ["PayPal b…@example.com", "PayPal a…@example.com"]);
    // The first one is taken back at PayPal.
    let id = till.stub.held(|held| held.vault.pop_first().unwrap().0);
    till.tell("VAULT.PAYMENT-TOKEN.DELETED", json!({"id": id})).await.unwrap();
    till.drain().await;
    assert_eq!(labels().await, ["PayPal b…@example.com"]);
    till.stub.assert_described();
}
