//! What the provider reports beside the books, daily and in both directions.

use billing::app::payment::ReconcileRun;
use billing::domain::payment::State;
use billing::domain::reconcile::{Difference, Kind};
use billing::domain::refund;
use billing::store;
use billing::store::reconcile::Stored;
use ottery_kernel::PaymentId;
use serde_json::{Value, json};

use crate::shop::{Shop, shop};
use crate::world::eur;

const GOOD: &str = "4242424242424242";

impl Shop {
    async fn sql(&self, statement: &str) {
        let sql = sqlx::AssertSqlSafe(statement.to_owned());
        sqlx::query(sql).execute(&self.world.database.admin_pool).await.expect("executed");
    }

    /// The next day comes: whatever is due is compared once.
    async fn next_day(&self) -> ReconcileRun {
        self.sql("UPDATE reconciliation_due SET due_at = now(), lease_until = '-infinity'").await;
        assert_eq!(self.world.billing.work_reconciliations().await.expect("worked"), 1);
        self.newest_run().await
    }

    async fn newest_run(&self) -> ReconcileRun {
        let page = store::Page { before: None, limit: 1 };
        self.world.billing.reconciliations(self.world.brand, page).await.expect("readable").remove(0)
    }

    async fn differing(&self) -> Vec<Stored> {
        let page = store::Page { before: None, limit: 50 };
        let found = self.world.billing.reconciliation_differences(self.world.brand, true, page).await;
        found.expect("readable")
    }

    /// Somebody else pays at the same account.
    async fn forged(&self, reference: &str, minor: i64) -> String {
        let page = self
            .api(
                "checkouts",
                json!({
                    "reference": reference, "amount": {"currency": "EUR", "minor": minor},
                    "success_url": "https://tv.example/a", "cancel_url": "https://tv.example/b",
                }),
            )
            .await;
        assert_eq!(self.card(page["url"].as_str().expect("a page"), GOOD).await, 303);
        let charges = self.look(&format!("payments/charges?reference={reference}")).await;
        charges["charges"][0]["id"].as_str().expect("paid").to_owned()
    }

    async fn asked_for(&self, action: &str) -> u64 {
        let stats: Value = self.look("counters").await;
        stats["payments"]["calls"][action].as_u64().unwrap_or(0)
    }
}

fn ended(run: &ReconcileRun) -> (bool, i32, i32) {
    (run.ended_at.is_some(), run.healed, run.differences)
}

#[tokio::test]
async fn a_day_on_which_both_sides_agree_is_a_row_and_no_task() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    assert_eq!(shop.world.billing.work_reconciliations().await.unwrap(), 1, "a new account is due");
    let run = shop.newest_run().await;
    assert_eq!(ended(&run), (true, 0, 0), "{run:?}");
    assert_eq!((run.rows_read, run.rows_ours, run.is_one_sided), (1, 1, false));
    assert_eq!((run.until - run.from).num_days(), 3);
    let total = run.totals[0];
    assert_eq!((total.kind, total.theirs, total.ours), (Kind::Payment, (1, 1299), (1, 1299)));
    assert_eq!(shop.count("reconciliation_row").await, 0, "what was read is not kept");
    assert!(shop.tasks().await.is_empty());
    // Tomorrow again, not before.
    assert_eq!(shop.world.billing.work_reconciliations().await.unwrap(), 0);
    shop.next_day().await;
    assert_eq!((shop.count("reconciliation").await, shop.payment(payment.id).await.state), (2, State::Succeeded));
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_057_fault_f16_a_payment_whose_event_was_lost_is_made_good() {
    let shop = shop().await;
    let (payment, page) = shop.order().await;
    // A refused try beside it is no difference.
    assert_eq!(shop.card(&page, "4000000000000002").await, 402);
    assert_eq!(shop.card(&page, GOOD).await, 303);
    assert_ne!(shop.payment(payment.id).await.state, State::Succeeded);
    let run = shop.next_day().await;
    assert_eq!(ended(&run), (true, 1, 0), "{run:?}");
    assert_eq!(shop.payment(payment.id).await.state, State::Succeeded);
    assert_eq!(shop.world.invoice(payment.invoice).await.paid, eur(1299));
    assert_eq!(run.totals[0].ours, (1, 1299));
    assert!(shop.tasks().await.is_empty() && shop.differing().await.is_empty());
    // The event at last changes nothing.
    shop.hear("payment.succeeded", payment.id).await;
    shop.drain().await;
    assert_eq!(ended(&shop.next_day().await), (true, 0, 0));
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_067_a_refund_made_at_the_provider_and_never_told_is_booked() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    shop.api("refunds", json!({"payment": payment.provider_ref, "amount": {"currency": "EUR", "minor": 300}})).await;
    let run = shop.next_day().await;
    assert_eq!(ended(&run), (true, 1, 0), "{run:?}");
    let refunds = shop.refunds_of(payment.id).await;
    assert_eq!((refunds.len(), refunds[0].state, refunds[0].amount), (1, refund::State::Succeeded, eur(300)));
    let total = run.totals.iter().find(|total| total.kind == Kind::Refund).expect("one");
    assert_eq!((total.theirs, total.ours), ((1, 300), (1, 300)));
    assert_eq!(ended(&shop.next_day().await), (true, 0, 0));
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn money_at_the_provider_that_is_not_ours_is_a_task_once_until_it_is_accepted_or_gone() {
    let shop = shop().await;
    let nobody = "pay_0192f0c1a2b37c4d8e5f60718293a4b5";
    let forged = shop.forged(nobody, 700).await;
    shop.forged("order-77", 100).await;
    shop.forged("order-78", 150).await;
    assert_eq!(ended(&shop.next_day().await), (true, 0, 3));
    let mut tasks = shop.tasks().await;
    tasks.sort();
    // What names nothing of ours may be another product's: one task for all of it.
    assert_eq!(tasks, ["reconciliation_foreign", "reconciliation_only_there"]);
    assert_eq!(ended(&shop.next_day().await), (true, 0, 3));
    assert_eq!((shop.tasks().await.len(), shop.count("reconciliation_difference").await), (2, 3));
    let differing = shop.differing().await;
    let claimed = differing.iter().find(|one| one.finding.ours == nobody).expect("found");
    assert_eq!((claimed.finding.difference, claimed.finding.reference.as_str()), (Difference::OnlyThere, &*forged));
    assert_eq!(claimed.finding.value(), Some(eur(700)));

    let owner = ottery_testkit::actor::owner(shop.world.brand);
    let accept =
        async |id, reason: &str| shop.world.billing.accept_difference(&owner, shop.world.brand, id, reason).await;
    assert_eq!(accept(claimed.id, " ").await.unwrap_err().reason, "REASON_INVALID");
    accept(claimed.id, "the till in the shop").await.expect("accepted");
    assert_eq!(shop.tasks().await, ["reconciliation_foreign"]);
    for one in differing.iter().filter(|one| one.finding.is_foreign()) {
        assert!(accept(one.id, "the other product").await.expect("accepted").accepted_reason.contains("product"));
    }
    assert!(shop.tasks().await.is_empty());
    // It is there tomorrow, and nobody is asked again.
    assert_eq!(ended(&shop.next_day().await), (true, 0, 3));
    assert!(shop.tasks().await.is_empty());
    let audited = "outbox WHERE convert_from(payload, 'LATIN1') LIKE '%reconciliation.accept%'";
    assert_eq!(shop.count(audited).await, 3);
}

#[tokio::test]
async fn an_amount_changed_in_the_books_is_found_with_what_is_in_question_and_closed_when_it_is_put_right() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    shop.sql("UPDATE payment SET received_minor = 1199 WHERE received_minor = 1299").await;
    assert_eq!(ended(&shop.next_day().await), (true, 0, 1));
    let found = shop.differing().await.remove(0);
    assert_eq!((found.finding.difference, found.finding.ours.clone()), (Difference::Amount, payment.id.to_string()));
    assert_eq!(found.finding.value(), Some(eur(100)));
    assert_eq!(shop.tasks().await, ["reconciliation_amount"]);
    let owner = ottery_testkit::actor::owner(shop.world.brand);
    shop.world.billing.accept_difference(&owner, shop.world.brand, found.id, "known").await.expect("accepted");
    assert!(shop.tasks().await.is_empty());
    // Another amount is another matter.
    shop.sql("UPDATE payment SET received_minor = 1099 WHERE received_minor = 1199").await;
    shop.next_day().await;
    assert_eq!(shop.tasks().await, ["reconciliation_amount"]);
    assert_eq!(shop.differing().await[0].id, found.id);

    shop.sql("UPDATE payment SET received_minor = 1299 WHERE received_minor = 1099").await;
    assert_eq!(ended(&shop.next_day().await), (true, 0, 0));
    assert!(shop.tasks().await.is_empty() && shop.differing().await.is_empty());
    assert_eq!(shop.count("reconciliation_difference WHERE closed_at IS NOT NULL").await, 1);
    let closed = shop.world.billing.accept_difference(&owner, shop.world.brand, found.id, "too late").await;
    assert_eq!(closed.unwrap_err().reason, "DIFFERENCE_CLOSED");
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn what_only_the_ledger_has_wrong_is_found_too() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    // A booking and a fee that nobody at the provider knows of.
    shop.sql(&format!(
        "INSERT INTO transfer (id, brand_id, entity_id, debit, credit, amount_minor, currency, state, kind, reference_id, booked_at)
         SELECT gen_random_uuid(), brand_id, entity_id, debit, credit, minor, currency, 'posted', 'test.mistake', reference_id, booked_at
           FROM transfer, (VALUES (5)) AS mistake (minor)
          WHERE reference_id = '{}' AND kind IN ('payment.settled', 'payment.fee')",
        payment.id
    ))
    .await;
    assert_eq!(ended(&shop.next_day().await), (true, 0, 2));
    let mut found: Vec<_> = shop.differing().await.into_iter().map(|one| one.finding).collect();
    found.sort_by_key(|finding| finding.difference);
    assert_eq!(
        (found[0].difference, found[0].theirs_amount, found[0].ours_amount),
        (Difference::Amount, Some(eur(1299)), Some(eur(1304)))
    );
    assert_eq!(
        (found[1].difference, found[1].theirs_amount, found[1].ours_amount),
        (Difference::Fee, Some(eur(44)), Some(eur(49)))
    );
}

#[tokio::test]
async fn a_payment_the_provider_does_not_know_is_found_after_it_was_asked_for_by_itself() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    shop.sql("UPDATE payment SET provider_ref = 'pay_of_nobody'").await;
    assert_eq!(ended(&shop.next_day().await), (true, 0, 2));
    assert!(shop.asked_for("payment.get").await > 0);
    let mut found: Vec<_> = shop.differing().await.into_iter().map(|one| one.finding).collect();
    found.sort_by_key(|finding| finding.difference);
    let short: Vec<_> = found.iter().map(|one| (one.difference, one.reference.as_str(), one.ours.as_str())).collect();
    let ours = payment.id.to_string();
    assert_eq!(
        short,
        [
            (Difference::OnlyThere, payment.provider_ref.as_str(), ours.as_str()),
            (Difference::OnlyHere, "pay_of_nobody", ours.as_str())
        ]
    );
    shop.sql(&format!("UPDATE payment SET provider_ref = '{}'", payment.provider_ref)).await;
    assert_eq!(ended(&shop.next_day().await), (true, 0, 0));
    assert!(shop.tasks().await.is_empty());
}

#[tokio::test]
async fn a_second_payment_for_the_same_order_is_for_staff_and_is_not_booked() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    shop.forged(&payment.id.to_string(), 1299).await;
    assert_eq!(ended(&shop.next_day().await), (true, 0, 1));
    assert_eq!(shop.tasks().await, ["reconciliation_only_there"]);
    assert_eq!(shop.world.invoice(payment.invoice).await.paid, eur(1299));
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn what_breaks_in_the_middle_goes_on_where_it_stopped() {
    let shop = shop().await;
    shop.paid_with(GOOD).await;
    shop.fault("refund.list", "http_503", 1).await;
    let broken = shop.next_day().await;
    assert_eq!(ended(&broken), (false, 0, 0));
    assert!(!broken.problem.is_empty());
    assert_eq!((shop.count("reconciliation_row").await, shop.asked_for("payment.list").await), (1, 1));
    let resumed = shop.next_day().await;
    assert_eq!((resumed.id, ended(&resumed)), (broken.id, (true, 0, 0)));
    assert_eq!(shop.asked_for("payment.list").await, 1, "what was read is not read again");
    assert!(resumed.problem.is_empty() && shop.tasks().await.is_empty());
}

#[tokio::test]
async fn every_page_is_read() {
    let shop = shop().await;
    let first = shop.paid_with(GOOD).await;
    let method = shop.look("payments/charges").await["charges"][0]["payment_method"].clone();
    for number in 0..120 {
        let body = json!({
            "reference": format!("other-{number}"), "amount": {"currency": "EUR", "minor": 100},
            "payment_method": method, "off_session": true,
        });
        assert_eq!(shop.api("charges", body).await["status"], "succeeded");
    }
    let run = shop.next_day().await;
    assert_eq!((run.rows_read, run.differences, ended(&run).0), (121, 120, true));
    assert_eq!((run.totals[0].theirs, run.totals[0].ours), ((121, 13_299), (1, 1_299)));
    assert_eq!((shop.asked_for("payment.list").await, shop.payment(first.id).await.state), (2, State::Succeeded));
    assert_eq!(shop.tasks().await, ["reconciliation_foreign"]);
}

#[tokio::test]
async fn a_report_that_cannot_be_read_is_a_task_until_it_can() {
    let shop = shop().await;
    shop.paid_with(GOOD).await;
    shop.sql("UPDATE provider_account SET base_url = 'http://127.0.0.1:1'").await;
    for _ in 0..2 {
        assert_eq!(ended(&shop.next_day().await), (false, 0, 0));
        assert!(shop.tasks().await.is_empty());
    }
    let run = shop.next_day().await;
    assert!(run.ended_at.is_none() && run.problem.contains("not reached"), "{run:?}");
    assert_eq!(shop.tasks().await, ["reconciliation"]);
    shop.sql(&format!("UPDATE provider_account SET base_url = 'http://{}'", shop.sandbox.addresses().payments)).await;
    assert_eq!(ended(&shop.next_day().await), (true, 0, 0));
    assert!(shop.tasks().await.is_empty());
}

#[tokio::test]
async fn refunds_that_cannot_be_read_are_left_out_and_the_payments_are_compared() {
    let shop = shop().await;
    shop.forged("order-77", 100).await;
    shop.fault("refund.list", "http_503", 3).await;
    for _ in 0..3 {
        assert!(shop.next_day().await.ended_at.is_none());
    }
    let run = shop.next_day().await;
    assert_eq!((ended(&run), run.left_out.contains(&Kind::Refund)), ((true, 0, 1), true));
    assert!(run.problem.contains("refunds were left out"), "{}", run.problem);
    let mut tasks = shop.tasks().await;
    tasks.sort();
    assert_eq!(tasks, ["reconciliation", "reconciliation_foreign"]);
    shop.next_day().await;
    assert_eq!(shop.tasks().await, ["reconciliation_foreign"]);
}

#[tokio::test]
async fn staff_asks_for_a_comparison_and_gets_the_one_that_is_under_way() {
    let shop = shop().await;
    shop.next_day().await;
    let owner = ottery_testkit::actor::owner(shop.world.brand);
    let account = shop.account.parse().expect("an id");
    let asked = shop.world.billing.ask_reconciliation(&owner, shop.world.brand, account).await.expect("asked");
    let again = shop.world.billing.ask_reconciliation(&owner, shop.world.brand, account).await.expect("asked");
    assert_eq!((asked.id, asked.ended_at), (again.id, None));
    assert_eq!(shop.world.billing.work_reconciliations().await.unwrap(), 1);
    let run = shop.newest_run().await;
    assert_eq!((run.id, run.asked_by.as_str(), run.ended_at.is_some()), (asked.id, owner.subject.as_str(), true));
    let unknown = billing::domain::provider::ProviderAccountId::fresh();
    let refused = shop.world.billing.ask_reconciliation(&owner, shop.world.brand, unknown).await.unwrap_err();
    assert_eq!(refused.reason, "PROVIDER_ACCOUNT_NOT_FOUND");
}

#[tokio::test]
async fn two_replicas_compare_an_account_once() {
    let shop = shop().await;
    let (payment, page) = shop.order().await;
    assert_eq!(shop.card(&page, GOOD).await, 303);
    let other = shop.world.billing.clone();
    let (one, two) = tokio::join!(shop.world.billing.work_reconciliations(), other.work_reconciliations());
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    assert_eq!(shop.count("reconciliation").await, 1);
    let id: PaymentId = payment.id;
    assert_eq!(shop.payment(id).await.state, State::Succeeded);
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn what_differed_before_is_looked_at_however_old_it_is() {
    let shop = shop().await;
    shop.paid_with(GOOD).await;
    shop.sql("UPDATE payment SET received_minor = 1199 WHERE received_minor = 1299").await;
    assert_eq!(ended(&shop.next_day().await), (true, 0, 1));
    let owner = ottery_testkit::actor::owner(shop.world.brand);
    // Days later no report names the payment any more.
    for (received, differences) in [(1199, 1), (1299, 0)] {
        shop.sql(&format!("UPDATE payment SET received_minor = {received}")).await;
        let account = shop.account.parse().expect("an id");
        shop.world.billing.ask_reconciliation(&owner, shop.world.brand, account).await.expect("asked");
        shop.sql("UPDATE reconciliation SET until_at = from_at + interval '1 second' WHERE ended_at IS NULL").await;
        let run = shop.next_day().await;
        assert_eq!((run.rows_read, ended(&run)), (0, (true, 0, differences)), "{run:?}");
        assert_eq!(shop.tasks().await.len(), usize::try_from(differences).unwrap());
    }
    assert!(shop.differing().await.is_empty());
}
