//! What came, exactly or not, and what becomes of it.

use billing::app::payment::{ArrivedOf, Sought};
use billing::domain::by_hand::{RecordState, Standing};
use billing::domain::payment::State;
use billing::domain::{invoice, subscription};
use billing::store::Page;
use chrono::TimeDelta;
use ottery_kernel::{Currency, Money};

use super::till::{cash_till, till};
use crate::world::eur;

const PAGE: Page = Page { before: None, limit: 50 };

#[tokio::test]
async fn an_exact_transfer_pays_the_order_and_is_booked_once() {
    let till = till().await;
    let (payment, wait) = till.order(1_000).await;
    assert_eq!(payment.checkout_url, format!("https://tv.example/pay/by-hand/{}", wait.token));
    let page = till.page(&wait).await;
    assert_eq!((page.standing, page.due, page.terms.days), (Standing::Waiting, eur(1_000), 3));
    let code =
        format!("BCD\n002\n1\nSCT\nCOBADEFFXXX\nOtter TV GmbH\nDE89370400440532013000\nEUR10.00\n\n{}", wait.reference);
    assert_eq!(page.code, code);
    // Looks of the workers change nothing while it waits.
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Pending);

    let staff = till.staff("acc_a");
    let record = till.record(&staff, &wait, 1_000, "2026112800017").await.expect("recorded");
    assert_eq!((record.state, record.payment), (RecordState::Confirmed, Some(payment.id)));
    let paid = till.payment(payment.id).await;
    assert_eq!(
        (paid.state, paid.received, paid.method_label.as_str()),
        (State::Succeeded, Some(eur(1_000)), "Bank transfer")
    );
    assert_eq!(till.page(&wait).await.standing, Standing::Paid);
    let subscription = till.world.subscription(payment.subscription.unwrap()).await;
    assert!(matches!(subscription.state, subscription::State::Active), "{:?}", subscription.state);
    assert_eq!(till.balance("provider:bank_transfer").await, 1_000);
    assert_eq!(till.tasks().await, [""; 0]);
    till.later().await;
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_052_the_same_transfer_is_not_booked_twice_however_many_record_it_at_once() {
    let till = till().await;
    let (payment, wait) = till.order(1_000).await;
    let (a, b) = (till.staff("acc_a"), till.staff("acc_b"));
    let tries = (0..6).map(|at| till.record(if at % 2 == 0 { &a } else { &b }, &wait, 1_000, "same"));
    let answers = futures::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for problem in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(problem.is("RECORD_EXISTS"), "{problem:?}");
        assert_eq!(problem.field.as_deref(), Some("bank_reference"));
    }
    assert_eq!(till.balance("provider:bank_transfer").await, 1_000);
    assert_eq!(till.payment(payment.id).await.received, Some(eur(1_000)));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_046_less_leaves_the_invoice_open_and_the_rest_pays_it_under_the_same_reference() {
    let till = till().await;
    let (payment, wait) = till.order(1_000).await;
    let staff = till.staff("acc_a");
    till.record(&staff, &wait, 600, "first").await.expect("recorded");
    let page = till.page(&wait).await;
    assert_eq!((page.standing, page.due, page.came), (Standing::Short, eur(400), eur(600)));
    assert!(page.code.contains("\nEUR4.00\n"), "{}", page.code);
    assert_eq!(till.world.invoice(payment.invoice).await.state, invoice::State::Open);
    let subscription = till.world.subscription(payment.subscription.unwrap()).await;
    assert!(matches!(subscription.state, subscription::State::Pending), "{:?}", subscription.state);
    assert_eq!(till.tasks().await, ["payment_short"]);

    let rest = till.record(&staff, &wait, 400, "second").await.expect("recorded");
    assert_ne!(rest.payment, Some(payment.id), "it is a payment of its own");
    assert_eq!(till.world.invoice(payment.invoice).await.state, invoice::State::Closed);
    assert_eq!(till.page(&wait).await.standing, Standing::Paid);
    assert_eq!(till.balance("provider:bank_transfer").await, 1_000);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_045_what_is_too_much_goes_to_the_wallet() {
    let till = till().await;
    let (payment, wait) = till.order(1_000).await;
    till.record(&till.staff("acc_a"), &wait, 1_250, "too much").await.expect("recorded");
    assert_eq!(till.world.invoice(payment.invoice).await.state, invoice::State::Closed);
    assert_eq!((till.balance("wallet").await, till.balance("provider:bank_transfer").await), (-250, 1_250));
    assert_eq!(till.tasks().await, ["overpayment"]);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_060_another_currency_is_booked_as_unapplied_and_pays_nothing() {
    let till = till().await;
    let (payment, wait) = till.order(1_000).await;
    let dollars = Money::new(1_000, Currency::USD);
    let arrived = till.arrived(ArrivedOf::Reference(wait.reference.to_string()), dollars, "usd");
    till.world.billing.record_by_hand(&till.staff("acc_a"), till.world.brand, arrived).await.expect("recorded");
    assert_eq!(till.world.invoice(payment.invoice).await.state, invoice::State::Open);
    assert!(till.tasks().await.contains(&"payment_mismatch".to_owned()));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_079_money_after_the_order_was_given_up_is_in_the_wallet_and_not_lost() {
    let till = till().await;
    let (payment, wait) = till.order(1_000).await;
    // Three days are too short for a bank: the order is held for as long as for a payment that is being processed.
    till.world.advance(TimeDelta::days(5)).await;
    let subscription = till.world.subscription(payment.subscription.unwrap()).await;
    assert!(matches!(subscription.state, subscription::State::Pending), "{:?}", subscription.state);
    till.world.advance(TimeDelta::days(10)).await;
    till.later().await;
    assert_eq!(till.page(&wait).await.standing, Standing::Closed);
    till.record(&till.staff("acc_a"), &wait, 1_000, "late").await.expect("recorded");
    assert_eq!(till.balance("wallet").await, -1_000);
    assert!(till.tasks().await.contains(&"payment_late".to_owned()));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn another_try_keeps_the_reference_because_money_may_be_under_way() {
    let till = till().await;
    let (payment, wait) = till.order(1_000).await;
    let (again, url) = till.pay_again(&payment).await.expect("another try");
    assert_eq!(url, payment.checkout_url);
    till.later().await;
    assert_eq!(till.payment(payment.id).await.state, State::Cancelled);
    let record = till.record(&till.staff("acc_a"), &wait, 1_000, "one").await.expect("recorded");
    assert_eq!(record.payment, Some(again));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn money_of_somebody_unknown_waits_for_a_name() {
    let till = till().await;
    let (payment, wait) = till.order(1_000).await;
    let staff = till.staff("acc_a");
    let arrived = till.arrived(ArrivedOf::Unknown(till.account.id), eur(1_000), "who");
    let record = till.world.billing.record_by_hand(&staff, till.world.brand, arrived).await.expect("recorded");
    assert_eq!(record.state, RecordState::Unassigned);
    assert_eq!(
        (till.balance("provider:bank_transfer").await, till.tasks().await),
        (0, vec!["by_hand_unassigned".to_owned()])
    );
    assert!(till.confirm(&till.staff("acc_b"), &record).await.unwrap_err().is("RECORD_UNASSIGNED"));
    let shown = format!("Invoice thank you {}", wait.reference.printed());
    let assigned =
        till.world.billing.assign_record(&staff, till.world.brand, record.id, &shown).await.expect("assigned");
    assert_eq!((assigned.state, assigned.payment), (RecordState::Confirmed, Some(payment.id)));
    assert_eq!(till.tasks().await, [""; 0]);
    let again = till.world.billing.assign_record(&staff, till.world.brand, record.id, &shown).await.unwrap_err();
    assert!(again.is("RECORD_ASSIGNED"), "{again:?}");
    till.world.assert_sound().await;
}

#[tokio::test]
async fn staff_finds_what_waits_by_reference_and_amount() {
    let till = till().await;
    let (_, one) = till.order(1_000).await;
    let (_, two) = till.order(1_500).await;
    let find = async |reference: &str, amount_minor, is_all| {
        let sought = Sought { reference: reference.into(), amount_minor, is_all };
        let found = till.world.billing.expected_by_hand(till.world.brand, sought, PAGE).await;
        found.map(|found| found.into_iter().map(|one| one.wait.id).collect::<Vec<_>>())
    };
    assert_eq!(find("", None, false).await.unwrap(), [two.id, one.id]);
    assert_eq!(find("", Some(1_000), false).await.unwrap(), [one.id]);
    assert_eq!(find(&two.reference.printed().to_lowercase(), None, false).await.unwrap(), [two.id]);
    till.record(&till.staff("acc_a"), &one, 1_000, "x").await.expect("recorded");
    assert_eq!(find("", None, false).await.unwrap(), [two.id]);
    assert_eq!(find("", None, true).await.unwrap(), [two.id, one.id]);
    assert_eq!(find(one.reference.as_str(), None, false).await.unwrap(), [one.id], "also what is paid");
    let wrong = find("RF00 AAAA BBBB", None, false).await.unwrap_err();
    assert_eq!(wrong.field.as_deref(), Some("reference"));
}

#[tokio::test]
async fn cash_is_recorded_with_the_number_of_its_receipt() {
    let till = cash_till().await;
    let (payment, wait) = till.order(1_000).await;
    assert_eq!(till.page(&wait).await.code, "", "no bank reads cash");
    let staff = till.staff("acc_a");
    let empty = till.record(&staff, &wait, 1_000, " ").await.unwrap_err();
    assert_eq!(empty.field.as_deref(), Some("bank_reference"));
    till.record(&staff, &wait, 1_000, "R-0001").await.expect("recorded");
    assert_eq!(till.payment(payment.id).await.method_label, "Cash");
    assert_eq!(till.balance("provider:cash").await, 1_000);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn what_cannot_have_come_is_refused_and_names_its_field() {
    let till = till().await;
    let (_, wait) = till.order(1_000).await;
    let staff = till.staff("acc_a");
    assert_eq!(till.record(&staff, &wait, 0, "x").await.unwrap_err().field.as_deref(), Some("amount"));
    assert_eq!(
        till.record(&staff, &wait, 1, &"x".repeat(201)).await.unwrap_err().field.as_deref(),
        Some("bank_reference")
    );
    let mut arrived = till.arrived(ArrivedOf::Reference(wait.reference.to_string()), eur(1_000), "x");
    arrived.value_on = (till.world.now() + TimeDelta::days(3)).date_naive();
    let problem = till.world.billing.record_by_hand(&staff, till.world.brand, arrived).await.unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("value_on"));
    for typed in ["RF00AAAABBBB", "RF18539007547034", "hello"] {
        let arrived = till.arrived(ArrivedOf::Reference(typed.into()), eur(1_000), "x");
        let problem = till.world.billing.record_by_hand(&staff, till.world.brand, arrived).await.unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("payment_reference"), "{typed}");
    }
}
