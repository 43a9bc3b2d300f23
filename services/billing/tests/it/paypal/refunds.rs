//! Refunds at PayPal.

use billing::app::refund::Ask;
use billing::domain::refund::{Policy, State};
use billing::store;
use billing::store::payment::Payment;
use billing::store::refund::Refund;
use ottery_kernel::{Money, PaymentId};
use ottery_kit::grpc::Problem;
use serde_json::{Value, json};

use super::till::{Till, till};
use crate::world::eur;

impl Till {
    async fn give_back(&self, payment: PaymentId, amount: Option<Money>) -> Result<Refund, Problem> {
        let ask = Ask { payment, invoice: None, amount, reason: "As asked".into(), policy: Policy::Keep };
        let owner = ottery_testkit::actor::owner(self.world.brand);
        self.world.billing.refund_payment(&owner, self.world.brand, ask, None).await
    }

    async fn refunds_of(&self, payment: PaymentId) -> Vec<Refund> {
        let mut tx = self.world.tx().await;
        store::refund::of_payment(&mut tx, payment).await.expect("readable")
    }
}

#[tokio::test]
async fn case_065_and_066_parts_go_back_and_never_more_than_came() {
    let till = till().await;
    let payment = till.paid().await;
    till.give_back(payment.id, Some(eur(300))).await.unwrap();
    till.drain().await;
    till.give_back(payment.id, Some(eur(999))).await.unwrap();
    assert_eq!(till.give_back(payment.id, Some(eur(1))).await.unwrap_err().reason, "NOTHING_TO_REFUND");
    till.drain().await;
    let refunds = till.refunds_of(payment.id).await;
    assert_eq!(refunds.len(), 2);
    assert!(refunds.iter().all(|refund| refund.state == State::Succeeded));
    till.stub.assert_described();
    till.world.assert_sound().await;
}

#[tokio::test]
async fn fault_f16_a_refund_whose_answer_is_lost_is_found_and_made_once() {
    let till = till().await;
    let payment = till.paid().await;
    till.give_back(payment.id, Some(eur(300))).await.unwrap();
    till.lose_answers();
    till.drain().await;
    assert_eq!(till.refunds_of(payment.id).await[0].state, State::Unknown);
    till.good_weather();
    till.later().await;
    assert_eq!(till.refunds_of(payment.id).await[0].state, State::Succeeded);
    let made = till.stub.order(&payment.checkout_ref)["purchase_units"][0]["payments"]["refunds"].clone();
    assert_eq!(made.as_array().map(Vec::len), Some(1));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_067_as_much_given_back_at_paypal_does_not_stand_for_ours_whose_answer_was_lost() {
    let till = till().await;
    let payment = till.paid().await;
    till.give_back(payment.id, Some(eur(300))).await.unwrap();
    till.lose_answers();
    till.drain().await;
    till.good_weather();
    // Somebody gives as much back at PayPal, and is heard of first.
    let up = format!("https://api-m.paypal.com/v2/payments/captures/{}", payment.provider_ref);
    let theirs = json!({"id": "R77", "status": "COMPLETED", "amount": {"currency_code": "EUR", "value": "3.00"},
        "links": [{"href": up, "rel": "up", "method": "GET"}]});
    let ours = till.stub.held(|held| {
        let order = held.orders.get_mut(&payment.checkout_ref).unwrap();
        let refunds = order["purchase_units"][0]["payments"]["refunds"].as_array_mut().unwrap();
        refunds.push(theirs.clone());
        refunds[0].clone()
    });
    for told in [theirs, ours] {
        till.tell("PAYMENT.CAPTURE.REFUNDED", told).await.unwrap();
        till.drain().await;
    }
    till.later().await;
    let booked: Vec<_> = till.refunds_of(payment.id).await.iter().map(|refund| (refund.state, refund.amount)).collect();
    assert_eq!(booked, [(State::Succeeded, eur(300)), (State::Succeeded, eur(300))], "PayPal gave 6.00 back");
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_067_a_refund_made_at_paypal_is_mirrored() {
    let till = till().await;
    let payment = till.paid().await;
    let up = format!("https://api-m.paypal.com/v2/payments/captures/{}", payment.provider_ref);
    let refund = json!({"id": "R77", "status": "COMPLETED", "amount": {"currency_code": "EUR", "value": "2.00"},
        "links": [{"href": up, "rel": "up", "method": "GET"}]});
    till.stub.held(|held| {
        let order = held.orders.get_mut(&payment.checkout_ref).unwrap();
        order["purchase_units"][0]["payments"]["refunds"] = json!([refund]);
    });
    till.tell("PAYMENT.CAPTURE.REFUNDED", refund).await.unwrap();
    till.drain().await;
    let refunds = till.refunds_of(payment.id).await;
    assert_eq!((refunds.len(), refunds[0].state, refunds[0].amount), (1, State::Succeeded, eur(200)));
    till.world.assert_sound().await;
}

/// What PayPal tells of money it took back from a capture by itself.
fn reversal(payment: &Payment, id: &str, value: &str) -> Value {
    let up = format!("https://api-m.paypal.com/v2/payments/captures/{}", payment.provider_ref);
    json!({"id": id, "status": "COMPLETED", "amount": {"currency_code": "EUR", "value": value},
        "note_to_payer": "Payment reversed", "links": [{"href": up, "rel": "up", "method": "GET"}]})
}

/// What PayPal says of an objection that took that much of 12.99.
fn lost(payment: &Payment, value: &str) -> Value {
    let amount = json!({"currency_code": "EUR", "value": value});
    json!({"dispute_id": "PP-D-1", "status": "RESOLVED", "reason": "UNAUTHORISED", "dispute_amount": amount,
        "dispute_life_cycle_stage": "CHARGEBACK", "dispute_outcome": {"outcome_code": "RESOLVED_BUYER_FAVOUR"},
        "disputed_transactions": [{"seller_transaction_id": payment.provider_ref}],
        "money_movements": [{"affected_party": "SELLER", "type": "DEBIT", "amount": amount, "reason": "DISPUTE_SETTLEMENT"}]})
}

impl Till {
    /// PayPal took money back, and shows it as a refund.
    async fn reversed(&self, payment: &Payment, value: &str) {
        let told = reversal(payment, "REV1", value);
        self.stub.held(|held| {
            let order = held.orders.get_mut(&payment.checkout_ref).unwrap();
            order["purchase_units"][0]["payments"]["refunds"] = json!([told]);
        });
        self.tell("PAYMENT.CAPTURE.REVERSED", told).await.unwrap();
        self.drain().await;
    }

    /// Refunds were made at PayPal, and the last one is told of.
    async fn refunded(&self, payment: &Payment, made: &[(&str, &str)]) {
        let told: Vec<_> = made.iter().map(|(id, value)| reversal(payment, id, value)).collect();
        self.stub.held(|held| {
            let order = held.orders.get_mut(&payment.checkout_ref).unwrap();
            order["purchase_units"][0]["payments"]["refunds"] = json!(told);
        });
        self.tell("PAYMENT.CAPTURE.REFUNDED", told.last().unwrap().clone()).await.unwrap();
        self.drain().await;
    }

    async fn disputed(&self, dispute: Value) {
        self.stub.held(|held| held.disputes.insert("PP-D-1".into(), dispute.clone()));
        self.tell("CUSTOMER.DISPUTE.RESOLVED", dispute).await.unwrap();
        self.drain().await;
    }

    async fn taken(&self) -> Vec<i64> {
        let mut tx = self.world.tx().await;
        let page = store::Page { before: None, limit: 5 };
        let disputes = store::dispute::list(&mut tx, None, page).await.expect("readable");
        disputes.iter().map(|dispute| dispute.books.taken).collect()
    }
}

#[tokio::test]
async fn case_069_what_a_lost_dispute_took_is_booked_once_when_paypal_tells_of_it_as_a_reversal_too() {
    for value in ["12.99", "5.00"] {
        let till = till().await;
        let payment = till.paid().await;
        till.disputed(lost(&payment, value)).await;
        till.reversed(&payment, value).await;
        // And once more by the dispute, whatever was heard between.
        till.tell("CUSTOMER.DISPUTE.UPDATED", lost(&payment, value)).await.unwrap();
        till.drain().await;
        assert!(till.refunds_of(payment.id).await.is_empty(), "{value}");
        assert_eq!(till.taken().await, [if value == "5.00" { 500 } else { 1299 }]);
        assert!(till.tasks().await.is_empty(), "{:?}", till.tasks().await);
        till.world.assert_sound().await;
    }
}

#[tokio::test]
async fn case_069_a_reversal_that_overtakes_its_lost_dispute_is_booked_once() {
    for value in ["12.99", "5.00"] {
        let till = till().await;
        let payment = till.paid().await;
        till.reversed(&payment, value).await;
        assert_eq!(till.refunds_of(payment.id).await.len(), 1);
        assert_eq!(till.tasks().await, ["payment_reversed"]);
        till.disputed(lost(&payment, value)).await;
        assert_eq!((till.refunds_of(payment.id).await.len(), till.taken().await), (1, vec![0]), "{value}");
        till.world.assert_sound().await;
    }
}

/// What PayPal says of an objection for which it holds that much, or has held it.
fn held(payment: &Payment, value: &str, is_released: bool) -> Value {
    let amount = json!({"currency_code": "EUR", "value": value});
    let moved =
        |kind: &str| json!({"affected_party": "SELLER", "type": kind, "amount": amount, "reason": "DISPUTE_HOLD"});
    let mut told = json!({"dispute_id": "PP-D-1", "status": "UNDER_REVIEW", "reason": "UNAUTHORISED",
        "dispute_amount": amount, "dispute_life_cycle_stage": "CHARGEBACK",
        "disputed_transactions": [{"seller_transaction_id": payment.provider_ref}], "money_movements": [moved("DEBIT")]});
    if is_released {
        told["status"] = json!("RESOLVED");
        told["dispute_outcome"] = json!({"outcome_code": "CANCELED_BY_BUYER"});
        told["money_movements"] = json!([moved("DEBIT"), moved("CREDIT")]);
    }
    told
}

#[tokio::test]
async fn case_069_a_refund_beside_a_hold_is_booked_when_the_hold_is_released() {
    for (hold, refund) in [("12.99", "12.99"), ("12.99", "5.00"), ("5.00", "5.00")] {
        let till = till().await;
        let payment = till.paid().await;
        till.disputed(held(&payment, hold, false)).await;
        let taken = till.taken().await;
        till.refunded(&payment, &[("R81", refund)]).await;
        assert!(till.refunds_of(payment.id).await.is_empty(), "{refund}: the hold has it");
        assert_eq!((till.taken().await, till.count("dispute_refund").await), (taken, 1));
        // Nothing changes by hearing of both again.
        till.refunded(&payment, &[("R81", refund)]).await;
        till.disputed(held(&payment, hold, false)).await;
        assert!(till.refunds_of(payment.id).await.is_empty(), "{refund}");
        till.world.assert_sound().await;
        till.disputed(held(&payment, hold, true)).await;
        till.later().await;
        let refunds = till.refunds_of(payment.id).await;
        assert_eq!((refunds.len(), refunds[0].state, &*refunds[0].provider_ref), (1, State::Succeeded, "R81"));
        assert_eq!((till.taken().await, till.count("dispute_refund").await), (vec![0], 0));
        // And once, however often it is told.
        till.refunded(&payment, &[("R81", refund)]).await;
        assert_eq!(till.refunds_of(payment.id).await.len(), 1);
        till.world.assert_sound().await;
    }
}

#[tokio::test]
async fn case_069_a_dispute_holds_no_more_refunds_than_it_took() {
    let till = till().await;
    let payment = till.paid().await;
    till.disputed(held(&payment, "5.00", false)).await;
    till.refunded(&payment, &[("R82", "5.00")]).await;
    till.refunded(&payment, &[("R82", "5.00"), ("R83", "5.00")]).await;
    let refunds = till.refunds_of(payment.id).await;
    assert_eq!((refunds.len(), refunds[0].amount, &*refunds[0].provider_ref), (1, eur(500), "R83"));
    assert_eq!(till.taken().await, [500]);
    // The decision takes what is held, whose refund is known.
    till.disputed(lost(&payment, "5.00")).await;
    assert_eq!((till.taken().await, till.refunds_of(payment.id).await.len()), (vec![500], 1));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_069_a_part_that_was_refunded_before_does_not_lessen_what_a_dispute_took() {
    let till = till().await;
    let payment = till.paid().await;
    till.give_back(payment.id, Some(eur(300))).await.unwrap();
    till.drain().await;
    till.world.advance(chrono::TimeDelta::hours(1)).await;
    till.disputed(lost(&payment, "9.99")).await;
    assert_eq!(till.taken().await, [999]);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn a_reversal_paypal_does_not_show_is_left_to_staff() {
    let till = till().await;
    let payment = till.paid().await;
    till.tell("PAYMENT.CAPTURE.REVERSED", reversal(&payment, "REV9", "12.99")).await.unwrap();
    till.drain().await;
    assert!(till.refunds_of(payment.id).await.is_empty());
    assert_eq!(till.tasks().await, ["payment_reversed"]);
    till.world.assert_sound().await;
}

/// A dispute for which nothing was taken.
fn asked(payment: &Payment) -> Value {
    let mut told = held(payment, "12.99", false);
    told["money_movements"] = json!([]);
    told
}

#[tokio::test]
async fn case_069_a_reversal_beside_a_dispute_that_took_nothing_is_told_to_staff() {
    for is_shown in [true, false] {
        let till = till().await;
        let payment = till.paid().await;
        till.disputed(asked(&payment)).await;
        assert_eq!(till.taken().await, [0]);
        if is_shown {
            till.reversed(&payment, "12.99").await;
        } else {
            till.tell("PAYMENT.CAPTURE.REVERSED", reversal(&payment, "REV9", "12.99")).await.unwrap();
            till.drain().await;
        }
        assert!(till.tasks().await.contains(&"payment_reversed".to_owned()), "{:?}", till.tasks().await);
        assert_eq!(till.refunds_of(payment.id).await.len(), usize::from(is_shown));
        till.world.assert_sound().await;
    }
}

#[tokio::test]
async fn case_069_a_reversal_of_more_than_a_dispute_took_is_told_to_staff() {
    let till = till().await;
    let payment = till.paid().await;
    till.disputed(held(&payment, "5.00", false)).await;
    till.reversed(&payment, "7.99").await;
    assert!(till.tasks().await.contains(&"payment_reversed".to_owned()), "{:?}", till.tasks().await);
    assert_eq!((till.refunds_of(payment.id).await.len(), till.taken().await), (1, vec![500]));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_053_a_refund_that_overtakes_its_payment_settles_both() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.approve(&payment.checkout_ref);
    let capture = till.stub.held(|held| {
        assert_eq!(held.capture(&payment.checkout_ref).0, 201);
        let order = held.orders.get_mut(&payment.checkout_ref).unwrap();
        let payments = &mut order["purchase_units"][0]["payments"];
        let capture = payments["captures"][0]["id"].as_str().unwrap().to_owned();
        let up = format!("https://api-m.paypal.com/v2/payments/captures/{capture}");
        payments["refunds"] = json!([{"id": "R78", "status": "COMPLETED",
            "amount": {"currency_code": "EUR", "value": "2.00"}, "links": [{"href": up, "rel": "up"}]}]);
        payments["refunds"][0].clone()
    });
    till.tell("PAYMENT.CAPTURE.REFUNDED", capture).await.unwrap();
    till.drain().await;
    assert_eq!(till.payment(payment.id).await.state, billing::domain::payment::State::Succeeded);
    let refunds = till.refunds_of(payment.id).await;
    assert_eq!((refunds.len(), refunds[0].state, refunds[0].amount), (1, State::Succeeded, eur(200)));
    till.world.assert_sound().await;
}
