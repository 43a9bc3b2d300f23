use ottery_kernel::{Currency, Money};
use serde_json::{Value, json};

use super::*;

fn capture(status: &str) -> Value {
    json!({"id": "2GG", "status": status, "amount": {"currency_code": "EUR", "value": "12.99"}, "custom_id": "pay_1",
           "seller_receivable_breakdown": {"gross_amount": {"currency_code": "EUR", "value": "12.99"},
                                           "paypal_fee": {"currency_code": "EUR", "value": "0.69"}}})
}

fn order(status: &str, custom_id: &str, captures: &[Value]) -> Order {
    serde_json::from_value(json!({"id": "5O1", "status": status,
        "payment_source": {"paypal": {"email_address": "ada@example.com",
            "attributes": {"vault": {"id": "8kk", "status": "VAULTED", "customer": {"id": "c1"}}}}},
        "purchase_units": [{"custom_id": custom_id, "payments": {"captures": captures}}]}))
    .unwrap()
}

#[test]
fn money_that_came_names_its_fee_and_what_was_saved() {
    for status in ["COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"] {
        let Ok(Truth::Captured(came)) = order("COMPLETED", "pay_1", &[capture(status)]).truth() else {
            panic!("{status}")
        };
        assert_eq!((came.provider_ref.as_str(), came.label.as_str()), ("2GG", "PayPal a…@example.com"));
        assert_eq!((came.amount, came.fee), (Money::new(1299, Currency::EUR), Some(Money::new(69, Currency::EUR))));
        assert_eq!(came.saved, Some(SavedToken("c1/8kk".into())));
    }
}

#[test]
fn a_complete_order_does_not_prove_money() {
    let pending = order("COMPLETED", "pay_1", &[capture("PENDING")]).truth();
    assert_eq!(pending, Ok(Truth::Processing { provider_ref: "2GG".into() }));
    assert!(matches!(order("COMPLETED", "pay_1", &[capture("DECLINED")]).truth(), Ok(Truth::Declined { .. })));
    assert!(matches!(order("COMPLETED", "pay_1", &[]).truth(), Err(CallError::Ambiguous(_))));
    // A refused try before a good one.
    let twice = order("COMPLETED", "pay_1", &[capture("DECLINED"), capture("COMPLETED")]);
    assert!(matches!(twice.truth(), Ok(Truth::Captured(_))));
}

#[test]
fn an_order_nobody_may_pay_any_more_is_never_captured() {
    let approved = order("APPROVED", "pay_1", &[]);
    assert!(approved.waits_for_capture());
    assert_eq!(approved.truth(), Ok(Truth::Open));
    let withdrawn = order("APPROVED", WITHDRAWN, &[]);
    assert!(!withdrawn.waits_for_capture());
    assert_eq!(withdrawn.truth(), Ok(Truth::Expired));
    // Money that came all the same counts.
    assert!(matches!(order("COMPLETED", WITHDRAWN, &[capture("COMPLETED")]).truth(), Ok(Truth::Captured(_))));
}

#[test]
fn case_062_a_charge_the_payer_has_to_confirm_is_told_apart() {
    let Ok(Truth::Declined { decline, .. }) = order("PAYER_ACTION_REQUIRED", "pay_1", &[]).charged() else { panic!() };
    assert_eq!(decline.class, DeclineClass::Action);
    assert!(matches!(order("CREATED", "pay_1", &[]).charged(), Err(CallError::Ambiguous(_))));
}

#[test]
fn a_refund_names_its_payment_and_ours() {
    let ours = "ref_0192f0c1a2b37c4d8e5f60718293a4b7";
    let told = |status: &str| -> Refund {
        serde_json::from_value(json!({"id": "1JU", "status": status, "custom_id": ours,
            "amount": {"currency_code": "EUR", "value": "5.00"},
            "links": [{"rel": "self", "href": "https://api-m.paypal.com/v2/payments/refunds/1JU"},
                      {"rel": "up", "href": "https://api-m.paypal.com/v2/payments/captures/2GG"}]}))
        .unwrap()
    };
    let fact = told("COMPLETED").fact().unwrap();
    assert_eq!((fact.payment_ref.as_str(), fact.amount), ("2GG", Money::new(500, Currency::EUR)));
    assert_eq!(fact.ours.map(|id| id.to_string()).as_deref(), Some(ours));
    let states = ["COMPLETED", "PENDING", "FAILED", "CANCELLED", "NEW"].map(|status| told(status).truth().state);
    use refund::State as S;
    assert_eq!(states, [S::Succeeded, S::Pending, S::Failed, S::Failed, S::Pending]);
}

fn disputed(status: &str, outcome: &str, stage: &str, movements: Value) -> dispute::Truth {
    let dispute: Dispute = serde_json::from_value(json!({"dispute_id": "PP-D-1", "status": status,
        "reason": "UNAUTHORISED", "dispute_amount": {"currency_code": "EUR", "value": "12.99"},
        "disputed_transactions": [{"seller_transaction_id": "2GG"}], "dispute_outcome": {"outcome_code": outcome},
        "dispute_life_cycle_stage": stage, "money_movements": movements,
        "seller_response_due_date": "2026-12-01T00:00:00.000Z"}))
    .unwrap();
    dispute.truth().unwrap()
}

#[test]
fn case_069_an_objection_follows_its_stage_its_outcome_and_the_money() {
    use dispute::State as S;
    let open = disputed("WAITING_FOR_SELLER_RESPONSE", "", "CHARGEBACK", json!([]));
    assert_eq!((open.state, open.is_taken, open.payment_ref.as_str()), (S::NeedsResponse, false, "2GG"));
    assert!(open.evidence_until.is_some());
    assert_eq!(disputed("OPEN", "", "INQUIRY", json!([])).state, S::Warning);
    assert_eq!(disputed("UNDER_REVIEW", "", "CHARGEBACK", json!([])).state, S::UnderReview);
    let debit =
        json!({"affected_party": "SELLER", "type": "DEBIT", "amount": {"currency_code": "EUR", "value": "12.99"}});
    let credit =
        json!({"affected_party": "SELLER", "type": "CREDIT", "amount": {"currency_code": "EUR", "value": "12.99"}});
    assert!(disputed("UNDER_REVIEW", "", "CHARGEBACK", json!([debit])).is_taken);
    let won = disputed("RESOLVED", "RESOLVED_SELLER_FAVOUR", "CHARGEBACK", json!([debit, credit]));
    assert_eq!((won.state, won.is_taken), (S::Won, false));
    let lost = disputed("RESOLVED", "RESOLVED_BUYER_FAVOUR", "CHARGEBACK", json!([]));
    assert_eq!((lost.state, lost.is_taken), (S::Lost, true));
    assert_eq!(disputed("RESOLVED", "CANCELED_BY_BUYER", "CHARGEBACK", json!([])).state, S::Closed);
}
