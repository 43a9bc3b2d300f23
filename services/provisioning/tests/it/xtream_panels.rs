//! Services on a simulated panel of Xtream Codes: their whole life, and answers that are lost, wrong or missing.

use ottery_proto::billing::v1::entitlement_changed::Wanted;
use ottery_proto::provisioning::v1 as proto;
use ottery_proto::provisioning::v1::service::Step;
use ottery_sandbox::PanelSpec;
use serde_json::json;

use crate::world::{Subscription, World, config, days};

fn states(calls: &[proto::PanelCall], action: &str) -> Vec<String> {
    calls.iter().filter(|call| call.action == action).map(|call| format!("{} {}", call.state, call.outcome)).collect()
}

/// A world that compares its lines with the panel's all the time, and writes its truth over what differs.
async fn watchful() -> World {
    let mut config = config();
    config.drift.every_s = 1;
    config.drift.pace_percent = 100;
    config.drift.poll_ms = 100;
    config.drift.retry_s = 1;
    config.health.probe_every_s = 1;
    let world = World::with(config, vec![PanelSpec { rate_per_second: 0, ..PanelSpec::default() }]).await;
    world.xtream_panel().await;
    world.repairing().await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_a_service_lives_its_whole_life_on_a_panel_without_a_key() {
    let world = World::new().await;
    world.xtream_panel().await;
    let (mut subscription, service) = world.ready().await;
    let credentials = world.credentials(&service).await;
    assert!(world.plays(&credentials).await);
    subscription.until += days(31);
    subscription.connections = 3;
    world.want(&mut subscription, Wanted::Active).await;
    let renewed = world.until(&subscription, Step::Ready).await;
    assert_eq!(renewed.expires_at.unwrap().seconds, subscription.until.timestamp());
    assert_eq!(world.lines().await[0]["max_connections"], 3);
    world.want(&mut subscription, Wanted::Suspended).await;
    world.until(&subscription, Step::Suspended).await;
    assert!(!world.plays(&credentials).await);
    world.want(&mut subscription, Wanted::Active).await;
    world.until(&subscription, Step::Ready).await;
    assert!(world.plays(&credentials).await);
    world.want(&mut subscription, Wanted::Terminated).await;
    world.until(&subscription, Step::Terminated).await;
    assert!(!world.plays(&credentials).await);
    assert_eq!(world.effects("user/create").await.len(), 1);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_fault_f17_every_kind_of_write_survives_a_lost_answer() {
    let world = World::new().await;
    world.xtream_panel().await;
    world.fault("user/create", "drop_after_apply", 1).await;
    let (mut subscription, _service) = world.ready().await;
    for kind in ["drop_after_apply", "drop_before_apply"] {
        world.fault("user/edit", kind, 1).await;
        world.want(&mut subscription, Wanted::Suspended).await;
        world.until(&subscription, Step::Suspended).await;
        world.fault("user/edit", kind, 1).await;
        subscription.until += days(30);
        world.want(&mut subscription, Wanted::Active).await;
        let ready = world.until(&subscription, Step::Ready).await;
        assert_eq!(ready.expires_at.unwrap().seconds, subscription.until.timestamp(), "{kind}");
    }
    world.fault("user/edit", "drop_after_apply", 1).await;
    world.want(&mut subscription, Wanted::Terminated).await;
    world.until(&subscription, Step::Terminated).await;
    assert_eq!(world.lines().await.len(), 1, "made once, and kept for a person to delete");
    assert_eq!(world.effects("user/create").await.len(), 1);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_case_097_a_line_changed_by_hand_is_set_right_although_the_panel_lists_none() {
    let world = watchful().await;
    let (_subscription, service) = world.ready().await;
    let line = world.credentials(&service).await;
    let url = format!("http://{}/SANDBOX1/api.php", world.sandbox.addresses().panel);
    let by_hand = [
        ("action", "user"),
        ("sub", "edit"),
        ("username", line.username.as_str()),
        ("password", line.password.as_str()),
        ("user_data[max_connections]", "9"),
    ];
    let answer = world.http.post(&url).form(&by_hand).send().await.unwrap().text().await.unwrap();
    assert_eq!(answer, r#"{"result":true}"#);
    let started = std::time::Instant::now();
    while world.lines().await[0]["max_connections"] != 2 {
        assert!(started.elapsed().as_secs() < 15, "the drift stays");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_a_short_key_is_taken_and_nothing_of_it_is_shown() {
    let world = World::new().await;
    let panel = world.put_panel(world.panel_input("SANDBOX1", "xtream"), "abc").await;
    assert_eq!(panel.api_key_hint, "…");
    let none = proto::Panel { name: "No key".into(), ..world.panel_input("SANDBOX1", "xtream") };
    assert_eq!(world.put_panel(none, "").await.api_key_hint, "none");
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_fault_f17_panel_applied_then_answered_rubbish() {
    for kind in ["drop_after_apply", "empty_200", "null", "html_error", "truncated", "cut", "huge", "http_502"] {
        let world = World::new().await;
        world.xtream_panel().await;
        world.fault("user/create", kind, 1).await;
        let (_, service) = world.ready().await;
        assert_eq!(world.effects("user/create").await.len(), 1, "{kind}");
        assert_eq!(world.lines().await.len(), 1, "{kind}");
        assert!(world.plays(&world.credentials(&service).await).await, "{kind}");
        assert_eq!(states(&world.calls(&service).await, "create"), ["confirmed read_back"], "{kind}");
        world.inv().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_case_087_a_create_that_left_no_trace_is_made_again_with_the_same_pair() {
    for kind in ["drop_before_apply", "result_false"] {
        let world = World::new().await;
        world.xtream_panel().await;
        world.fault("user/create", kind, 1).await;
        let (_, service) = world.ready().await;
        let line = &world.lines().await[0];
        let ours = world.credentials(&service).await;
        assert_eq!((&line["username"], &line["password"]), (&json!(ours.username), &json!(ours.password)), "{kind}");
        assert_eq!(world.lines().await.len(), 1, "{kind}");
        assert_eq!(
            states(&world.calls(&service).await, "create"),
            ["confirmed ", "rejected not_applied"],
            "{kind}: never taken for a failure for good"
        );
        world.inv().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_case_088_a_duplicated_delivery_and_a_repeated_create_make_one_line() {
    let world = World::new().await;
    world.xtream_panel().await;
    world.fault("user/create", "duplicate", 1).await;
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
async fn xtream_case_089_a_bare_failure_of_an_edit_is_looked_up_and_sent_again() {
    let world = World::new().await;
    world.xtream_panel().await;
    let (mut subscription, service) = world.ready().await;
    world.fault("user/edit", "result_false", 1).await;
    world.want(&mut subscription, Wanted::Suspended).await;
    world.until(&subscription, Step::Suspended).await;
    assert!(!world.plays(&world.credentials(&service).await).await);
    assert_eq!(world.effects("user/edit").await.len(), 1);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_case_090_a_strangers_line_of_the_same_name_is_never_touched() {
    let world = World::new().await;
    world.xtream_panel().await;
    let mut subscription = Subscription::new();
    let name = provisioning::domain::username::candidate(subscription.id, 0);
    let stranger = json!({ "username": name, "password": "not-ours-at-all", "bouquets": [1] });
    world.control("panels/SANDBOX1/lines", stranger).await;
    let before = world.lines().await[0].clone();
    world.want(&mut subscription, Wanted::Active).await;
    let service = world.until(&subscription, Step::Ready).await;
    assert_eq!(service.username, name, "only the pair has to be new on this panel");
    assert!(world.plays(&world.credentials(&service).await).await);
    world.want(&mut subscription, Wanted::Terminated).await;
    world.until(&subscription, Step::Terminated).await;
    let lines = world.lines().await;
    assert_eq!((lines.len(), lines.iter().filter(|line| **line == before).count()), (2, 1));
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_case_092_out_of_credits_waits_and_goes_on_by_itself() {
    let world = World::new().await;
    world.xtream_panel().await;
    world.fault("user/create", "out_of_credits", 1).await;
    let mut subscription = Subscription::new();
    world.want(&mut subscription, Wanted::Active).await;
    let waits = world.until(&subscription, Step::Waiting).await;
    assert_eq!(waits.attempts, 0, "a paused panel spends no attempts");
    world.until(&subscription, Step::Ready).await;
    assert_eq!(world.lines().await.len(), 1);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_case_094_an_unreachable_panel_keeps_what_is_wanted_meanwhile() {
    let world = World::new().await;
    world.xtream_panel().await;
    let (mut subscription, _) = world.ready().await;
    world.fault("*", "http_503", 100_000).await;
    subscription.until += days(31);
    world.want(&mut subscription, Wanted::Active).await;
    world.until(&subscription, Step::Waiting).await;
    world.want(&mut subscription, Wanted::Suspended).await;
    subscription.until += days(31);
    world.want(&mut subscription, Wanted::Active).await;
    world.handled(4).await;
    world.no_more_faults().await;
    let ready = world.until(&subscription, Step::Ready).await;
    assert_eq!(ready.expires_at.unwrap().seconds, subscription.until.timestamp());
    assert_eq!(world.effects("user/edit").await.len(), 1, "one change for everything that was wanted meanwhile");
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_case_095_a_panel_with_lines_is_not_deleted() {
    let world = World::new().await;
    let panel = world.xtream_panel().await;
    world.ready().await;
    let request = proto::DeletePanelRequest { panel_id: panel.id.clone(), expected_version: 1 };
    let refused = world.staff().delete_panel(request).await.unwrap_err();
    assert_eq!(ottery_kit::grpc::Problem::from(refused).reason, "PANEL_IN_USE");
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_case_096_a_line_deleted_by_hand_is_a_persons_decision() {
    let world = watchful().await;
    let (subscription, service) = world.ready().await;
    let line = world.lines().await[0]["id"].as_i64().unwrap();
    let url = format!("http://{}/control/panels/SANDBOX1/lines/{line}", world.sandbox.addresses().control);
    world.http.delete(url).send().await.unwrap();
    let stuck = world.until(&subscription, Step::Stuck).await;
    assert_eq!(stuck.status_code, "line_missing");
    assert!(world.lines().await.is_empty(), "nothing is made again by itself");
    let request = proto::RetryServiceRequest { service_id: service.id.clone() };
    world.staff().retry_service(request).await.unwrap();
    world.until(&subscription, Step::Ready).await;
    assert_eq!(world.lines().await.len(), 1);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_case_098_an_older_entitlement_that_comes_late_changes_nothing() {
    let world = World::new().await;
    world.xtream_panel().await;
    let (subscription, service) = world.ready().await;
    let credentials = world.credentials(&service).await;
    for (wanted, version) in [(Wanted::Active, 9), (Wanted::Suspended, 8), (Wanted::Active, 9), (Wanted::Suspended, 8)]
    {
        world.want_version(&subscription, wanted, version).await;
    }
    world.handled(5).await;
    let settled = |service: &proto::Service| service.step() == Step::Ready && service.observed_version == 9;
    world.until_that(&subscription, "ready at version 9", settled).await;
    assert!(world.plays(&credentials).await);

    // Suspension first, payment while it is being carried out.
    world.control("panels/SANDBOX1/settings", json!({ "latency_ms": 50 })).await;
    world.want_version(&subscription, Wanted::Suspended, 10).await;
    world.want_version(&subscription, Wanted::Active, 11).await;
    let settled = |service: &proto::Service| service.step() == Step::Ready && service.observed_version == 11;
    world.until_that(&subscription, "ready at version 11", settled).await;
    assert!(world.plays(&credentials).await);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_case_099_a_termination_that_waits_is_withdrawn_by_a_payment() {
    let world = World::new().await;
    world.xtream_panel().await;
    let (mut subscription, service) = world.ready().await;
    let credentials = world.credentials(&service).await;
    world.fault("*", "http_503", 1_000).await;
    world.want(&mut subscription, Wanted::Terminated).await;
    world.until(&subscription, Step::Waiting).await;
    world.want(&mut subscription, Wanted::Active).await;
    world.no_more_faults().await;
    world.until(&subscription, Step::Ready).await;
    assert!(world.plays(&credentials).await);
    assert!(world.effects("user/edit").await.is_empty());
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_a_service_that_ended_can_begin_again() {
    let world = World::new().await;
    world.xtream_panel().await;
    let (mut subscription, service) = world.ready().await;
    let before = world.credentials(&service).await;
    world.want(&mut subscription, Wanted::Terminated).await;
    world.until(&subscription, Step::Terminated).await;
    world.want(&mut subscription, Wanted::Active).await;
    let again = world.until(&subscription, Step::Ready).await;
    assert!(world.plays(&world.credentials(&again).await).await);
    let retired: Vec<_> =
        world.lines().await.into_iter().filter(|line| line["enabled"] == 0 && line["admin_enabled"] == 0).collect();
    assert_eq!(retired.len(), 1, "the line that ended stays for a person to delete");
    assert_ne!(retired[0]["password"], json!(before.password));
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_a_wrong_key_and_a_refused_address_hold_the_order_until_they_are_mended() {
    let spec = PanelSpec { rate_per_second: 0, api_pass: "let-me-in".into(), ..PanelSpec::default() };
    let world = World::with(config(), vec![spec]).await;
    let panel = world.put_panel(world.panel_input("SANDBOX1", "xtream"), "wrong").await;
    let mut subscription = Subscription::new();
    world.want(&mut subscription, Wanted::Active).await;
    let waits = world.until(&subscription, Step::Waiting).await;
    assert!(["bad_credentials", "panels_down"].contains(&waits.status_code.as_str()), "{}", waits.status_code);
    assert_eq!(waits.attempts, 0, "a wrong key spends no attempts");
    let probe = || proto::ProbePanelRequest { panel_id: panel.id.clone() };
    let probed = world.staff().probe_panel(probe()).await.unwrap().into_inner();
    assert_eq!(probed.health(), proto::panel::Health::Down);
    assert!(probed.remedy.contains("api_pass"), "{}", probed.remedy);

    world.control("panels/SANDBOX1/settings", json!({ "whitelist": ["192.0.2.1"] })).await;
    let probed = world.staff().probe_panel(probe()).await.unwrap().into_inner();
    assert!(probed.remedy.contains("allowed addresses"), "{}", probed.remedy);
    assert!(world.lines().await.is_empty());

    world.control("panels/SANDBOX1/settings", json!({ "whitelist": [] })).await;
    let stored = world.staff().get_panel(proto::GetPanelRequest { panel_id: panel.id.clone() }).await.unwrap();
    let version = stored.get_ref().version;
    let request = proto::PutPanelRequest {
        panel: Some(stored.into_inner()),
        api_key: "let-me-in".into(),
        expected_version: version,
        ..Default::default()
    };
    world.staff().put_panel(request).await.unwrap();
    world.until(&subscription, Step::Ready).await;
    assert_eq!(world.lines().await.len(), 1);
    world.inv().await;
}
