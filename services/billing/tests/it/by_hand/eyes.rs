//! Two pairs of eyes above the limit, and records that were none.

use billing::app::refund::Ask;
use billing::domain::by_hand::{RecordState, Standing};
use billing::domain::invoice;
use billing::domain::payment::State;
use billing::domain::refund::Policy;
use ottery_testkit::recorder::outbox;

use super::till::till;
use crate::world::eur;

#[tokio::test]
async fn above_the_limit_another_person_confirms_and_no_key_does() {
    let till = till().await;
    let (payment, wait) = till.order(5_000).await;
    let (one, two) = (till.staff("acc_a"), till.staff("acc_b"));
    let record = till.record(&one, &wait, 5_000, "large").await.expect("recorded");
    assert_eq!((record.state, record.payment), (RecordState::Waiting, None));
    assert_eq!(till.page(&wait).await.standing, Standing::Checking);
    assert_eq!(
        (till.payment(payment.id).await.state, till.balance("provider:bank_transfer").await),
        (State::Pending, 0)
    );
    assert_eq!(till.tasks().await, ["by_hand_confirm"]);

    assert!(till.confirm(&one, &record).await.unwrap_err().is("SECOND_PERSON_REQUIRED"));
    assert!(till.confirm(&till.key("key_1"), &record).await.unwrap_err().is("PERSON_REQUIRED"));
    let confirmed = till.confirm(&two, &record).await.expect("confirmed");
    assert_eq!((confirmed.state, confirmed.confirmed_by.as_str()), (RecordState::Confirmed, "acc_b"));
    assert_eq!(till.confirm(&two, &record).await.expect("twice is once").state, RecordState::Confirmed);
    assert_eq!(
        (till.payment(payment.id).await.state, till.balance("provider:bank_transfer").await),
        (State::Succeeded, 5_000)
    );
    assert_eq!(till.tasks().await, [""; 0]);
    let told = outbox(&till.world.database.pool).await;
    let audited = told.iter().filter(|event| event.r#type == "billing.audit.recorded.v1").count();
    assert!(audited >= 3, "the account, the record and its confirmation: {audited}");
    till.world.assert_sound().await;
}

#[tokio::test]
async fn two_who_confirm_at_once_book_once() {
    let till = till().await;
    let (_, wait) = till.order(5_000).await;
    let record = till.record(&till.staff("acc_a"), &wait, 5_000, "large").await.expect("recorded");
    let people: Vec<_> = (0..6).map(|at| till.staff(&format!("acc_{at}x"))).collect();
    for answer in futures::future::join_all(people.iter().map(|one| till.confirm(one, &record))).await {
        assert_eq!(answer.expect("confirmed").state, RecordState::Confirmed);
    }
    assert_eq!(till.balance("provider:bank_transfer").await, 5_000);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn what_a_key_recorded_needs_a_person_above_the_limit() {
    let till = till().await;
    let (_, wait) = till.order(5_000).await;
    let record = till.record(&till.key("key_1"), &wait, 5_000, "large").await.expect("recorded");
    assert!(till.confirm(&till.key("key_2"), &record).await.unwrap_err().is("PERSON_REQUIRED"));
    assert_eq!(till.confirm(&till.staff("acc_a"), &record).await.expect("confirmed").state, RecordState::Confirmed);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn a_record_that_waits_is_taken_back_without_a_booking_and_may_be_recorded_anew() {
    let till = till().await;
    let (_, wait) = till.order(5_000).await;
    let one = till.staff("acc_a");
    let record = till.record(&one, &wait, 5_000, "large").await.expect("recorded");
    let back = till.take_back(&one, &record).await.expect("taken back");
    assert_eq!((back.state, back.taken_back_by.as_str()), (RecordState::TakenBack, "acc_a"));
    assert_eq!((till.balance("provider:bank_transfer").await, till.tasks().await), (0, Vec::<String>::new()));
    assert_eq!(till.page(&wait).await.standing, Standing::Waiting);
    assert!(till.confirm(&till.staff("acc_b"), &record).await.unwrap_err().is("RECORD_TAKEN_BACK"));
    assert_eq!(till.take_back(&one, &record).await.expect("twice is once").state, RecordState::TakenBack);
    till.record(&one, &wait, 5_000, "large").await.expect("the same transfer, anew");
    till.world.assert_sound().await;
}

#[tokio::test]
async fn a_record_in_the_books_is_taken_back_by_a_booking_the_other_way_round() {
    let till = till().await;
    let (payment, wait) = till.order(1_000).await;
    let one = till.staff("acc_a");
    let record = till.record(&one, &wait, 1_000, "wrong").await.expect("recorded");
    let back = till.take_back(&one, &record).await.expect("taken back");
    assert_eq!(back.state, RecordState::TakenBack);
    assert_eq!(till.balance("provider:bank_transfer").await, 0);
    assert_eq!(till.take_back(&one, &record).await.expect("twice is once").state, RecordState::TakenBack);
    assert_eq!(till.balance("provider:bank_transfer").await, 0);
    assert_eq!(till.tasks().await, ["by_hand_taken_back"]);
    let invoice = till.world.invoice(payment.invoice).await;
    assert_eq!((invoice.state, invoice.refunded), (invoice::State::Closed, eur(1_000)));
    till.later().await;
    till.world.assert_sound().await;
}

#[tokio::test]
async fn what_was_refunded_is_not_taken_back_as_well() {
    let till = till().await;
    let (payment, wait) = till.order(1_000).await;
    let one = till.staff("acc_a");
    let record = till.record(&one, &wait, 1_000, "x").await.expect("recorded");
    let ask =
        Ask { payment: payment.id, invoice: None, amount: None, reason: "Not wanted".into(), policy: Policy::Keep };
    till.world.billing.refund_payment(&one, till.world.brand, ask, None).await.expect("asked for");
    assert!(till.take_back(&one, &record).await.unwrap_err().is("RECORD_REFUNDED"));
    assert_eq!(till.balance("provider:bank_transfer").await, 1_000);
    till.world.assert_sound().await;
}
