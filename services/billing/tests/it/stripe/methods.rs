//! Saved methods.

use billing::domain::payment::State;
use chrono::{Datelike as _, NaiveDate, TimeDelta};
use ottery_kernel::AccountId;
use serde_json::json;

use super::till::{GOOD, REFUSED_LATER, Till, till};
use crate::expiring::{midnight, month_end};

impl Till {
    /// A customer on the page on which a method is saved: the page's id.
    async fn saving(&self, account: AccountId) -> String {
        let address = || "https://tv.example/account".to_owned();
        let url = self.world.billing.begin_setup(self.world.brand, account, None, address(), address()).await;
        url.expect("a page").rsplit('/').next().expect("an id").to_owned()
    }

    async fn methods(&self, account: AccountId) -> Vec<String> {
        let methods = self.world.billing.payment_methods(self.world.brand, account).await.expect("a list");
        methods.into_iter().map(|method| method.label).collect()
    }
}

#[tokio::test]
async fn a_method_is_saved_without_paying_and_becomes_the_one_that_is_charged() {
    let till = till().await;
    let first = till.paid_with(GOOD).await;
    let page = till.saving(first.account).await;
    assert_eq!(till.front.card(&page, "5555555555554444").await, 303);
    till.tell("checkout.session.completed", till.front.session(&page)).await.unwrap();
    // Told again in the other word it is the same method.
    let intent = till.front.session(&page)["setup_intent"].clone();
    let told = json!({"id": intent["id"], "metadata": {"setup": till.front.session(&page)["metadata"]["setup"]}});
    till.tell("setup_intent.succeeded", told).await.unwrap();
    till.drain().await;
    assert_eq!(till.methods(first.account).await, ["Visa ending 4444", "Visa ending 4242"]);
    let subscription = till.world.subscription(first.subscription.unwrap()).await;
    assert_eq!(subscription.method.expect("one").label, "Visa ending 4444");
    assert_eq!(till.count("payment_setup WHERE state = 'saved'").await, 1);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_057_a_method_whose_webhook_never_comes_is_found_by_looking() {
    let till = till().await;
    let first = till.paid_with(GOOD).await;
    let page = till.saving(first.account).await;
    till.later().await;
    assert_eq!(till.methods(first.account).await.len(), 1, "nobody has typed anything yet");
    till.front.card(&page, "5555555555554444").await;
    till.later().await;
    assert_eq!(till.methods(first.account).await, ["Visa ending 4444", "Visa ending 4242"]);
    assert_eq!(till.count("errand WHERE kind = 'setup'").await, 0);
}

#[tokio::test]
async fn case_061_a_card_that_is_added_pays_what_could_not_be_charged() {
    let till = till().await;
    let first = till.saved(REFUSED_LATER).await;
    let renewal = till.charge(&first).await;
    till.drain().await;
    assert_eq!(till.payment(renewal.id).await.state, State::Failed);
    // The renewal is due now.
    till.world.advance(chrono::TimeDelta::days(4)).await;
    till.drain().await;
    let page = till.saving(first.account).await;
    till.front.card(&page, GOOD).await;
    till.tell("checkout.session.completed", till.front.session(&page)).await.unwrap();
    till.drain().await;
    let invoice = till.world.invoice(renewal.invoice).await;
    assert!(invoice.remaining().unwrap().minor == 0, "{invoice:?}");
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_061_a_card_its_bank_has_replaced_is_taken_over() {
    let till = till().await;
    let first = till.paid_with(GOOD).await;
    let charged = till.front.get(&format!("/v1/payment_intents/{}", first.provider_ref)).await;
    let id = charged["payment_method"].as_str().unwrap();
    let card = json!({"brand": "visa", "last4": "1881", "exp_month": 3, "exp_year": 2041});
    till.front.say_method(json!({"id": id, "type": "card", "customer": charged["customer"], "card": card}));
    till.tell("payment_method.automatically_updated", json!({"id": id})).await.unwrap();
    till.drain().await;
    let method = till.world.billing.payment_methods(till.world.brand, first.account).await.unwrap().remove(0);
    assert_eq!((method.label.as_str(), method.expires_on), ("Visa ending 1881", NaiveDate::from_ymd_opt(2041, 3, 31)));
    assert_eq!(till.world.subscription(first.subscription.unwrap()).await.method.unwrap().label, "Visa ending 1881");
}

#[tokio::test]
async fn case_061_a_card_in_the_place_of_one_that_was_announced_is_announced_by_its_own_day() {
    let till = till().await;
    let first = till.paid_with(GOOD).await;
    let charged = till.front.get(&format!("/v1/payment_intents/{}", first.provider_ref)).await;
    let id = charged["payment_method"].as_str().unwrap();
    let today = till.world.now().date_naive();
    let (soon, later) = (month_end(today, 2), month_end(today, 5));
    // Its bank tells of the card as it is, again, and then of another one in its place.
    for (last_day, now, expected) in [
        (soon, midnight(soon) - TimeDelta::days(5), 1),
        (soon, midnight(soon) - TimeDelta::days(4), 1),
        (later, midnight(soon) - TimeDelta::days(3), 1),
        (later, midnight(later) - TimeDelta::days(5), 2),
    ] {
        let card =
            json!({"brand": "visa", "last4": "1881", "exp_month": last_day.month(), "exp_year": last_day.year()});
        till.front.say_method(json!({"id": id, "type": "card", "customer": charged["customer"], "card": card}));
        till.tell("payment_method.automatically_updated", json!({"id": id})).await.unwrap();
        till.drain().await;
        till.world.host.clock.set(now);
        let told: Vec<String> = till.world.expiring().await.into_iter().map(|told| told.expires_on).collect();
        assert_eq!(told.len(), expected, "{last_day} at {now}");
        assert!(now < midnight(later) - TimeDelta::days(21) || told[1] == later.to_string(), "{told:?}");
    }
}

#[tokio::test]
async fn a_method_that_is_gone_at_stripe_or_may_not_be_charged_is_gone_here() {
    for kind in ["payment_method.detached", "mandate.updated"] {
        let till = till().await;
        let first = till.paid_with(GOOD).await;
        let charged = till.front.get(&format!("/v1/payment_intents/{}", first.provider_ref)).await;
        let id = charged["payment_method"].as_str().unwrap().to_owned();
        let object = if kind == "mandate.updated" {
            till.front.say_mandate(json!({"id": "mandate_1", "status": "inactive", "payment_method": id}));
            json!({"id": "mandate_1"})
        } else {
            till.front.post(&format!("/v1/payment_methods/{id}/detach"), &[]).await;
            json!({"id": id})
        };
        till.tell(kind, object).await.unwrap();
        till.drain().await;
        assert!(till.methods(first.account).await.is_empty(), "{kind}");
        let renewal = till.charge(&first).await;
        till.drain().await;
        let renewal = till.payment(renewal.id).await;
        assert_eq!((renewal.state, renewal.failure.unwrap().code.as_str()), (State::Failed, "method_gone"), "{kind}");
    }
}

#[tokio::test]
async fn a_customer_takes_a_method_away_and_nobody_elses() {
    let till = till().await;
    let first = till.paid_with(GOOD).await;
    let method = till.world.billing.payment_methods(till.world.brand, first.account).await.unwrap().remove(0);
    let remove = |owner| till.world.billing.remove_payment_method(till.world.brand, method.id, Some(owner));
    assert_eq!(remove(till.world.account()).await.unwrap_err().reason, "PAYMENT_METHOD_NOT_FOUND");
    remove(first.account).await.unwrap();
    assert!(till.methods(first.account).await.is_empty());
    assert_eq!(till.front.seen("POST /v1/payment_methods").len(), 1, "Stripe forgets it, too");
    assert_eq!(remove(first.account).await.unwrap_err().reason, "PAYMENT_METHOD_NOT_FOUND");
    // The same card can be saved again.
    let page = till.saving(first.account).await;
    till.front.card(&page, GOOD).await;
    till.tell("checkout.session.completed", till.front.session(&page)).await.unwrap();
    till.drain().await;
    assert_eq!(till.methods(first.account).await, ["Visa ending 4242"]);
}
