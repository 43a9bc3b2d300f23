//! Charges of saved methods.

use billing::app::payment::HostedPage;
use billing::domain::dunning::Standing;
use billing::domain::invoice::State as InvoiceState;
use billing::domain::payment::{DeclineClass, State};
use billing::store;
use billing::store::payment::Payment;
use ottery_kernel::PaymentId;

use super::till::{CONFIRMS, GOOD, REFUSED_LATER, Till, till};

impl Till {
    async fn pay(&self, payment: &Payment) -> (PaymentId, String) {
        let address = || "https://tv.example/".to_owned();
        let paying = self.world.billing.pay_invoice(
            self.world.brand,
            payment.invoice,
            None,
            HostedPage::any(address(), address()),
        );
        paying.await.expect("a page")
    }

    async fn standing(&self, payment: &Payment) -> Standing {
        let mut tx = self.world.tx().await;
        store::payment::standings(&mut tx, self.world.brand, &[payment.invoice]).await.unwrap()[&payment.invoice]
    }

    /// A renewal whose bank wants its holder to confirm.
    async fn unconfirmed(&self) -> Payment {
        let first = self.saved(CONFIRMS).await;
        let renewal = self.charge(&first).await;
        self.drain().await;
        let renewal = self.payment(renewal.id).await;
        assert_eq!(renewal.state, State::ActionRequired);
        renewal
    }
}

#[tokio::test]
async fn a_renewal_is_charged_to_the_saved_card_in_one_call() {
    let till = till().await;
    let first = till.paid_with(GOOD).await;
    let renewal = till.charge(&first).await;
    till.drain().await;
    let renewal = till.payment(renewal.id).await;
    assert_eq!((renewal.state, renewal.method_label.as_str()), (State::Succeeded, "Visa ending 4242"));
    assert_eq!(till.world.invoice(renewal.invoice).await.state, InvoiceState::Closed);
    let calls = till.front.seen("POST /v1/payment_intents");
    assert_eq!(
        (calls.len(), calls[0].form["off_session"].as_str(), calls[0].form["confirm"].as_str()),
        (1, "true", "true")
    );
    // What the reply has settled already, the webhook of localstripe does not settle again.
    let hook = till.front.hook("payment_intent.succeeded", &renewal.provider_ref).await;
    assert_eq!(till.deliver(&hook).await, Ok(false));
    till.drain().await;
    assert_eq!(till.charges(renewal.id).await, (1, 1));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_059_fault_f16_a_charge_at_stripe_whose_answer_is_lost_is_found_and_made_once() {
    let till = till().await;
    let first = till.paid_with(GOOD).await;
    let renewal = till.charge(&first).await;
    till.lose_answers();
    till.drain().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Unknown);
    // While nobody knows, no other way is opened.
    let address = || "http://a/".to_owned();
    let refused = till
        .world
        .billing
        .pay_invoice(till.world.brand, renewal.invoice, None, HostedPage::any(address(), address()))
        .await;
    assert_eq!(refused.unwrap_err().reason, "PAYMENT_IN_PROGRESS");
    till.good_weather();
    till.later().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Succeeded);
    assert_eq!(till.charges(renewal.id).await, (1, 1));
    assert_eq!(till.world.invoice(renewal.invoice).await.state, InvoiceState::Closed);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn fault_f16_the_webhook_settles_what_the_lost_answer_would_have() {
    let till = till().await;
    let first = till.paid_with(GOOD).await;
    let renewal = till.charge(&first).await;
    till.lose_answers();
    till.drain().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Unknown);
    till.good_weather();
    let list = till.front.get("/v1/payment_intents?limit=100").await;
    let ours =
        list["data"].as_array().unwrap().iter().find(|intent| intent["metadata"]["payment"] == renewal.id.to_string());
    let hook = till.front.hook("payment_intent.succeeded", ours.unwrap()["id"].as_str().unwrap()).await;
    assert_eq!(till.deliver(&hook).await, Ok(false));
    till.world.billing.work_events().await.unwrap();
    assert_eq!(till.payment(renewal.id).await.state, State::Succeeded);
    assert_eq!(till.charges(renewal.id).await, (1, 1));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_059_a_charge_that_never_arrived_is_made_again_with_the_same_key_and_the_same_bytes() {
    let till = till().await;
    let first = till.paid_with(GOOD).await;
    let renewal = till.charge(&first).await;
    till.front.fault("POST /v1/payment_intents", 503, false);
    till.drain().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Unknown);
    assert_eq!(till.charges(renewal.id).await, (0, 0));
    till.later().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Succeeded);
    assert_eq!(till.charges(renewal.id).await, (1, 1));
    let calls = till.front.seen("POST /v1/payment_intents");
    assert_eq!(calls.len(), 2);
    assert_eq!((&calls[0].key, &calls[0].form), (&calls[1].key, &calls[1].form));
}

#[tokio::test]
async fn case_059_a_key_stripe_may_have_forgotten_is_never_used_again() {
    let till = till().await;
    let first = till.paid_with(GOOD).await;
    let renewal = till.charge(&first).await;
    till.front.fault("POST /v1/payment_intents", 503, false);
    till.drain().await;
    sqlx::query("UPDATE payment SET sent_at = now() - interval '23 hours' WHERE state = 'unknown'")
        .execute(&till.world.database.admin_pool)
        .await
        .unwrap();
    till.later().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Unknown);
    assert_eq!(till.tasks().await, ["payment_unknown"]);
    assert_eq!(till.front.seen("POST /v1/payment_intents").len(), 1);
}

#[tokio::test]
async fn an_outage_at_the_door_costs_no_try() {
    let till = till().await;
    let first = till.paid_with(GOOD).await;
    let renewal = till.charge(&first).await;
    till.front.fault("POST /v1/payment_intents", 429, false);
    till.drain().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Requested);
    till.later().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Succeeded);
}

#[tokio::test]
async fn case_063_a_refusal_without_a_reason_is_tried_once_more_and_then_final() {
    let till = till().await;
    let first = till.saved(REFUSED_LATER).await;
    let renewal = till.charge(&first).await;
    till.drain().await;
    let renewal = till.payment(renewal.id).await;
    let failure = renewal.failure.clone().expect("refused");
    assert_eq!(
        (renewal.state, failure.class, failure.code.as_str()),
        (State::Failed, DeclineClass::Soft, "card_declined")
    );
    assert_eq!(till.standing(&renewal).await, Standing::Failed);
    let invoice = till.world.invoice(renewal.invoice).await;
    let method = till.world.subscription(first.subscription.unwrap()).await.method.unwrap().id;
    let again = till.charge_again(&invoice, method).await;
    till.drain().await;
    let again = till.payment(again.id).await;
    assert_eq!((again.state, again.failure.clone().unwrap().class), (State::Failed, DeclineClass::Hard));
    assert_eq!(till.standing(&again).await, Standing::FailedHard);
}

#[tokio::test]
async fn case_063_a_stolen_card_is_charged_once_and_its_thief_learns_nothing() {
    let till = till().await;
    till.front.decline_with("stolen_card");
    let first = till.saved(REFUSED_LATER).await;
    let renewal = till.charge(&first).await;
    till.drain().await;
    let renewal = till.payment(renewal.id).await;
    assert_eq!(renewal.failure.clone().unwrap().class, DeclineClass::Hard);
    assert_eq!(till.standing(&renewal).await, Standing::FailedHard);
    assert_eq!(billing::contract::payment::payment_for_customer(&renewal).failure_code, "card_declined");
    assert_eq!(billing::contract::payment::payment(&renewal).failure_code, "stolen_card");
}

#[tokio::test]
async fn a_cardholder_who_took_the_permission_back_is_charged_no_more() {
    let till = till().await;
    till.front.decline_with("revocation_of_all_authorizations");
    let first = till.saved(REFUSED_LATER).await;
    let renewal = till.charge(&first).await;
    till.drain().await;
    assert_eq!(till.payment(renewal.id).await.failure.unwrap().class, DeclineClass::Hard);
    assert_eq!(till.count("payment_method WHERE removed_at IS NULL").await, 0);
}

#[tokio::test]
async fn a_refusal_for_fraud_is_shown_to_staff() {
    let till = till().await;
    till.front.decline_with("fraudulent");
    let first = till.saved(REFUSED_LATER).await;
    till.charge(&first).await;
    till.drain().await;
    assert_eq!(till.tasks().await, ["payment_fraud"]);
}

#[tokio::test]
async fn case_062_both_ways_stripe_says_that_the_holder_must_confirm_mean_the_same() {
    for is_live in [false, true] {
        let till = till().await;
        if is_live {
            till.front.sca_as_live();
        }
        let renewal = till.unconfirmed().await;
        assert_eq!(renewal.failure.clone().unwrap().class, DeclineClass::Action);
        assert!(renewal.provider_ref.starts_with("pi_"), "{is_live}: {}", renewal.provider_ref);
        assert_eq!(till.standing(&renewal).await, Standing::FailedHard);
    }
}

#[tokio::test]
async fn case_062_the_recovery_link_takes_the_same_charge_up_again_at_the_bank() {
    let till = till().await;
    let renewal = till.unconfirmed().await;
    let (paying, bank) = till.pay(&renewal).await;
    assert_eq!(paying, renewal.id, "the charge that waits, not a second one");
    assert_eq!(bank, format!("http://{}/bank/{}", till.front.address(), renewal.provider_ref));
    let asked = &till.front.seen(&format!("POST /v1/payment_intents/{}/confirm", renewal.provider_ref))[0];
    assert_eq!(
        (asked.form["off_session"].as_str(), asked.form["return_url"].as_str()),
        ("false", "https://tv.example/")
    );
    till.front.authenticate(&renewal.provider_ref, true).await;
    let hook = till.front.hook("payment_intent.succeeded", &renewal.provider_ref).await;
    assert_eq!(till.deliver(&hook).await, Ok(false));
    till.drain().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Succeeded);
    assert_eq!(till.world.invoice(renewal.invoice).await.state, InvoiceState::Closed);
    assert_eq!(till.charges(renewal.id).await, (1, 1));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_057_a_confirmation_nobody_tells_of_is_found_by_looking() {
    let till = till().await;
    let renewal = till.unconfirmed().await;
    till.pay(&renewal).await;
    till.front.authenticate(&renewal.provider_ref, true).await;
    till.later().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Succeeded);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_062_whoever_comes_back_pays_in_another_way_and_the_waiting_charge_is_given_up() {
    let till = till().await;
    let renewal = till.unconfirmed().await;
    till.pay(&renewal).await;
    let (second, page) = till.pay(&renewal).await;
    assert_ne!(second, renewal.id);
    assert!(page.contains("/pay/cs_test_"), "{page}");
    till.drain().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Cancelled);
    let intent = till.front.get(&format!("/v1/payment_intents/{}", renewal.provider_ref)).await;
    assert_eq!(intent["status"], "canceled");
    let page = till.payment(second).await.checkout_ref;
    assert_eq!(till.front.card(&page, GOOD).await, 303);
    till.later().await;
    assert_eq!(till.payment(second).await.state, State::Succeeded);
    assert_eq!(till.world.invoice(renewal.invoice).await.state, InvoiceState::Closed);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_075_a_disabled_account_charges_nothing_and_finishes_what_it_began() {
    let till = till().await;
    let first = till.paid_with(GOOD).await;
    let renewal = till.charge(&first).await;
    // Somebody stands before a page, and a charge waits.
    let open = till.order().await;
    till.set(&till.account, |terms| terms.is_enabled = false).await;
    till.drain().await;
    let renewal = till.payment(renewal.id).await;
    assert_eq!((renewal.state, renewal.failure.unwrap().code.as_str()), (State::Failed, "account_disabled"));
    assert_eq!(till.charges(renewal.id).await, (0, 0));
    assert_eq!(till.front.card(&open.checkout_ref, GOOD).await, 303);
    till.tell("checkout.session.completed", till.front.session(&open.checkout_ref)).await.expect("taken in");
    till.drain().await;
    assert_eq!(till.payment(open.id).await.state, State::Succeeded);
    // And nobody else gets one.
    let address = || "https://tv.example/".to_owned();
    let refused = till
        .world
        .billing
        .pay_invoice(till.world.brand, renewal.invoice, None, HostedPage::any(address(), address()))
        .await
        .unwrap_err();
    assert_eq!(refused.reason, "NO_PROVIDER");
}
