//! Panels that lose answers, lie, break down and run dry.

use std::time::Duration;

use ottery_proto::billing::v1::entitlement_changed::Wanted;
use ottery_proto::provisioning::v1::service::Step;
use ottery_proto::provisioning::v1::{PanelCall, ServiceChanged};
use provisioning::app::{App, reconcile};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::world::{ADMIN_KEY, Subscription, World, config};

fn states(calls: &[PanelCall], action: &str) -> Vec<String> {
    calls.iter().filter(|call| call.action == action).map(|call| format!("{} {}", call.state, call.outcome)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_f17_panel_applied_then_timed_out() {
    for kind in ["drop_after_apply", "empty_200", "null", "html_error", "truncated", "cut", "huge", "http_502"] {
        let world = World::new().await;
        world.admin_panel().await;
        world.fault("create_line", kind, 1).await;
        let (_, service) = world.ready().await;
        assert_eq!(world.effects("create_line").await.len(), 1, "{kind}");
        assert_eq!(world.lines().await.len(), 1, "{kind}");
        assert!(world.plays(&world.credentials(&service).await).await, "{kind}");
        let calls = world.calls(&service).await;
        assert_eq!(states(&calls, "create"), ["confirmed read_back"], "{kind}");
        world.inv().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_087_a_create_that_left_no_trace_is_made_again_only_after_the_panels_time_out() {
    let world = World::new().await;
    world.admin_panel().await;
    world.fault("create_line", "drop_before_apply", 1).await;
    let mut subscription = Subscription::new();
    let started = std::time::Instant::now();
    world.want(&mut subscription, Wanted::Active).await;
    let service = world.until(&subscription, Step::Ready).await;
    assert!(started.elapsed() >= Duration::from_secs(1), "made again too early");
    assert_eq!(world.lines().await.len(), 1);
    assert_eq!(states(&world.calls(&service).await, "create"), ["confirmed ", "rejected not_applied"]);
    let told: Vec<_> = world
        .events
        .of("provisioning.service.changed.v1")
        .iter()
        .map(|event| ottery_testkit::payload::<ServiceChanged>(event).service.unwrap().step())
        .collect();
    assert!(told.contains(&Step::Unknown), "{told:?}");
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_f17_every_kind_of_write_survives_a_lost_answer() {
    let world = World::new().await;
    world.admin_panel().await;
    let (mut subscription, service) = world.ready().await;
    for kind in ["drop_after_apply", "drop_before_apply"] {
        for action in ["disable_line", "enable_line", "edit_line"] {
            world.fault(action, kind, 1).await;
        }
        world.want(&mut subscription, Wanted::Suspended).await;
        world.until(&subscription, Step::Suspended).await;
        subscription.until += crate::world::days(30);
        world.want(&mut subscription, Wanted::Active).await;
        let ready = world.until(&subscription, Step::Ready).await;
        assert_eq!(ready.expires_at.unwrap().seconds, subscription.until.timestamp(), "{kind}");
        let line = &world.lines().await[0];
        assert_eq!(
            (line["enabled"].as_i64(), line["exp_date"].as_i64()),
            (Some(1), Some(subscription.until.timestamp()))
        );
    }
    world.fault("delete_line", "drop_after_apply", 1).await;
    world.want(&mut subscription, Wanted::Terminated).await;
    world.until(&subscription, Step::Terminated).await;
    assert!(world.lines().await.is_empty());
    assert_eq!(states(&world.calls(&service).await, "terminate"), ["confirmed read_back"]);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_088_a_duplicated_delivery_and_a_repeated_create_make_one_line() {
    let world = World::new().await;
    world.admin_panel().await;
    world.fault("create_line", "duplicate", 1).await;
    let subscription = Subscription::new();
    for _ in 0..5 {
        world.want_version(&subscription, Wanted::Active, 1).await;
    }
    let service = world.until(&subscription, Step::Ready).await;
    assert_eq!(world.lines().await.len(), 1);
    assert!(world.plays(&world.credentials(&service).await).await);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_090_a_name_that_a_stranger_has_is_left_to_them() {
    let world = World::new().await;
    world.admin_panel().await;
    let mut subscription = Subscription::new();
    let first = provisioning::domain::username::candidate(subscription.id, 0);
    let stranger = json!({ "username": first, "password": "not-ours-at-all", "bouquets": [1] });
    world.control("panels/SANDBOX1/lines", stranger).await;
    world.want(&mut subscription, Wanted::Active).await;
    let service = world.until(&subscription, Step::Ready).await;
    assert_eq!(service.username, provisioning::domain::username::candidate(subscription.id, 1));
    assert_eq!(world.lines().await.len(), 2);
    assert!(world.plays(&world.credentials(&service).await).await);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_089_refusals_for_one_order_reach_a_person_and_leave_the_panel_open() {
    let world = World::new().await;
    world.admin_panel().await;
    let (_, _) = world.ready().await;
    let mut stuck = Subscription::new();
    let line = json!({ "username": "x", "password": "y", "bouquets": [1] });
    for taken in 0..5 {
        let name = provisioning::domain::username::candidate(stuck.id, taken);
        let mut line = line.clone();
        line["username"] = json!(name);
        world.control("panels/SANDBOX1/lines", line).await;
    }
    world.want(&mut stuck, Wanted::Active).await;
    let service = world.until(&stuck, Step::Stuck).await;
    assert_eq!(service.status_code, "names_taken");
    let tasks = world.tasks().await;
    assert_eq!(tasks.len(), 1);
    assert!(tasks[0].service_id == service.id && !tasks[0].remedy.is_empty());
    world.ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_f18_a_panel_that_is_down_holds_up_only_its_own_orders() {
    let panels = ["SANDBOX1", "SANDBOX2"].map(|code| ottery_sandbox::PanelSpec {
        code: code.into(),
        rate_per_second: 0,
        ..Default::default()
    });
    let world = World::with(config(), panels.into()).await;
    let mut dead = world.panel_input("SANDBOX1", "xui");
    dead.region = "de".into();
    let mut alive = world.panel_input("SANDBOX2", "xui");
    alive.region = "fr".into();
    world.put_panel(dead, ADMIN_KEY).await;
    world.put_panel(alive, ADMIN_KEY).await;
    world.control("panels/SANDBOX1/settings", json!({ "flood_banned": true })).await;
    let mut waits = Vec::new();
    for _ in 0..5 {
        let mut subscription = Subscription::new();
        world.want_in(&mut subscription, "de").await;
        waits.push(subscription);
    }
    let mut flows = Subscription::new();
    world.want_in(&mut flows, "fr").await;
    world.until(&flows, Step::Ready).await;
    for subscription in &waits {
        let service = world.until(subscription, Step::Waiting).await;
        assert!(["ip_banned", "panels_down"].contains(&service.status_code.as_str()), "{}", service.status_code);
        assert_eq!(service.attempts, 0, "a paused panel spends no attempts");
    }
    let calls = world.look("panels/SANDBOX1/counters").await;
    world.control("panels/SANDBOX1/settings", json!({ "flood_banned": false })).await;
    for subscription in &waits {
        world.until(subscription, Step::Ready).await;
    }
    assert_eq!(world.lines().await.len(), 5, "{calls}");
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_094_an_unreachable_panel_keeps_its_queue_and_what_is_wanted_meanwhile() {
    let world = World::new().await;
    world.admin_panel().await;
    let (mut subscription, _) = world.ready().await;
    world.fault("*", "http_503", 100_000).await;
    subscription.until += crate::world::days(31);
    world.want(&mut subscription, Wanted::Active).await;
    world.until(&subscription, Step::Waiting).await;
    world.want(&mut subscription, Wanted::Suspended).await;
    subscription.until += crate::world::days(31);
    world.want(&mut subscription, Wanted::Active).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.no_more_faults().await;
    let ready = world.until(&subscription, Step::Ready).await;
    assert_eq!(ready.expires_at.unwrap().seconds, subscription.until.timestamp());
    assert_eq!(world.effects("edit_line").await.len(), 1, "one change for everything that was wanted meanwhile");
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_f21_four_reconcilers_on_one_database_make_each_line_once() {
    let world = World::new().await;
    world.admin_panel().await;
    world.control("panels/SANDBOX1/settings", json!({ "latency_ms": 20, "racy": true })).await;
    let stop = CancellationToken::new();
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let host = world.host.of(provisioning::NAME);
        let pool = host.pool(provisioning::NAME).await.unwrap();
        let app = App::new(pool, host, world.config.clone()).unwrap();
        others.spawn(reconcile::run(app, stop.clone()));
    }
    let mut subscriptions: Vec<_> = (0..40).map(|_| Subscription::new()).collect();
    for subscription in &mut subscriptions {
        world.want(subscription, Wanted::Active).await;
        world.want(subscription, Wanted::Active).await;
    }
    for subscription in &subscriptions {
        world.until(subscription, Step::Ready).await;
    }
    assert_eq!(world.effects("create_line").await.len(), 40);
    assert_eq!(world.lines().await.len(), 40);
    stop.cancel();
    while others.join_next().await.is_some() {}
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_f21_a_worker_that_lost_its_claim_writes_nothing() {
    let world = World::new().await;
    world.admin_panel().await;
    // The panel answers late; meanwhile another worker takes the service over, as after a pause of this process.
    let rule =
        json!({ "target": "panel:SANDBOX1", "action": "create_line", "kind": "late", "delay_ms": 1_500, "times": 1 });
    world.control("faults", rule).await;
    let mut subscription = Subscription::new();
    world.want(&mut subscription, Wanted::Active).await;
    let started = std::time::Instant::now();
    while world.lines().await.is_empty() {
        assert!(started.elapsed().as_secs() < 10);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let stolen = sqlx::query("UPDATE reconcile_due SET fence = fence + 1, lease_until = '-infinity'")
        .execute(&world.db.admin_pool)
        .await
        .unwrap();
    assert_eq!(stolen.rows_affected(), 1);
    let service = world.until(&subscription, Step::Ready).await;
    assert!(started.elapsed() < Duration::from_millis(1_500), "the new owner did not wait for the old one");
    let calls = world.calls(&service).await;
    assert_eq!(states(&calls, "create"), ["confirmed read_back"]);
    tokio::time::sleep(Duration::from_millis(1_800)).await;
    let after = world.service(&subscription).await.unwrap();
    assert_eq!((after.version, after.step()), (service.version, Step::Ready), "the late answer changed nothing");
    assert_eq!(world.lines().await.len(), 1);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_stays_unknown_becomes_a_task_and_resolves_by_itself() {
    let mut config = config();
    config.reconcile.unknown_deadline_s = 1;
    let spec = ottery_sandbox::PanelSpec { rate_per_second: 0, ..Default::default() };
    let world = World::with(config, vec![spec]).await;
    world.admin_panel().await;
    world.fault("create_line", "drop_after_apply", 1).await;
    world.fault("get_lines", "html_error", 6).await;
    let mut subscription = Subscription::new();
    world.want(&mut subscription, Wanted::Active).await;
    let stuck = world.until(&subscription, Step::Stuck).await;
    assert_eq!(stuck.status_code, "unknown_overdue");
    assert_eq!(world.tasks().await[0].kind, "panel_unknown");
    world.until(&subscription, Step::Ready).await;
    assert!(world.tasks().await.is_empty());
    assert_eq!(world.lines().await.len(), 1);
    world.inv().await;
}
