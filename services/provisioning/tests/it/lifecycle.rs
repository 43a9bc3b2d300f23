//! The life of a service on a healthy panel.

use ottery_proto::billing::v1::entitlement_changed::Wanted;
use ottery_proto::provisioning::v1::ServiceChanged;
use ottery_proto::provisioning::v1::service::Step;
use serde_json::json;

use crate::world::{Subscription, World, country_lock, days};

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_subscription_plays_and_is_told_once() {
    let world = World::new().await;
    world.admin_panel().await;
    let (subscription, service) = world.ready().await;
    let credentials = world.credentials(&service).await;
    assert!(world.plays(&credentials).await);
    assert_eq!(service.expires_at.unwrap().seconds, subscription.until.timestamp(), "case 101: the same instant");
    assert_eq!((service.connections, service.sandbox), (2, true));
    assert!(credentials.playlist_url.starts_with(&credentials.server_url));
    let events = world.events.wait_for("provisioning.service.changed.v1", 2).await;
    let told: Vec<ServiceChanged> = events.iter().map(ottery_testkit::payload).collect();
    let steps: Vec<_> = told.iter().map(|event| event.service.as_ref().unwrap().step()).collect();
    assert_eq!(steps, [Step::Creating, Step::Ready]);
    assert_eq!(told.iter().map(|event| event.first_ready).collect::<Vec<_>>(), [false, true]);
    assert_eq!(told[1].email, "ada@example.org");
    let lines = world.lines().await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["bouquet"], "[1,2]");
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renewal_suspension_return_and_end() {
    let world = World::new().await;
    world.admin_panel().await;
    let (mut subscription, service) = world.ready().await;
    let credentials = world.credentials(&service).await;

    subscription.until += days(31);
    world.want(&mut subscription, Wanted::Active).await;
    let renewed = world.until(&subscription, Step::Ready).await;
    assert_eq!(renewed.expires_at.unwrap().seconds, subscription.until.timestamp());

    let line_id = world.lines().await[0]["id"].as_i64().unwrap();
    world
        .control("panels/SANDBOX1/connections", json!({ "line_id": line_id, "stream_id": 101, "ip": "198.51.100.7" }))
        .await;
    world.want(&mut subscription, Wanted::Suspended).await;
    world.until(&subscription, Step::Suspended).await;
    assert!(!world.plays(&credentials).await);
    assert_eq!(world.lines().await[0]["active_connections"], 0, "streams are cut");

    world.want(&mut subscription, Wanted::Active).await;
    world.until(&subscription, Step::Ready).await;
    assert!(world.plays(&credentials).await);

    world.want(&mut subscription, Wanted::Terminated).await;
    world.until(&subscription, Step::Terminated).await;
    assert!(world.lines().await.is_empty());
    assert_eq!(world.effects("create_line").await.len(), 1);
    let told = world.events.of("provisioning.service.changed.v1");
    let first_ready = told.iter().filter(|event| ottery_testkit::payload::<ServiceChanged>(event).first_ready).count();
    assert_eq!(first_ready, 1);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_edits_the_line_and_keeps_its_credentials() {
    let world = World::new().await;
    world.admin_panel().await;
    let (mut subscription, service) = world.ready().await;
    let before = world.credentials(&service).await;
    subscription.connections = 4;
    subscription.bouquets = vec![3, 1, 2];
    world.want(&mut subscription, Wanted::Active).await;
    let after = world.until(&subscription, Step::Ready).await;
    assert_eq!(world.credentials(&after).await, before);
    let line = &world.lines().await[0];
    assert_eq!((line["max_connections"].as_i64(), line["bouquet"].as_str()), (Some(4), Some("[1,2,3]")));
    assert_eq!(line["allowed_outputs"], "[1,2]");
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_098_suspension_and_payment_crossing_each_other_end_in_active() {
    let world = World::new().await;
    world.admin_panel().await;
    let (subscription, service) = world.ready().await;
    let credentials = world.credentials(&service).await;
    // The payment's event overtakes the suspension's, and then both come again.
    world.want_version(&subscription, Wanted::Active, 9).await;
    world.want_version(&subscription, Wanted::Suspended, 8).await;
    world.want_version(&subscription, Wanted::Active, 9).await;
    world.want_version(&subscription, Wanted::Suspended, 8).await;
    world.handled(5).await;
    let settled = |service: &ottery_proto::provisioning::v1::Service| {
        service.step() == Step::Ready && service.observed_version == 9
    };
    world.until_that(&subscription, "ready at version 9", settled).await;
    assert!(world.plays(&credentials).await);

    // Suspension first, payment while it is being carried out.
    world.control("panels/SANDBOX1/settings", json!({ "latency_ms": 50 })).await;
    world.want_version(&subscription, Wanted::Suspended, 10).await;
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    world.want_version(&subscription, Wanted::Active, 11).await;
    let settled = |service: &ottery_proto::provisioning::v1::Service| {
        service.step() == Step::Ready && service.observed_version == 11
    };
    world.until_that(&subscription, "ready at version 11", settled).await;
    assert!(world.plays(&credentials).await);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_099_a_termination_that_waits_is_withdrawn_by_a_payment() {
    let world = World::new().await;
    world.admin_panel().await;
    let (mut subscription, service) = world.ready().await;
    let credentials = world.credentials(&service).await;
    world.fault("*", "http_503", 1_000).await;
    world.want(&mut subscription, Wanted::Terminated).await;
    world.until(&subscription, Step::Waiting).await;
    world.want(&mut subscription, Wanted::Active).await;
    world.no_more_faults().await;
    world.until(&subscription, Step::Ready).await;
    assert!(world.plays(&credentials).await);
    assert!(world.effects("delete_line").await.is_empty());
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_100_an_upgrade_before_the_line_exists_is_merged_into_its_creation() {
    let world = World::new().await;
    let mut subscription = Subscription::new();
    world.want(&mut subscription, Wanted::Active).await;
    world.until(&subscription, Step::Waiting).await;
    subscription.connections = 5;
    world.want(&mut subscription, Wanted::Active).await;
    // The upgrade has arrived before there is a panel to create anything on.
    world.until_that(&subscription, "upgraded", |service| service.wanted_version == subscription.version).await;
    world.admin_panel().await;
    world.until(&subscription, Step::Ready).await;
    assert_eq!(world.lines().await[0]["max_connections"], 5);
    assert!(world.effects("edit_line").await.is_empty());
    assert!(world.tasks().await.is_empty(), "the missing panel was a task and is none any more");
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_ended_can_begin_again() {
    let world = World::new().await;
    world.admin_panel().await;
    let (mut subscription, _) = world.ready().await;
    world.want(&mut subscription, Wanted::Terminated).await;
    world.until(&subscription, Step::Terminated).await;
    world.want(&mut subscription, Wanted::Active).await;
    let again = world.until(&subscription, Step::Ready).await;
    assert!(world.plays(&world.credentials(&again).await).await);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_panel_follows_the_brands_test_clock() {
    let world = World::new().await;
    world.admin_panel().await;
    let (subscription, service) = world.ready().await;
    let credentials = world.credentials(&service).await;
    assert!(world.plays(&credentials).await);
    world.advance_clock(subscription.until + days(1)).await;
    let started = std::time::Instant::now();
    while world.plays(&credentials).await {
        assert!(started.elapsed().as_secs() < 10, "the panel's clock did not follow");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// A world that compares its lines with the panel's all the time, and writes its truth over what differs.
async fn watchful() -> World {
    let mut config = crate::world::config();
    config.drift.every_s = 1;
    config.drift.pace_percent = 100;
    config.drift.poll_ms = 100;
    config.drift.retry_s = 1;
    config.health.probe_every_s = 1;
    let spec = ottery_sandbox::PanelSpec { rate_per_second: 0, ..Default::default() };
    let world = World::with(config, vec![spec]).await;
    world.admin_panel().await;
    world.repairing().await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_plays_only_from_its_customers_country_and_moves_with_them() {
    let world = watchful().await;
    let mut ada = Subscription::locked("DE", 1);
    world.want(&mut ada, Wanted::Active).await;
    let credentials = world.credentials(&world.until(&ada, Step::Ready).await).await;
    let forced = async || world.lines().await[0]["forced_country"].as_str().unwrap().to_owned();
    assert_eq!(forced().await, "DE");
    assert!(world.effects("edit_line").await.is_empty(), "the line was made as it was bought");
    world.players_in("FR").await;
    assert!(!world.streams(&credentials).await && world.plays(&credentials).await, "the profile answers everybody");
    world.players_in("DE").await;
    assert!(world.streams(&credentials).await);

    // Lists of lines do not show the country; changed by hand it is set right again all the same.
    let line = format!("panels/SANDBOX1/lines/{}", world.lines().await[0]["id"]);
    world.control(&line, json!({ "forced_country": "AT" })).await;
    let started = std::time::Instant::now();
    while forced().await != "DE" {
        assert!(started.elapsed().as_secs() < 15, "the drift stays");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }

    ada.country = "FR".into();
    world.want(&mut ada, Wanted::Active).await;
    world.until(&ada, Step::Ready).await;
    assert_eq!(forced().await, "FR");
    assert!(!world.streams(&credentials).await);
    ada.options = vec![country_lock(0)];
    world.want(&mut ada, Wanted::Active).await;
    world.until(&ada, Step::Ready).await;
    assert_eq!(forced().await, "");
    assert!(world.streams(&credentials).await);

    // A plan without the option: whatever the panel's people have set stays, through edits too.
    ada.options.clear();
    ada.connections = 3;
    world.want(&mut ada, Wanted::Active).await;
    world.until(&ada, Step::Ready).await;
    world.control(&line, json!({ "forced_country": "ALL" })).await;
    ada.connections = 4;
    world.want(&mut ada, Wanted::Active).await;
    world.until(&ada, Step::Ready).await;
    assert_eq!((forced().await.as_str(), world.lines().await[0]["max_connections"].as_i64()), ("ALL", Some(4)));
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_of_an_unknown_country_is_locked_to_none_and_a_person_knows() {
    let world = World::new().await;
    world.admin_panel().await;
    let mut ada = Subscription::locked("DE", 1);
    world.want(&mut ada, Wanted::Active).await;
    let credentials = world.credentials(&world.until(&ada, Step::Ready).await).await;
    assert!(world.tasks().await.is_empty());
    world.players_in("FR").await;
    // `UK` is nobody's country: a line locked to it would play nowhere.
    for unknown in ["", "UK"] {
        ada.country = unknown.into();
        world.want(&mut ada, Wanted::Active).await;
        world.until(&ada, Step::Ready).await;
        assert_eq!(world.lines().await[0]["forced_country"], "", "{unknown}");
        assert!(world.streams(&credentials).await);
        let tasks = world.tasks().await;
        assert_eq!(tasks.iter().map(|task| task.kind.as_str()).collect::<Vec<_>>(), ["country_lock"], "{unknown}");
        assert!(tasks[0].remedy.contains("billing address"), "{}", tasks[0].remedy);
    }
    ada.country = "GB".into();
    world.want(&mut ada, Wanted::Active).await;
    world.until(&ada, Step::Ready).await;
    assert_eq!(world.lines().await[0]["forced_country"], "GB");
    assert!(world.tasks().await.is_empty());
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_097_a_line_changed_by_hand_is_set_right_again() {
    let world = watchful().await;
    let (_, service) = world.ready().await;
    let line = world.lines().await[0]["id"].as_i64().unwrap();
    world.control(&format!("panels/SANDBOX1/lines/{line}"), json!({ "max_connections": 50 })).await;
    let started = std::time::Instant::now();
    while world.lines().await[0]["max_connections"] != 2 {
        assert!(started.elapsed().as_secs() < 15, "the drift stays: {:?}", world.calls(&service).await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // Removed by hand: a person decides, nothing is made again by itself.
    let url = format!("http://{}/control/panels/SANDBOX1/lines/{line}", world.sandbox.addresses().control);
    world.http.delete(url).send().await.unwrap();
    let subscription = Subscription { id: service.subscription_id.parse().unwrap(), ..Subscription::new() };
    let stuck = world.until(&subscription, Step::Stuck).await;
    assert_eq!(stuck.status_code, "line_missing", "case 096");
    let request = ottery_proto::provisioning::v1::RetryServiceRequest { service_id: service.id.clone() };
    world.staff().retry_service(request).await.unwrap();
    world.until(&subscription, Step::Ready).await;
    assert_eq!(world.lines().await.len(), 1);
    world.inv().await;
}
