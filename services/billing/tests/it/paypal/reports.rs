//! What PayPal can be asked beside the books: it lists disputes alone, so that payments are asked for one by one.

use billing::app::payment::ReconcileRun;
use billing::domain::reconcile::Kind;
use billing::store;
use serde_json::json;

use super::till::{Till, till};
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
async fn our_payments_are_asked_for_one_by_one_and_the_run_says_so() {
    let till = till().await;
    let payment = till.paid().await;
    let open = till.order().await;
    let up = format!("https://api-m.paypal.com/v2/payments/captures/{}", payment.provider_ref);
    let refund = json!({"id": "R77", "status": "COMPLETED", "amount": {"currency_code": "EUR", "value": "2.00"},
        "links": [{"href": up, "rel": "up", "method": "GET"}]});
    till.stub.held(|held| {
        let order = held.orders.get_mut(&payment.checkout_ref).unwrap();
        order["purchase_units"][0]["payments"]["refunds"] = json!([refund]);
    });
    // Nobody tells of the refund.
    let run = till.next_day().await;
    assert!(run.is_one_sided && run.left_out.is_empty(), "{run:?}");
    assert_eq!((run.ended_at.is_some(), run.healed, run.differences), (true, 1, 0), "{run:?}");
    let mut tx = till.world.tx().await;
    let refunds = store::refund::of_payment(&mut tx, payment.id).await.expect("readable");
    drop(tx);
    assert_eq!((refunds.len(), refunds[0].amount), (1, eur(200)));
    assert_eq!(till.payment(open.id).await.checkout_ref, open.checkout_ref);
    let moved: Vec<_> = run.totals.iter().map(|total| (total.kind, total.theirs, total.ours)).collect();
    assert_eq!(moved, [(Kind::Payment, (1, 1299), (1, 1299)), (Kind::Refund, (1, 200), (1, 200))]);
    till.world.assert_sound().await;

    // What was changed in the books is found against what PayPal says of that payment.
    let change = "UPDATE payment SET received_minor = 1298 WHERE received_minor = 1299";
    sqlx::query(change).execute(&till.world.database.admin_pool).await.unwrap();
    assert_eq!(till.next_day().await.differences, 1);
    assert_eq!(till.tasks().await, ["reconciliation_amount"]);
}

#[tokio::test]
async fn disputes_are_listed_page_by_page_and_those_of_nobody_are_one_task() {
    let till = till().await;
    let amount = json!({"currency_code": "EUR", "value": "5.00"});
    for id in ["PP-D-1", "PP-D-2", "PP-D-3"] {
        let dispute = json!({"dispute_id": id, "status": "UNDER_REVIEW", "reason": "UNAUTHORISED", "dispute_amount": amount,
            "dispute_life_cycle_stage": "CHARGEBACK", "disputed_transactions": [{"seller_transaction_id": "OTHERS"}]});
        till.stub.held(|held| held.disputes.insert(id.into(), dispute));
    }
    let run = till.next_day().await;
    assert_eq!((run.ended_at.is_some(), run.rows_read, run.differences), (true, 3, 3), "{run:?}");
    assert_eq!(till.tasks().await, ["reconciliation_foreign"]);
}
