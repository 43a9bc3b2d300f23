//! What Stripe reports beside the books.

use billing::app::payment::ReconcileRun;
use billing::domain::dispute::State as DisputeState;
use billing::domain::payment::State;
use billing::domain::reconcile::Kind;
use billing::domain::refund;
use billing::store;
use serde_json::json;

use super::till::{GOOD, Till, till};
use crate::world::eur;

impl Till {
    /// The next day comes.
    async fn next_day(&self) -> ReconcileRun {
        let due = "UPDATE reconciliation_due SET due_at = now(), lease_until = '-infinity'";
        sqlx::query(due).execute(&self.world.database.admin_pool).await.expect("due");
        assert_eq!(self.world.billing.work_reconciliations().await.expect("worked"), 1);
        let page = store::Page { before: None, limit: 1 };
        self.world.billing.reconciliations(self.world.brand, page).await.expect("readable").remove(0)
    }
}

#[tokio::test]
async fn lost_events_of_payments_refunds_and_objections_are_made_good_over_several_pages() {
    let till = till().await;
    let mut paid = Vec::new();
    for _ in 0..4 {
        paid.push(till.paid_with(GOOD).await);
    }
    let unheard = till.order().await;
    assert_eq!(till.front.card(&unheard.checkout_ref, GOOD).await, 303);
    // In Stripe's dashboard, without a word to us.
    till.front.post("/v1/refunds", &[("payment_intent", &paid[0].provider_ref), ("amount", "300")]).await;
    let taken = json!([{"amount": -1299, "fee": 1500, "currency": "eur"}]);
    till.front.dispute("dp_1", &paid[1].provider_ref, "lost", taken);

    let run = till.next_day().await;
    assert_eq!((run.ended_at.is_some(), run.differences, run.healed), (true, 0, 3), "{run:?}");
    assert_eq!(till.payment(unheard.id).await.state, State::Succeeded);
    assert_eq!(till.world.invoice(unheard.invoice).await.paid, eur(1299));
    let refunds = till.refunds_of(paid[0].id).await;
    assert_eq!((refunds.len(), refunds[0].state, refunds[0].amount), (1, refund::State::Succeeded, eur(300)));
    let mut tx = till.world.tx().await;
    let page = store::Page { before: None, limit: 5 };
    let disputes = store::dispute::list(&mut tx, Some(paid[1].id), page).await.expect("readable");
    assert_eq!((disputes.len(), disputes[0].state), (1, DisputeState::Lost));
    drop(tx);
    let moved: Vec<_> = run.totals.iter().map(|total| (total.kind, total.theirs, total.ours)).collect();
    assert_eq!(
        moved,
        [
            (Kind::Payment, (5, 6495), (5, 6495)),
            (Kind::Refund, (1, 300), (1, 300)),
            (Kind::Dispute, (1, 1299), (1, 1299))
        ]
    );
    // Two pages of payments, and each asked for what Stripe keeps of them.
    let asked = till.front.seen("GET /v1/payment_intents");
    let reports: Vec<_> = asked.iter().filter(|seen| seen.path.contains("created%5Bgte%5D")).collect();
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(|seen| seen.path.contains("data.latest_charge.balance_transaction")));
    assert!(reports[1].path.contains("starting_after="));
    let second = till.next_day().await;
    assert_eq!((second.differences, second.healed), (0, 0));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn a_key_that_may_not_list_disputes_leaves_them_out_with_a_task() {
    let till = till().await;
    till.paid_with(GOOD).await;
    for _ in 0..3 {
        till.front.fault("GET /v1/disputes", 403, false);
        assert!(till.next_day().await.ended_at.is_none());
    }
    let run = till.next_day().await;
    assert_eq!(
        (run.ended_at.is_some(), run.left_out.as_slice(), run.differences),
        (true, [Kind::Dispute].as_slice(), 0)
    );
    assert_eq!(till.tasks().await, ["reconciliation"]);
    assert!(till.next_day().await.left_out.is_empty());
    assert!(till.tasks().await.is_empty());
}
