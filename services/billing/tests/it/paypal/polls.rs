//! What no webhook told.

use billing::domain::dispute::State as DisputeState;
use billing::domain::payment::State;
use billing::store;
use chrono::{SecondsFormat, TimeDelta};
use ottery_kernel::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::till::{Till, till};

impl Till {
    /// Something happened so many minutes ago, and no webhook tells.
    fn happened(&self, kind: &str, resource: &Value, minutes_ago: i64) -> String {
        let id = format!("WH-{}", uuid::Uuid::now_v7().simple());
        let at = (SystemClock.now() - TimeDelta::minutes(minutes_ago)).to_rfc3339_opts(SecondsFormat::Millis, true);
        let event =
            json!({"id": id, "create_time": at, "event_version": "1.0", "event_type": kind, "resource": resource});
        self.stub.held(|held| held.events.push(event));
        id
    }

    /// Looks for events, and applies what was found.
    async fn look(&self) {
        sqlx::query("UPDATE provider_poll SET due_at = now()").execute(&self.world.database.admin_pool).await.unwrap();
        while self.world.billing.work_polls().await.unwrap() > 0 {}
        self.drain().await;
    }

    async fn cursor(&self) -> String {
        let cursor = "SELECT cursor FROM provider_poll WHERE cursor <> ''";
        sqlx::query_scalar(cursor).fetch_one(&self.world.database.admin_pool).await.unwrap()
    }
}

#[tokio::test]
async fn case_057_a_dispute_whose_webhook_is_lost_is_found_once() {
    let till = till().await;
    let payment = till.paid().await;
    let amount = json!({"currency_code": "EUR", "value": "12.99"});
    let dispute = json!({"dispute_id": "PP-D-1", "status": "OPEN", "reason": "UNAUTHORISED", "dispute_amount": amount,
        "dispute_life_cycle_stage": "CHARGEBACK",
        "disputed_transactions": [{"seller_transaction_id": payment.provider_ref}]});
    till.stub.held(|held| held.disputes.insert("PP-D-1".into(), dispute.clone()));
    let kept = till.count("provider_event").await;
    till.happened("CUSTOMER.DISPUTE.CREATED", &dispute, 2);
    till.happened("BILLING.PLAN.CREATED", &json!({"id": "P-1"}), 1);
    till.look().await;
    let mut tx = till.world.tx().await;
    let page = store::Page { before: None, limit: 5 };
    let known = store::dispute::list(&mut tx, None, page).await.unwrap();
    assert_eq!(known.iter().map(|dispute| dispute.state).collect::<Vec<_>>(), [DisputeState::NeedsResponse]);
    drop(tx);
    // It is young and read again; what is none of our business is not kept.
    till.look().await;
    assert_eq!(till.count("provider_event").await, kept + 1);
    till.stub.assert_described();
    till.world.assert_sound().await;
}

#[tokio::test]
async fn every_answer_of_the_list_is_read_and_what_is_settled_is_not_read_again() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.approve(&payment.checkout_ref);
    let about = |number: i32| json!({"id": format!("C{number}"), "custom_id": "shop-7"});
    till.happened("PAYMENT.CAPTURE.COMPLETED", &about(0), 60);
    till.look().await;
    // Among others of the shop, and of several answers in the last one.
    till.happened("CHECKOUT.ORDER.APPROVED", &till.stub.order(&payment.checkout_ref), 40);
    for number in 1..=5 {
        till.happened("PAYMENT.CAPTURE.COMPLETED", &about(number), 30);
    }
    let settled = till.happened("PAYMENT.CAPTURE.COMPLETED", &about(6), 20);
    till.happened("PAYMENT.CAPTURE.COMPLETED", &about(7), 1);
    till.look().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    assert_eq!((till.count("provider_event").await, till.cursor().await), (9, settled));
    let asked = till.stub.seen("GET /v1/notifications/webhooks-events").len();
    till.look().await;
    let again = till.stub.seen("GET /v1/notifications/webhooks-events").len() - asked;
    assert_eq!((till.count("provider_event").await, again), (9, 2), "the event it begins with, and one answer");
    // PayPal forgets events after a while; whoever was away for so long begins anew.
    till.stub.held(|held| held.events.clear());
    till.look().await;
    till.happened("PAYMENT.CAPTURE.COMPLETED", &about(8), 1);
    till.look().await;
    assert_eq!(till.count("provider_event").await, 10);
    assert!(till.tasks().await.is_empty());
}

#[tokio::test]
async fn case_057_more_events_than_are_read_at_a_time_are_read_in_windows_of_time() {
    let till = till().await;
    let about = |number: i32| json!({"id": format!("C{number}"), "custom_id": "shop-7"});
    till.happened("PAYMENT.CAPTURE.COMPLETED", &about(0), 600);
    till.look().await;
    // The stub tells two in an answer, of which forty are read: eighty are too many. Nothing happened for hours, then much within
    // one.
    let mut last = String::new();
    for number in 1..=200 {
        last = till.happened("PAYMENT.CAPTURE.COMPLETED", &about(number), i64::from(220 - number) / 2 + 20);
    }
    till.look().await;
    assert_eq!((till.count("provider_event").await, till.cursor().await), (201, last));
    let windows = till.stub.held(|held| held.windows);
    assert!(windows > 0, "it was asked until some time");
    assert!(till.tasks().await.is_empty(), "{:?}", till.tasks().await);
}
