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

#[test]
fn case_069_a_dispute_follows_what_paypal_decides_and_what_money_moved() {
    use dispute::State;
    let dispute = |status: &str, stage: &str, outcome: Value, moved: Value| {
        let told: Dispute = serde_json::from_value(json!({"dispute_id": "PP-D-1", "status": status,
            "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED", "dispute_life_cycle_stage": stage,
            "dispute_amount": {"currency_code": "EUR", "value": "12.99"}, "dispute_outcome": outcome,
            "disputed_transactions": [{"seller_transaction_id": "C1"}], "money_movements": moved}))
        .unwrap();
        let truth = told.truth().unwrap();
        (truth.state, truth.is_taken)
    };
    let moved = |kind: &str| json!({"affected_party": "SELLER", "type": kind, "amount": {"currency_code": "EUR", "value": "12.99"}});
    let outcome = |code: &str| json!({"outcome_code": code});
    assert_eq!(dispute("OPEN", "INQUIRY", Value::Null, json!([])), (State::Warning, false));
    let claimed = dispute("WAITING_FOR_SELLER_RESPONSE", "CHARGEBACK", Value::Null, json!([moved("DEBIT")]));
    assert_eq!(claimed, (State::NeedsResponse, true));
    let lost = dispute("RESOLVED", "CHARGEBACK", outcome("RESOLVED_BUYER_FAVOUR"), json!([moved("DEBIT")]));
    assert_eq!(lost, (State::Lost, true));
    let won = json!([moved("DEBIT"), moved("CREDIT")]);
    assert_eq!(dispute("RESOLVED", "CHARGEBACK", outcome("RESOLVED_SELLER_FAVOUR"), won), (State::Won, false));
    assert_eq!(dispute("RESOLVED", "INQUIRY", outcome("NONE"), json!([])), (State::Closed, false));
}
