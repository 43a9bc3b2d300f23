//! Payments whose webhook never came.

use billing::domain::payment::State;
use chrono::TimeDelta;
use ottery_kernel::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::till::{GOOD, Till, till};
use crate::world::eur;

impl Till {
    /// Something happened so many minutes ago, and no webhook tells.
    fn happened(&self, kind: &str, object: Value, minutes_ago: i64) -> String {
        let mut event = self.event(kind, object);
        event["created"] = json!((SystemClock.now() - TimeDelta::minutes(minutes_ago)).timestamp());
        let id = event["id"].as_str().unwrap().to_owned();
        self.front.happened(event);
        id
    }

    /// Looks for events, and applies what was found.
    async fn look(&self) {
        sqlx::query("UPDATE provider_poll SET due_at = now()").execute(&self.world.database.admin_pool).await.unwrap();
        while self.world.billing.work_polls().await.unwrap() > 0 {}
        self.drain().await;
    }

    async fn cursor(&self) -> String {
        sqlx::query_scalar("SELECT cursor FROM provider_poll").fetch_one(&self.world.database.admin_pool).await.unwrap()
    }
}

#[tokio::test]
async fn a_payment_whose_webhook_is_lost_is_found_once() {
    let till = till().await;
    let payment = till.order().await;
    assert_eq!(till.front.card(&payment.checkout_ref, GOOD).await, 303);
    till.drain().await;
    assert_ne!(till.payment(payment.id).await.state, State::Succeeded);

    let page = till.front.session(&payment.checkout_ref);
    till.happened("customer.created", json!({"id": "cus_1"}), 3);
    till.happened("checkout.session.completed", page.clone(), 2);
    till.look().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    assert_eq!(till.world.invoice(payment.invoice).await.paid, eur(1299));
    // What is none of our business is not kept.
    assert_eq!(till.count("provider_event").await, 1);

    // It is young and read again, and its webhook comes late after all.
    till.look().await;
    till.tell("checkout.session.completed", page).await.unwrap();
    till.drain().await;
    assert_eq!((till.count("provider_event").await, till.count("provider_event_due").await), (2, 0));
    assert_eq!(till.world.invoice(payment.invoice).await.paid, eur(1299));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn every_page_is_read_and_what_is_settled_is_not_read_again() {
    let till = till().await;
    let about = |number: i32| json!({"id": format!("pi_{number}"), "metadata": {}});
    till.happened("payment_intent.succeeded", about(0), 60);
    till.look().await;
    for number in 1..=7 {
        till.happened("payment_intent.succeeded", about(number), 30);
    }
    let settled = till.happened("payment_intent.succeeded", about(8), 20);
    till.happened("payment_intent.succeeded", about(9), 1);
    till.look().await;
    assert_eq!(till.count("provider_event").await, 10);
    assert_eq!(till.cursor().await, settled);
    till.look().await;
    assert_eq!(till.count("provider_event").await, 10);
    let asked = till.front.seen("GET /v1/events");
    assert!(asked.last().unwrap().path.ends_with(&format!("ending_before={settled}")), "{asked:?}");

    // The provider forgets events after a while; whoever was away for so long begins anew.
    till.front.forget_events(9);
    till.look().await;
    till.happened("payment_intent.succeeded", about(10), 1);
    till.look().await;
    assert_eq!(till.count("provider_event").await, 11);
    assert!(till.tasks().await.is_empty());
}

#[tokio::test]
async fn a_key_that_may_not_read_events_is_a_task_until_it_may() {
    let till = till().await;
    for status in [403, 503, 403] {
        assert!(till.tasks().await.is_empty());
        till.front.fault("GET /v1/events", status, false);
        till.look().await;
    }
    assert_eq!(till.tasks().await, ["provider_poll"]);
    till.look().await;
    assert!(till.tasks().await.is_empty());
}
