//! Money that goes back: a person sends it and says so.

use billing::app::refund::Ask;
use billing::domain::by_hand::RecordState;
use billing::domain::refund::{Policy, State};
use billing::store;
use billing::store::payment::Payment;
use billing::store::refund::Refund;

use super::till::{Till, till};

impl Till {
    async fn paid(&self, minor: i64) -> Payment {
        let (payment, wait) = self.order(minor).await;
        let record = self.record(&self.staff("acc_a"), &wait, minor, "in").await.expect("recorded");
        self.confirm(&self.staff("acc_b"), &record).await.expect("confirmed");
        payment
    }

    async fn refund(&self, payment: &Payment) -> Refund {
        let ask =
            Ask { payment: payment.id, invoice: None, amount: None, reason: "Not wanted".into(), policy: Policy::Keep };
        let refund =
            self.world.billing.refund_payment(&self.staff("acc_a"), self.world.brand, ask, None).await.expect("asked");
        self.later().await;
        self.stored(refund).await
    }

    async fn stored(&self, refund: Refund) -> Refund {
        let mut tx = self.world.tx().await;
        store::refund::get(&mut tx, refund.id).await.expect("readable").expect("there")
    }
}

#[tokio::test]
async fn case_065_a_refund_waits_for_a_person_and_is_booked_when_they_have_sent_it() {
    let till = till().await;
    let payment = till.paid(1_000).await;
    let refund = till.refund(&payment).await;
    assert_eq!((refund.state, till.tasks().await), (State::Pending, vec!["by_hand_refund".to_owned()]));
    let waiting = till.world.billing.payouts(till.world.brand).await.expect("listed");
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].refund.id, waiting[0].sender.as_str()), (refund.id, "Ada Lovelace, GB29NWBK60161331926819"));
    assert_eq!(till.balance("provider:bank_transfer").await, 1_000, "nothing has left yet");

    let one = till.staff("acc_a");
    let wrong = till.record_payout(&one, refund.id, 999, "out").await.unwrap_err();
    assert_eq!(wrong.field.as_deref(), Some("amount"));
    let record = till.record_payout(&one, refund.id, 1_000, "out").await.expect("recorded");
    assert_eq!(record.state, RecordState::Confirmed);
    let refund = till.stored(refund).await;
    assert_eq!(refund.state, State::Succeeded);
    assert!(refund.credit_note.is_some());
    assert_eq!((till.balance("provider:bank_transfer").await, till.tasks().await), (0, Vec::<String>::new()));
    assert!(till.record_payout(&one, refund.id, 1_000, "out again").await.unwrap_err().is("REFUND_NOT_WAITING"));
    till.later().await;
    till.world.assert_sound().await;
}

#[tokio::test]
async fn a_large_refund_needs_two_people_and_is_recorded_once() {
    let till = till().await;
    let payment = till.paid(5_000).await;
    let refund = till.refund(&payment).await;
    let one = till.staff("acc_a");
    let record = till.record_payout(&one, refund.id, 5_000, "out").await.expect("recorded");
    assert_eq!((record.state, till.stored(refund.clone()).await.state), (RecordState::Waiting, State::Pending));
    assert!(till.record_payout(&one, refund.id, 5_000, "out again").await.unwrap_err().is("RECORD_EXISTS"));
    assert!(till.confirm(&one, &record).await.unwrap_err().is("SECOND_PERSON_REQUIRED"));
    till.confirm(&till.staff("acc_b"), &record).await.expect("confirmed");
    assert_eq!(till.stored(refund).await.state, State::Succeeded);
    assert_eq!(till.balance("provider:bank_transfer").await, 0);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_068_a_refund_that_came_back_days_later_is_ours_to_give_again() {
    let till = till().await;
    let payment = till.paid(1_000).await;
    let refund = till.refund(&payment).await;
    let one = till.staff("acc_a");
    let record = till.record_payout(&one, refund.id, 1_000, "out").await.expect("recorded");
    let back = till.take_back(&one, &record).await.expect("taken back");
    assert_eq!(back.state, RecordState::TakenBack);
    assert_eq!((till.balance("provider:bank_transfer").await, till.balance("unapplied").await), (1_000, -1_000));
    assert_eq!(till.tasks().await, ["refund_failed"]);
    till.world.assert_sound().await;
}
