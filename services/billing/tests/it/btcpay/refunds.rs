//! Refunds at BTCPay Server: pull payments the customer claims.

use billing::app::refund::Ask;
use billing::domain::refund::{Policy, State};
use billing::store::refund::Refund;
use ottery_kernel::{Money, PaymentId};
use ottery_kit::grpc::Problem;
use serde_json::{Value, json};

use super::till::{SECRET, Till, till};
use crate::world::eur;

const REFUND: &str = "POST /api/v1/stores/Store1/invoices/";

impl Till {
    async fn give_back(&self, payment: PaymentId, amount: Option<Money>) -> Result<Refund, Problem> {
        let ask = Ask { payment, invoice: None, amount, reason: "As asked".into(), policy: Policy::Keep };
        let owner = ottery_testkit::actor::owner(self.world.brand);
        self.world.billing.refund_payment(&owner, self.world.brand, ask, None).await
    }

    /// BTCPay Server tells of a claim.
    async fn tell_payout(&self, kind: &str, pull: &str) {
        let id = format!("D{}", uuid::Uuid::now_v7().simple());
        let event = json!({"deliveryId": id, "webhookId": "W1", "originalDeliveryId": id, "isRedelivery": false, "type": kind,
            "timestamp": 1_592_312_018, "payoutId": format!("Payout-{pull}"), "pullPaymentId": pull,
            "payoutState": "Completed"});
        assert_eq!(super::schema::webhook_fault(kind, &event), None);
        self.world.billing.ingest_webhook(&self.webhook(&event, SECRET)).await.expect("taken in");
        self.drain().await;
    }

    fn pulls(&self) -> Vec<Value> {
        self.stub.held(|held| held.pulls.values().cloned().collect())
    }
}

#[tokio::test]
async fn case_065_and_066_a_refund_waits_for_its_claim_and_never_more_than_came_goes_back() {
    for is_told in [true, false] {
        let till = till().await;
        let payment = till.paid().await;
        till.give_back(payment.id, Some(eur(300))).await.unwrap();
        till.drain().await;
        let waiting = till.refunds_of(payment.id).await.remove(0);
        assert_eq!(waiting.state, State::Pending);
        let (kind, text) = till.task_texts().await.remove(0);
        let link = format!("{}/pull-payments/{}", till.base_url(), waiting.provider_ref);
        assert!(kind == "refund_claim" && text.contains(&link), "{kind}: {text}");
        assert_eq!(till.pulls()[0]["amount"], "3.00");
        assert_eq!(till.give_back(payment.id, Some(eur(1000))).await.unwrap_err().reason, "REFUND_TOO_LARGE");
        for state in ["AwaitingApproval", "AwaitingPayment", "InProgress"] {
            till.stub.claims(&waiting.provider_ref, "3.00", state);
            till.later().await;
            assert_eq!(till.refunds_of(payment.id).await[0].state, State::Pending, "{state}");
        }
        till.stub.claims(&waiting.provider_ref, "3.00", "Completed");
        if is_told {
            till.tell_payout("PayoutUpdated", &waiting.provider_ref).await;
        } else {
            till.later().await;
        }
        assert_eq!(till.refunds_of(payment.id).await[0].state, State::Succeeded, "{is_told}");
        assert!(till.tasks().await.is_empty(), "{:?}", till.tasks().await);
        till.stub.assert_described();
        till.world.assert_sound().await;
    }
}

#[tokio::test]
async fn fault_f16_a_refund_whose_answer_is_lost_is_found_by_our_id_and_made_once() {
    let till = till().await;
    let payment = till.paid().await;
    till.give_back(payment.id, Some(eur(300))).await.unwrap();
    till.lose_answers();
    till.drain().await;
    assert_eq!(till.refunds_of(payment.id).await[0].state, State::Unknown);
    till.good_weather();
    till.later().await;
    assert_eq!(till.refunds_of(payment.id).await[0].state, State::Pending);
    assert_eq!(till.pulls().len(), 1);
    till.stub.assert_described();
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_059_a_refund_that_is_not_there_yet_is_not_made_again_at_once() {
    let till = till().await;
    let payment = till.paid().await;
    till.give_back(payment.id, Some(eur(300))).await.unwrap();
    till.stub.fault(REFUND, 504, false);
    till.drain().await;
    assert_eq!(till.refunds_of(payment.id).await[0].state, State::Unknown);
    // A moment later the first call may be on its way still.
    sqlx::query("UPDATE errand SET due_at = now(), lease_until = '-infinity'")
        .execute(&till.world.database.admin_pool)
        .await
        .unwrap();
    till.world.billing.work_errands().await.unwrap();
    assert_eq!((till.refunds_of(payment.id).await[0].state, till.stub.seen(REFUND).len()), (State::Unknown, 1));
    till.later().await;
    assert_eq!(till.refunds_of(payment.id).await[0].state, State::Pending);
    assert_eq!((till.stub.seen(REFUND).len(), till.pulls().len()), (2, 1));
}

#[tokio::test]
async fn case_067_a_refund_made_at_btcpay_server_is_mirrored() {
    let till = till().await;
    let payment = till.paid().await;
    till.stub.held(|held| {
        let made = json!({"id": "Pull77", "name": format!("Refund {}", payment.checkout_ref), "description": "",
            "currency": "EUR", "amount": "2.00", "autoApproveClaims": false, "archived": false, "viewLink": "x"});
        held.pulls.insert("Pull77".into(), made)
    });
    till.stub.claims("Pull77", "2.00", "AwaitingPayment");
    till.tell_payout("PayoutCreated", "Pull77").await;
    assert_eq!(till.refunds_of(payment.id).await[0].state, State::Pending);
    till.stub.claims("Pull77", "2.00", "Completed");
    till.tell_payout("PayoutUpdated", "Pull77").await;
    let refunds = till.refunds_of(payment.id).await;
    assert_eq!((refunds.len(), refunds[0].state, refunds[0].amount), (1, State::Succeeded, eur(200)));
    till.stub.assert_described();
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_068_a_refund_nobody_claimed_and_that_was_archived_failed() {
    let till = till().await;
    let payment = till.paid().await;
    till.give_back(payment.id, None).await.unwrap();
    till.drain().await;
    let pull = till.refunds_of(payment.id).await[0].provider_ref.clone();
    till.stub.held(|held| held.pulls.get_mut(&pull).unwrap()["archived"] = json!(true));
    till.later().await;
    assert_eq!(till.refunds_of(payment.id).await[0].state, State::Failed);
    assert_eq!(till.tasks().await, ["refund_failed"]);
    till.give_back(payment.id, None).await.expect("the money is there to be given back again");
    till.world.assert_sound().await;
}

#[tokio::test]
async fn what_came_later_is_given_back_by_the_same_invoice() {
    let till = till().await;
    let payment = till.order().await;
    let invoice = payment.checkout_ref.clone();
    till.stub.stands(&invoice, "Expired", "PaidPartial", "5.00");
    till.stub.sends(&invoice, &[("0.00005", "Settled")]);
    till.later().await;
    till.stub.stands(&invoice, "Expired", "PaidLate", "12.99");
    till.later().await;
    let later = till.payments_of(&payment).await.remove(1);
    till.give_back(later.id, None).await.unwrap();
    till.drain().await;
    let refund = till.refunds_of(later.id).await.remove(0);
    assert_eq!((refund.state, refund.amount), (State::Pending, eur(799)));
    assert_eq!(till.pulls()[0]["name"], format!("Refund {invoice}~2"));
    till.stub.claims(&refund.provider_ref, "7.99", "Completed");
    till.later().await;
    assert_eq!(till.refunds_of(later.id).await[0].state, State::Succeeded);
    till.stub.assert_described();
    till.world.assert_sound().await;
}
