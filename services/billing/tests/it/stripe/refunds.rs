//! Refunds at Stripe.

use billing::app::refund::Ask;
use billing::domain::refund::{Policy, State};
use ottery_kernel::{Money, PaymentId, RefundId};
use ottery_kit::grpc::Problem;
use serde_json::{Value, json};

use super::till::{GOOD, Till, till};
use crate::world::eur;

impl Till {
    async fn give_back(&self, payment: PaymentId, amount: Option<Money>) -> Result<RefundId, Problem> {
        let ask = Ask { payment, invoice: None, amount, reason: "As asked".into(), policy: Policy::Keep };
        let owner = ottery_testkit::actor::owner(self.world.brand);
        let refund = self.world.billing.refund_payment(&owner, self.world.brand, ask, None).await?;
        Ok(refund.id)
    }

    async fn at_stripe(&self, intent: &str) -> Vec<Value> {
        let list = self.front.get(&format!("/v1/refunds?payment_intent={intent}")).await;
        list["data"].as_array().expect("a list").clone()
    }
}

#[tokio::test]
async fn case_065_and_066_parts_go_back_and_never_more_than_came() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    till.give_back(payment.id, Some(eur(300))).await.unwrap();
    till.drain().await;
    till.give_back(payment.id, Some(eur(999))).await.unwrap();
    // localstripe would take it; we do not ask for it.
    assert_eq!(till.give_back(payment.id, Some(eur(1))).await.unwrap_err().reason, "NOTHING_TO_REFUND");
    till.drain().await;
    let refunds = till.refunds_of(payment.id).await;
    assert!(refunds.iter().all(|refund| refund.state == State::Succeeded && refund.credit_note.is_some()));
    assert_eq!(till.at_stripe(&payment.provider_ref).await.len(), 2);
    assert_eq!(till.balance("provider:stripe").await, 0);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn fault_f16_a_refund_whose_answer_is_lost_is_found_and_made_once() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    let id = till.give_back(payment.id, Some(eur(300))).await.unwrap();
    till.lose_answers();
    till.drain().await;
    assert_eq!(till.refunds_of(payment.id).await[0].state, State::Unknown);
    till.good_weather();
    till.later().await;
    let refund = &till.refunds_of(payment.id).await[0];
    assert_eq!((refund.id, refund.state), (id, State::Succeeded));
    // localstripe keeps no keys: a second call would have made a second refund.
    assert_eq!(till.at_stripe(&payment.provider_ref).await.len(), 1);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn a_read_back_that_is_refused_says_nothing_about_the_refund() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    till.give_back(payment.id, Some(eur(300))).await.unwrap();
    till.lose_answers();
    till.drain().await;
    till.good_weather();
    till.front.fault("GET /v1/refunds", 400, false);
    till.later().await;
    assert_eq!(till.refunds_of(payment.id).await[0].state, State::Unknown);
    till.later().await;
    assert_eq!(till.refunds_of(payment.id).await[0].state, State::Succeeded);
    assert_eq!(till.at_stripe(&payment.provider_ref).await.len(), 1);
}

#[tokio::test]
async fn case_067_a_refund_made_at_stripes_console_is_mirrored_by_either_event() {
    for kind in ["refund.created", "charge.refunded"] {
        let till = till().await;
        let payment = till.paid_with(GOOD).await;
        let made = till
            .front
            .post("/v1/refunds", &[("payment_intent", payment.provider_ref.as_str()), ("amount", "300")])
            .await;
        let object = match kind {
            "charge.refunded" => {
                json!({"id": made["charge"], "payment_intent": payment.provider_ref, "amount_refunded": 300})
            }
            _ => made.clone(),
        };
        till.tell(kind, object).await.unwrap();
        // Told twice, in both words, it is one refund.
        till.tell("refund.updated", made).await.unwrap();
        till.drain().await;
        let refunds = till.refunds_of(payment.id).await;
        assert_eq!((refunds.len(), refunds[0].state, refunds[0].amount), (1, State::Succeeded, eur(300)), "{kind}");
        assert!(refunds[0].is_mirrored);
        till.world.assert_sound().await;
    }
}

#[tokio::test]
async fn case_053_a_refund_that_comes_before_its_payment_finds_it_at_stripe() {
    let till = till().await;
    let payment = till.order().await;
    till.front.card(&payment.checkout_ref, GOOD).await;
    let intent = till.front.session(&payment.checkout_ref)["payment_intent"].as_str().unwrap().to_owned();
    let made = till.front.post("/v1/refunds", &[("payment_intent", intent.as_str()), ("amount", "300")]).await;
    // Nothing of ours knows this payment yet, and the refund carries no word of ours.
    till.tell("refund.created", made).await.unwrap();
    till.drain().await;
    let refunds = till.refunds_of(payment.id).await;
    assert_eq!((refunds.len(), refunds[0].state), (1, State::Succeeded));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_068_a_refund_that_comes_back_days_later_opens_the_books_and_a_task_once() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    till.give_back(payment.id, Some(eur(300))).await.unwrap();
    till.drain().await;
    let refund = till.refunds_of(payment.id).await.remove(0);
    assert_eq!((refund.state, till.balance("provider:stripe").await), (State::Succeeded, 999));
    let failed = json!({"id": refund.provider_ref, "payment_intent": payment.provider_ref, "amount": 300, "currency": "eur",
        "status": "failed", "metadata": {"refund": refund.id.to_string()}});
    till.front.say_refund(failed.clone());
    for _ in 0..2 {
        till.tell("refund.failed", failed.clone()).await.unwrap();
        till.drain().await;
    }
    assert_eq!(till.tasks().await, ["refund_failed"]);
    assert_eq!((till.balance("provider:stripe").await, till.balance("unapplied").await), (1299, -300));
    till.world.assert_sound().await;
}
