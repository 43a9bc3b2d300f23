use serde_json::json;

use super::*;

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

fn invoice(status: &str, additional: &str, paid: Option<&str>) -> Invoice {
    let mut told = json!({"id": "Inv1", "storeId": "Store1", "amount": "12.99", "currency": "EUR", "status": status,
        "additionalStatus": additional, "metadata": {"orderId": "pay_1"}});
    if let Some(paid) = paid {
        told["paidAmount"] = json!(paid);
    }
    serde_json::from_value(told).unwrap()
}

fn sent(payments: &[(&str, &str)]) -> Vec<Method> {
    let payments: Vec<_> = payments.iter().map(|(value, status)| json!({"value": value, "status": status})).collect();
    let told = json!([{"rate": "100000", "payments": payments}, {"rate": "0", "payments": []}]);
    serde_json::from_value(told).unwrap()
}

/// What came, and what the store let pass.
fn captured(truth: Result<Truth, CallError>) -> Option<(Money, Option<Money>)> {
    match truth {
        Ok(Truth::Captured(capture)) => Some((capture.amount, capture.fee)),
        _ => None,
    }
}

#[test]
fn case_077_to_082_every_state_of_an_invoice_means_one_of_ours() {
    let reference = || "Inv1".to_owned();
    for additional in ["None", "PaidPartial"] {
        assert_eq!(invoice("New", additional, Some("5.00")).truth(&[]), Ok(Truth::Open), "{additional}");
    }
    for additional in ["None", "PaidOver"] {
        let waiting = invoice("Processing", additional, Some("12.99")).truth(&[]);
        assert_eq!(waiting, Ok(Truth::Processing { provider_ref: reference() }), "{additional}");
    }
    assert_eq!(captured(invoice("Settled", "None", Some("12.990001")).truth(&[])), Some((eur(1299), None)));
    assert_eq!(captured(invoice("Settled", "None", None).truth(&[])), Some((eur(1299), None)));
    assert_eq!(captured(invoice("Settled", "Marked", Some("0")).truth(&[])), Some((eur(1299), None)));
    assert_eq!(invoice("Expired", "None", Some("0")).truth(&[]), Ok(Truth::Expired));
    for additional in ["None", "Marked"] {
        let gone = invoice("Invalid", additional, Some("12.99")).truth(&[]);
        assert_eq!(gone, Ok(Truth::Reversed { provider_ref: reference() }), "{additional}");
    }
    assert!(matches!(invoice("Frozen", "None", None).truth(&[]), Err(CallError::Ambiguous(_))));
}

#[test]
fn case_077_what_the_store_tolerates_is_enough_and_what_is_missing_is_a_fee() {
    assert_eq!(captured(invoice("Settled", "None", Some("12.93")).truth(&[])), Some((eur(1299), Some(eur(6)))));
    let late = invoice("Expired", "PaidLate", Some("12.93"));
    assert_eq!(captured(late.truth(&sent(&[("0.0001293", "Settled")]))), Some((eur(1299), Some(eur(6)))));
}

#[test]
fn case_078_to_081_only_what_is_confirmed_counts_as_more_less_or_late() {
    let over = invoice("Settled", "PaidOver", Some("20.00"));
    assert!(over.needs_payments());
    assert_eq!(captured(over.truth(&sent(&[("0.0002", "Settled")]))), Some((eur(2000), None)));
    let undecided = sent(&[("0.0001299", "Settled"), ("0.0000701", "Processing")]);
    assert_eq!(captured(over.truth(&undecided)), Some((eur(1299), None)), "the rest is looked for later");
    for additional in ["PaidPartial", "PaidLate"] {
        let expired = invoice("Expired", additional, Some("5.00"));
        assert!(expired.needs_payments());
        let waiting = expired.truth(&sent(&[("0.00005", "Processing")]));
        assert_eq!(waiting, Ok(Truth::Processing { provider_ref: "Inv1".into() }), "{additional}");
    }
    let partial = invoice("Expired", "PaidPartial", Some("5.00"));
    assert_eq!(captured(partial.truth(&sent(&[("0.00005", "Settled")]))), Some((eur(500), None)));
    let late = invoice("Expired", "PaidLate", Some("13.50"));
    assert_eq!(captured(late.truth(&sent(&[("0.000135", "Settled")]))), Some((eur(1350), None)));
    // Dropped or replaced before it was confirmed.
    assert_eq!(invoice("Expired", "PaidPartial", Some("0")).truth(&[]), Ok(Truth::Expired));
}

#[test]
fn case_080_two_transactions_are_summed_where_the_server_does_not_do_it() {
    let partial = invoice("Expired", "PaidPartial", None);
    let two = sent(&[("0.00005", "Settled"), ("0.00002", "Settled"), ("0.00009", "Invalid")]);
    assert_eq!(captured(partial.truth(&two)), Some((eur(700), None)));
}

fn pull(archived: bool, payouts: &[(&str, &str)]) -> Result<refund::State, CallError> {
    let told = json!({"id": "Pull1", "name": "Refund Inv1", "description": "x", "currency": "EUR", "amount": "3.00",
        "archived": archived});
    let pull: PullPayment = serde_json::from_value(told).unwrap();
    let payouts: Vec<_> =
        payouts.iter().map(|(amount, state)| json!({"originalAmount": amount, "state": state})).collect();
    let payouts: Vec<Payout> = serde_json::from_value(json!(payouts)).unwrap();
    Ok(pull.truth(&payouts)?.state)
}

#[test]
fn a_refund_is_paid_out_when_all_of_it_was_claimed_and_sent() {
    use refund::State;
    assert_eq!(pull(false, &[]), Ok(State::Pending));
    for state in ["AwaitingApproval", "AwaitingPayment", "InProgress"] {
        assert_eq!(pull(false, &[("3.00", state)]), Ok(State::Pending), "{state}");
        assert_eq!(pull(true, &[("3.00", state)]), Ok(State::Pending), "{state}");
    }
    assert_eq!(pull(false, &[("1.00", "Completed")]), Ok(State::Pending));
    assert_eq!(pull(true, &[("1.00", "Completed"), ("2.00", "Completed")]), Ok(State::Succeeded));
    assert_eq!(pull(true, &[("3.00", "Cancelled")]), Ok(State::Failed));
    assert!(matches!(pull(true, &[("1.00", "Completed")]), Err(CallError::Ambiguous(_))), "neither one nor the other");
}

#[test]
fn a_refund_in_coins_is_not_guessed() {
    let told = json!({"id": "Pull1", "name": "Refund Inv1", "currency": "BTC", "amount": "0.0001"});
    let pull: PullPayment = serde_json::from_value(told).unwrap();
    assert!(matches!(pull.fact(&[]), Err(CallError::Ambiguous(why)) if why.contains("BTC")));
    assert_eq!((pull.payment(), invoice_of("Inv1~2")), (Some("Inv1"), "Inv1"));
}
