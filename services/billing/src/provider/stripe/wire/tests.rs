//! What Stripe's objects say, on recorded ones.

use serde_json::{Value, json};

use super::*;

fn intent(status: &str, more: Value) -> Intent {
    let mut object = json!({"id": "pi_1", "object": "payment_intent", "status": status, "amount": 1299, "currency": "eur",
        "metadata": {"payment": "pay_1", "amount_minor": "1299"}});
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

fn eur(minor: i64) -> Money {
    Money::new(minor, ottery_kernel::Currency::EUR)
}

#[test]
fn a_capture_says_what_came_what_stripe_keeps_and_what_was_saved() {
    let method = json!({"id": "pm_1", "type": "card", "customer": "cus_1", "card": {"brand": "visa", "last4": "4242",
        "exp_month": 2, "exp_year": 2028, "fingerprint": "f1"}});
    let charge =
        json!({"id": "ch_1", "balance_transaction": {"id": "txn_1", "amount": 1299, "fee": 44, "currency": "eur"}});
    let told = intent("succeeded", json!({"amount_received": 1299, "payment_method": method, "latest_charge": charge}));
    let Truth::Captured(capture) = told.truth().unwrap() else { panic!() };
    assert_eq!((capture.amount, capture.fee), (eur(1299), Some(eur(44))));
    assert_eq!(capture.saved, Some(SavedToken("cus_1/pm_1".into())));
    assert_eq!(
        (capture.label.as_str(), capture.expires_on),
        ("Visa ending 4242", NaiveDate::from_ymd_opt(2028, 2, 29))
    );
    // A card that belongs to no customer was not saved, and ids alone tell nothing of it.
    let bare = intent("succeeded", json!({"payment_method": "pm_1", "latest_charge": "ch_1"}));
    let Truth::Captured(capture) = bare.truth().unwrap() else { panic!() };
    assert_eq!((capture.saved, capture.fee, capture.label.as_str()), (None, None, ""));
}

#[test]
fn every_status_and_those_nobody_knows_yet_say_something() {
    let says = |status: &str| intent(status, json!({})).truth().unwrap();
    let action = Decline { class: DeclineClass::Action, code: "authentication_required".into() };
    for status in ["requires_action", "requires_confirmation"] {
        assert_eq!(says(status), Truth::Declined { provider_ref: "pi_1".into(), decline: action.clone() });
    }
    for status in ["processing", "requires_capture", "invented_in_2031"] {
        assert_eq!(says(status), Truth::Processing { provider_ref: "pi_1".into() }, "{status}");
    }
    assert_eq!(says("canceled"), Truth::Expired);
    assert_eq!(says("requires_payment_method"), Truth::Open);
    let refused = json!({"last_payment_error": {"code": "card_declined", "decline_code": "stolen_card"}});
    let Truth::Declined { decline, .. } = intent("requires_payment_method", refused).truth().unwrap() else { panic!() };
    assert_eq!(decline, Decline { class: DeclineClass::Hard, code: "stolen_card".into() });
}

#[test]
fn the_digit_stripe_cannot_take_is_booked_with_what_it_keeps() {
    let charge = json!({"id": "ch_1", "balance_transaction": {"amount": 12340, "fee": 500, "currency": "kwd"}});
    let told =
        json!({"amount": 12340, "currency": "kwd", "metadata": {"amount_minor": "12347"}, "latest_charge": charge});
    let Truth::Captured(capture) = intent("succeeded", told).truth().unwrap() else { panic!() };
    let kwd = |minor| Money::new(minor, "KWD".parse().unwrap());
    assert_eq!((capture.amount, capture.fee), (kwd(12_347), Some(kwd(507))));
    // Anything else that is missing is missing.
    let told = json!({"amount": 1000, "metadata": {"amount_minor": "1299"}});
    let Truth::Captured(capture) = intent("succeeded", told).truth().unwrap() else { panic!() };
    assert_eq!(capture.amount, eur(1000));
}

#[test]
fn refunds_say_where_they_stand() {
    for (status, state) in [
        (json!("succeeded"), refund::State::Succeeded),
        (json!("failed"), refund::State::Failed),
        (json!("canceled"), refund::State::Failed),
        (json!("pending"), refund::State::Pending),
        (json!("requires_action"), refund::State::Pending),
        (Value::Null, refund::State::Pending),
    ] {
        let told = json!({"id": "re_1", "amount": 300, "currency": "eur", "status": status, "payment_intent": "pi_1"});
        let refund: Refund = serde_json::from_value(told).unwrap();
        let fact = refund.fact().unwrap();
        assert_eq!((fact.payment_ref.as_str(), fact.amount, fact.truth.state), ("pi_1", eur(300), state));
    }
}

#[test]
fn disputes_follow_the_money_that_moved() {
    let told = |status: &str, moved: Value| {
        let object = json!({"id": "dp_1", "status": status, "reason": "fraudulent", "amount": 1299, "currency": "eur",
            "payment_intent": "pi_1", "balance_transactions": moved,
            "evidence_details": {"due_by": 1_800_000_000, "submission_count": 0}});
        serde_json::from_value::<Dispute>(object).unwrap().truth().unwrap()
    };
    let taken = json!({"amount": -1299, "fee": 1500, "currency": "eur"});
    let back = json!({"amount": 1299, "fee": -1500, "currency": "eur"});
    let opened = told("needs_response", json!([taken]));
    assert!(opened.taken == opened.amount && !opened.is_answered);
    assert_eq!((opened.state, opened.fee), (dispute::State::NeedsResponse, Some(eur(1500))));
    let won = told("won", json!([taken, back]));
    assert!(won.taken.is_zero());
    assert_eq!((won.state, won.fee), (dispute::State::Won, Some(eur(0))));
    assert!(told("warning_needs_response", json!([])).taken.is_zero());
    // Settled in another currency: what it costs cannot be told in the payment's.
    assert_eq!(told("lost", json!([{"amount": -1400, "fee": 1600, "currency": "usd"}])).fee, None);
    for (status, state) in [
        ("warning_under_review", dispute::State::Warning),
        ("warning_closed", dispute::State::Closed),
        ("prevented", dispute::State::Closed),
        ("under_review", dispute::State::UnderReview),
        ("appeal_needs_response", dispute::State::Appealed),
        ("appeal_under_review", dispute::State::Appealed),
        ("lost", dispute::State::Lost),
        ("invented_in_2031", dispute::State::NeedsResponse),
    ] {
        assert_eq!(told(status, json!([])).state, state, "{status}");
    }
}

#[test]
fn a_payment_in_a_currency_nobody_knows_keeps_nobody_from_comparing_the_rest() {
    let reported = |currency: &str| {
        let intent = serde_json::json!({"id": "pi_1", "status": "succeeded", "amount": 999, "currency": currency});
        serde_json::from_value::<Intent>(intent).unwrap().reported().unwrap()
    };
    assert_eq!(reported("eur").amount, Some(Money::new(999, ottery_kernel::Currency::EUR)));
    let unknown = reported("zzz");
    assert_eq!((unknown.reference.as_str(), unknown.amount), ("pi_1", None));
}
