use ottery_kernel::{Currency, Money};
use serde_json::{Value, json};

use super::*;
use crate::domain::payment::DeclineClass;

fn order(status: &str, captures: Value) -> Order {
    serde_json::from_value(json!({"id": "O1", "status": status,
        "purchase_units": [{"payments": {"captures": captures}}],
        "payment_source": {"paypal": {"email_address": "ada@example.com", "account_id": "QYR5Z8XDVJNXQ",
            "attributes": {"vault": {"id": "v1", "status": "VAULTED", "customer": {"id": "c1"}}}}}}))
    .unwrap()
}

fn capture(status: &str) -> Value {
    json!({"id": "C1", "status": status, "amount": {"currency_code": "EUR", "value": "12.99"},
        "seller_receivable_breakdown": {"paypal_fee": {"currency_code": "EUR", "value": "0.74"}}})
}

#[test]
fn a_finished_order_is_money_only_by_its_capture() {
    let Truth::Captured(captured) = order("COMPLETED", json!([capture("COMPLETED")])).truth().unwrap() else {
        panic!("money")
    };
    assert_eq!(captured.amount, Money::new(1299, Currency::EUR));
    assert_eq!(captured.fee, Some(Money::new(74, Currency::EUR)));
    assert_eq!(captured.saved, Some(SavedToken("c1/v1".into())));
    assert_eq!(captured.label, "PayPal a…@example.com");
    assert_eq!(
        order("COMPLETED", json!([capture("PENDING")])).truth(),
        Ok(Truth::Processing { provider_ref: "C1".into() })
    );
    let Ok(Truth::Declined { decline, .. }) = order("COMPLETED", json!([capture("DECLINED")])).truth() else {
        panic!("declined")
    };
    assert_eq!(decline.class, DeclineClass::Soft);
    assert!(matches!(order("COMPLETED", json!([])).truth(), Err(CallError::Ambiguous(_))));
}

#[test]
fn an_order_nobody_paid_is_open_until_it_is_void() {
    for status in ["CREATED", "SAVED", "APPROVED", "PAYER_ACTION_REQUIRED", "A_WORD_OF_TOMORROW"] {
        assert_eq!(order(status, json!([])).truth(), Ok(Truth::Open), "{status}");
    }
    assert_eq!(order("VOIDED", json!([])).truth(), Ok(Truth::Expired));
    assert!(order("APPROVED", json!([])).waits_for_us());
    assert!(!order("PAYER_ACTION_REQUIRED", json!([])).waits_for_us());
    assert!(!order("APPROVED", json!([capture("PENDING")])).waits_for_us());
}

#[test]
fn money_counts_whatever_was_given_back_and_whatever_was_declined_before() {
    for status in ["PARTIALLY_REFUNDED", "REFUNDED"] {
        assert!(matches!(order("COMPLETED", json!([capture(status)])).truth(), Ok(Truth::Captured(_))), "{status}");
    }
    let both = order("COMPLETED", json!([capture("COMPLETED"), capture("DECLINED")]));
    assert!(matches!(both.truth(), Ok(Truth::Captured(_))));
}

fn disputed(status: &str, stage: &str, more: Value) -> dispute::Truth {
    let mut told = json!({"dispute_id": "PP-D-1", "status": status, "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        "dispute_life_cycle_stage": stage, "dispute_amount": eur("12.99"),
        "disputed_transactions": [{"seller_transaction_id": "C1"}]});
    for (name, value) in more.as_object().unwrap() {
        told[name] = value.clone();
    }
    serde_json::from_value::<Dispute>(told).unwrap().truth().unwrap()
}

fn eur(value: &str) -> Value {
    json!({"currency_code": "EUR", "value": value})
}

fn moved(kind: &str, value: &str, reason: &str) -> Value {
    json!({"affected_party": "SELLER", "type": kind, "amount": eur(value), "reason": reason})
}

fn decided(code: &str, movements: Value) -> dispute::Truth {
    let outcome = json!({"dispute_outcome": {"outcome_code": code}, "money_movements": movements});
    disputed("RESOLVED", "CHARGEBACK", outcome)
}

#[test]
fn case_069_a_dispute_follows_what_paypal_decides() {
    use dispute::State;
    let open = |status: &str, stage: &str| disputed(status, stage, json!({})).state;
    assert_eq!(open("OPEN", "INQUIRY"), State::Warning);
    assert_eq!(open("WAITING_FOR_SELLER_RESPONSE", "CHARGEBACK"), State::NeedsResponse);
    assert_eq!(open("UNDER_REVIEW", "CHARGEBACK"), State::UnderReview);
    assert_eq!(open("A_WORD_OF_TOMORROW", "CHARGEBACK"), State::NeedsResponse);
    // What was decided is opened again by no other word.
    assert_eq!(open("WAITING_FOR_SELLER_RESPONSE", "PRE_ARBITRATION"), State::Appealed);
    for (code, state) in [
        ("RESOLVED_BUYER_FAVOUR", State::Lost),
        ("ACCEPTED", State::Lost),
        ("RESOLVED_SELLER_FAVOUR", State::Won),
        ("RESOLVED_WITH_PAYOUT", State::Won),
        ("DENIED", State::Won),
        ("CANCELED_BY_BUYER", State::Closed),
        ("NONE", State::Closed),
    ] {
        assert_eq!(decided(code, json!([])).state, state, "{code}");
    }
}

#[test]
fn case_069_what_a_dispute_took_is_what_moved_and_its_fees_are_no_part_of_it() {
    let taken = moved("DEBIT", "12.99", "DISPUTE_SETTLEMENT");
    let money = |minor: i64| Money::new(minor, Currency::EUR);
    let opened = disputed("UNDER_REVIEW", "CHARGEBACK", json!({"money_movements": [taken]}));
    assert_eq!((opened.taken, opened.fee), (money(1299), None));
    let fee = moved("DEBIT", "14.00", "CHARGEBACK_FEE");
    let lost = decided("RESOLVED_BUYER_FAVOUR", json!([taken, fee]));
    assert_eq!((lost.taken, lost.fee), (money(1299), Some(money(1400))));
    let won = decided("RESOLVED_SELLER_FAVOUR", json!([taken, moved("CREDIT", "12.99", "DISPUTE_SETTLEMENT")]));
    assert_eq!(won.taken, money(0));
    // A part of what was objected to, and what the buyer moved is not ours.
    let part = moved("DEBIT", "5.00", "DISPUTE_SETTLEMENT");
    let buyers =
        json!({"affected_party": "BUYER", "type": "DEBIT", "amount": eur("99.00"), "reason": "DISPUTE_SETTLEMENT"});
    assert_eq!(decided("RESOLVED_BUYER_FAVOUR", json!([part, buyers])).taken, money(500));
    // In the currency the seller holds: all of it.
    let abroad = json!({"affected_party": "SELLER", "type": "DEBIT", "reason": "DISPUTE_SETTLEMENT",
        "amount": {"currency_code": "USD", "value": "14.20"}});
    assert_eq!(decided("RESOLVED_BUYER_FAVOUR", json!([abroad])).taken, money(1299));
    // The list that takes the place of the other.
    let told = json!({"fund_movements": [{"party": "SELLER", "type": "DEBIT", "amount": eur("7.00")}]});
    assert_eq!(disputed("UNDER_REVIEW", "CHARGEBACK", told).taken, money(700));
}

#[test]
fn case_069_a_dispute_that_is_lost_took_money_whether_or_not_movements_are_told() {
    let money = |minor: i64| Money::new(minor, Currency::EUR);
    assert_eq!(decided("ACCEPTED", json!([])).taken, money(1299));
    let part = json!({"dispute_outcome": {"outcome_code": "RESOLVED_BUYER_FAVOUR", "amount_refunded": eur("4.00")}});
    assert_eq!(disputed("RESOLVED", "CHARGEBACK", part).taken, money(400));
    assert_eq!(decided("RESOLVED_SELLER_FAVOUR", json!([])).taken, money(0));
}

#[test]
fn evidence_that_is_asked_for_is_no_answer() {
    let with = |source: &str| disputed("OPEN", "CHARGEBACK", json!({"evidences": [{"source": source}]})).is_answered;
    assert!(!with("REQUESTED_FROM_SELLER") && !with("SUBMITTED_BY_BUYER"));
    assert!(with("SUBMITTED_BY_SELLER"));
}

#[test]
fn a_fee_that_cannot_be_read_does_not_hide_the_money() {
    let mut capture = capture("COMPLETED");
    capture["seller_receivable_breakdown"]["paypal_fee"] = json!({"currency_code": "XX", "value": "?"});
    let Ok(Truth::Captured(captured)) = order("COMPLETED", json!([capture])).truth() else { panic!("money") };
    assert_eq!((captured.amount, captured.fee), (Money::new(1299, Currency::EUR), None));
}

#[test]
fn a_capture_names_its_order_by_id_or_by_link() {
    let order = |more: Value| {
        let mut told = capture("COMPLETED");
        told.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value::<Capture>(told).unwrap().order().map(ToOwned::to_owned)
    };
    assert_eq!(order(json!({})), None);
    assert_eq!(order(json!({"supplementary_data": {"related_ids": {"order_id": "O1"}}})), Some("O1".into()));
    let up = |href: &str| json!({"links": [{"rel": "self", "href": "https://x/v2/payments/captures/C1"}, {"rel": "up", "href": href}]});
    assert_eq!(order(up("https://x/v2/checkout/orders/O1")), Some("O1".into()));
    // One of an authorization belongs to no order we made.
    assert_eq!(order(up("https://x/v2/payments/authorizations/A1")), None);
}
