//! Keys that spend credits: nothing is bought twice, and an empty purse only waits.

use ottery_proto::billing::v1::entitlement_changed::Wanted;
use ottery_proto::provisioning::v1::service::Step;
use serde_json::json;

use crate::world::{Subscription, World, days};

async fn credits(world: &World) -> f64 {
    let panel = world.look("panels/SANDBOX1").await;
    let users = panel["users"].as_array().unwrap().clone();
    users.iter().find(|user| user["id"] == 2).unwrap()["credits"].as_f64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_f16_a_lost_purchase_is_paid_once() {
    let world = World::new().await;
    world.reseller_panel().await;
    let before = credits(&world).await;
    world.fault("create_line", "drop_after_apply", 1).await;
    let (mut subscription, service) = world.ready().await;
    assert!(world.plays(&world.credentials(&service).await).await);
    let price = before - credits(&world).await;
    assert!(price > 0.0);
    assert_eq!(world.lines().await.len(), 1);

    // A lost renewal: expiry and credits moved once.
    world.fault("edit_line", "drop_after_apply", 1).await;
    subscription.until += days(31);
    world.want(&mut subscription, Wanted::Active).await;
    world.until(&subscription, Step::Ready).await;
    assert!((before - credits(&world).await - 2.0 * price).abs() < 1e-9, "paid twice");

    // A renewal that never arrived is bought again, once.
    world.fault("edit_line", "drop_before_apply", 1).await;
    subscription.until += days(31);
    world.want(&mut subscription, Wanted::Active).await;
    world.until(&subscription, Step::Ready).await;
    assert!((before - credits(&world).await - 3.0 * price).abs() < 1e-9);

    // A longer grace buys nothing.
    subscription.until += days(3);
    world.want(&mut subscription, Wanted::Active).await;
    world.until(&subscription, Step::Ready).await;
    assert!((before - credits(&world).await - 3.0 * price).abs() < 1e-9);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_092_out_of_credits_waits_and_goes_on_after_a_top_up() {
    let world = World::new().await;
    world.reseller_panel().await;
    world.control("panels/SANDBOX1/credits", json!({ "user": 2, "credits": 0 })).await;
    let mut subscriptions: Vec<_> = (0..3).map(|_| Subscription::new()).collect();
    for subscription in &mut subscriptions {
        world.want(subscription, Wanted::Active).await;
    }
    for subscription in &subscriptions {
        world.until(subscription, Step::Waiting).await;
    }
    assert!(world.lines().await.is_empty());
    world.control("panels/SANDBOX1/credits", json!({ "user": 2, "credits": 50 })).await;
    for subscription in &subscriptions {
        world.until(subscription, Step::Ready).await;
    }
    assert_eq!(world.lines().await.len(), 3);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_092_an_order_goes_to_another_panel_when_one_is_out_of_credits() {
    let world = World::new().await;
    let dry = world.reseller_panel().await;
    world.control("panels/SANDBOX1/credits", json!({ "user": 2, "credits": 0 })).await;
    let mut first = Subscription::new();
    world.want(&mut first, Wanted::Active).await;
    world.until(&first, Step::Waiting).await;
    let other = world.admin_panel().await;
    let service = world.until(&first, Step::Ready).await;
    assert_eq!(service.panel_id, other.id);
    assert_ne!(service.panel_id, dry.id);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_orders_on_one_reseller_key_lose_no_charge() {
    let world = World::new().await;
    world.reseller_panel().await;
    let before = credits(&world).await;
    // What a racy panel reads before its latency it writes after it.
    world.control("panels/SANDBOX1/settings", json!({ "racy": true, "latency_ms": 10 })).await;
    let mut subscriptions: Vec<_> = (0..10).map(|_| Subscription::new()).collect();
    for subscription in &mut subscriptions {
        world.want(subscription, Wanted::Active).await;
    }
    for subscription in &subscriptions {
        world.until(subscription, Step::Ready).await;
    }
    let charged = world.effects("create_line").await;
    let each = before - credits(&world).await;
    assert_eq!(charged.len(), 10);
    assert!((each / 10.0).fract() < 1e-9 && each >= 10.0 * 0.5, "{each} credits for ten lines");
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reseller_key_locks_no_line_to_a_country_and_a_person_knows() {
    let world = World::new().await;
    world.reseller_panel().await;
    let mut ada = Subscription::locked("DE", 1);
    world.want(&mut ada, Wanted::Active).await;
    let service = world.until(&ada, Step::Ready).await;
    let line = world.lines().await[0].clone();
    assert_eq!(line["forced_country"], "");
    assert_eq!(world.tasks().await[0].kind, "country_lock");
    // Set by hand, it holds, and staff has it looked at.
    world.control(&format!("panels/SANDBOX1/lines/{}", line["id"]), json!({ "forced_country": "DE" })).await;
    let retry = ottery_proto::provisioning::v1::RetryServiceRequest { service_id: service.id.clone() };
    world.staff().retry_service(retry).await.unwrap();
    let started = std::time::Instant::now();
    while !world.calls(&service).await.iter().any(|call| call.action == "read_back") {
        assert!(started.elapsed().as_secs() < 15, "nobody looks");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(world.tasks().await.is_empty());
    world.inv().await;
}
