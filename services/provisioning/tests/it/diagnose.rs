//! The connection test that explains itself, against every way a simulated panel can be in the way.

use ottery_proto::provisioning::v1 as proto;
use ottery_sandbox::{PanelSpec, ResellerSpec};
use serde_json::json;

use crate::world::{ADMIN_KEY, World, config};

async fn shown() -> World {
    with(PanelSpec { rate_per_second: 0, ..PanelSpec::default() }).await
}

async fn with(spec: PanelSpec) -> World {
    let mut config = config();
    config.egress_address = "203.0.113.9".into();
    World::with(config, vec![spec]).await
}

impl World {
    async fn diagnose(&self, panel: &proto::Panel, test_line: bool) -> proto::Diagnosis {
        let request = proto::DiagnosePanelRequest { panel_id: panel.id.clone(), test_line };
        // A panel that does not answer takes its time, and so do the tries to remove a line there.
        let owner = ottery_testkit::actor::owner(self.brand);
        let context = ottery_kit::grpc::CallContext::new(owner).timeout(std::time::Duration::from_secs(60));
        let channel = self.host.of("gateway").client_channel(provisioning::NAME).with(&context);
        crate::world::Client::new(channel).diagnose_panel(request).await.unwrap().into_inner()
    }

    async fn left(&self) -> Vec<String> {
        self.tasks().await.into_iter().filter(|task| task.kind == "test_line_left").map(|task| task.summary).collect()
    }
}

fn step<'a>(found: &'a proto::Diagnosis, name: &str) -> &'a proto::DiagnosisStep {
    found.steps.iter().find(|step| step.name == name).unwrap_or_else(|| panic!("no step {name}: {found:#?}"))
}

fn verdicts(found: &proto::Diagnosis) -> String {
    found.steps.iter().map(|step| format!("{} {}", step.name, step.verdict)).collect::<Vec<_>>().join(", ")
}

/// The one step that is in the way, with a cause and a remedy.
fn in_the_way(found: &proto::Diagnosis) -> &proto::DiagnosisStep {
    let bad: Vec<_> = found.steps.iter().filter(|step| step.verdict == "bad").collect();
    assert_eq!(bad.len(), 1, "{}", verdicts(found));
    assert_eq!(found.verdict, "bad");
    assert!(!bad[0].cause.is_empty() && bad[0].remedy.len() > 20, "{:?}", bad[0]);
    bad[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panel_that_works_shows_every_step_and_a_line_that_comes_and_goes() {
    let world = shown().await;
    let panel = world.admin_panel().await;
    let found = world.diagnose(&panel, true).await;
    assert_eq!(
        verdicts(&found),
        "dns good, tcp good, tls warning, api good, whitelist good, ban good, credentials good, role good, version skipped, \
         clock good, credits skipped, packages good, line_create good, line_suspend good, line_delete good"
    );
    assert_eq!(
        (found.egress_address.as_str(), step(&found, "tls").cause_code.as_str()),
        ("203.0.113.9", "not_encrypted")
    );
    assert!(step(&found, "dns").seen.contains("127.0.0.1") && step(&found, "whitelist").seen.contains("203.0.113.9"));
    assert!(world.lines().await.is_empty(), "the test line is gone");
    assert_eq!(world.effects("create_line").await.len(), 1);
    assert_eq!(world.effects("delete_line").await.len(), 1);
    assert!(world.left().await.is_empty());
    // Without being asked for, no line is made.
    let found = world.diagnose(&panel, false).await;
    assert_eq!(found.steps.len(), 12);
    assert_eq!(world.effects("create_line").await.len(), 1);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timed_out_and_refused_addresses_end_in_a_named_cause_with_our_address() {
    let world = shown().await;
    let panel = world.admin_panel().await;
    for (settings, name, code) in [
        (json!({ "whitelist": ["192.0.2.1"] }), "whitelist", "ip_not_allowed"),
        (json!({ "whitelist": [], "flood_banned": true }), "ban", "ip_banned"),
    ] {
        world.control("panels/SANDBOX1/settings", settings).await;
        let found = world.diagnose(&panel, true).await;
        let bad = in_the_way(&found);
        assert_eq!((bad.name.as_str(), bad.cause_code.as_str()), (name, code));
        assert!(bad.remedy.contains("203.0.113.9"), "{}", bad.remedy);
        assert_eq!(step(&found, "line_create").verdict, "skipped");
        assert_eq!(found.panel.as_ref().unwrap().health(), proto::panel::Health::Down, "the health is stored with it");
    }
    world.control("panels/SANDBOX1/settings", json!({ "flood_banned": false, "enabled": false })).await;
    let found = world.diagnose(&panel, false).await;
    assert_eq!((in_the_way(&found).name.as_str(), in_the_way(&found).cause_code.as_str()), ("api", "wrong_panel_type"));
    world.control("panels/SANDBOX1/settings", json!({ "enabled": true })).await;
    // The retry.
    assert_ne!(world.diagnose(&panel, false).await.verdict, "bad");

    // Nothing listens: a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = proto::Panel {
        name: "Nobody".into(),
        base_url: format!("http://{free}/x"),
        ..world.panel_input("SANDBOX1", "xui")
    };
    let nobody = world.put_panel(nobody, ADMIN_KEY).await;
    let found = world.diagnose(&nobody, false).await;
    assert_eq!((in_the_way(&found).name.as_str(), in_the_way(&found).cause_code.as_str()), ("tcp", "connect_refused"));
    // A panel without https behind an https address.
    let plain = world.sandbox.addresses().panel;
    let secret = proto::Panel {
        name: "Secret".into(),
        base_url: format!("https://{plain}/SANDBOX1"),
        ..world.panel_input("SANDBOX1", "xui")
    };
    let secret = world.put_panel(secret, ADMIN_KEY).await;
    let found = world.diagnose(&secret, false).await;
    assert_eq!(in_the_way(&found).name, "tls", "{}", verdicts(&found));
    assert_eq!(step(&found, "tcp").verdict, "good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_and_answers_that_are_none_are_told_apart() {
    let world = shown().await;
    let panel = world.put_panel(world.panel_input("SANDBOX1", "xui"), "00000000000000000000000000000000").await;
    let found = world.diagnose(&panel, false).await;
    let bad = in_the_way(&found);
    assert_eq!((bad.name.as_str(), bad.cause_code.as_str()), ("credentials", "bad_credentials"));
    assert_eq!((step(&found, "ban").verdict.as_str(), step(&found, "role").verdict.as_str()), ("good", "skipped"));
    let right = proto::Panel { name: "Right".into(), ..world.panel_input("SANDBOX1", "xui") };
    let panel = world.put_panel(right, ADMIN_KEY).await;
    for (kind, code) in [
        ("html_error", "rubbish_answer"),
        ("empty_200", "empty_answer"),
        ("http_502", "server_failed"),
        ("http_503", "rate_limited"),
    ] {
        world.fault("user_info", kind, 100).await;
        let found = world.diagnose(&panel, false).await;
        assert_eq!((in_the_way(&found).name.as_str(), in_the_way(&found).cause_code.as_str()), ("api", code), "{kind}");
        world.no_more_faults().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_102_a_clock_that_is_off_is_shown_with_its_distance() {
    let world = shown().await;
    let panel = world.admin_panel().await;
    world.control("panels/SANDBOX1/clock", json!({ "offset_s": 600 })).await;
    let found = world.diagnose(&panel, false).await;
    let clock = step(&found, "clock");
    assert_eq!((clock.verdict.as_str(), clock.cause_code.as_str()), ("warning", "clock_skew"));
    assert!(clock.seen.contains("s ahead of ours"), "{}", clock.seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn case_092_no_credits_and_invalid_username_end_in_a_remedy_and_a_retry() {
    let strict = ResellerSpec { username_min: 20, ..ResellerSpec::default() };
    let world = with(PanelSpec { rate_per_second: 0, resellers: vec![strict], ..PanelSpec::default() }).await;
    let panel = world.reseller_panel().await;
    let found = world.diagnose(&panel, true).await;
    let bad = in_the_way(&found);
    assert_eq!((bad.name.as_str(), bad.cause_code.as_str()), ("line_create", "username_refused"));
    assert!(bad.remedy.contains("Minimum length of user names"), "{}", bad.remedy);
    assert!(world.left().await.is_empty(), "what was refused left nothing");

    world.control("panels/SANDBOX1/credits", json!({ "user": 2, "credits": 0 })).await;
    let found = world.diagnose(&panel, false).await;
    let bad = in_the_way(&found);
    assert_eq!(
        (bad.name.as_str(), bad.cause_code.as_str(), bad.seen.as_str()),
        ("credits", "insufficient_credits", "0 left")
    );
    assert!(bad.remedy.contains("Top up"), "{}", bad.remedy);
    world.control("panels/SANDBOX1/credits", json!({ "user": 2, "credits": 50 })).await;
    assert_ne!(world.diagnose(&panel, false).await.verdict, "bad");
    assert!(world.lines().await.is_empty());
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_087_the_test_line_is_removed_whatever_is_lost_on_the_way() {
    let world = shown().await;
    let panel = world.admin_panel().await;
    for action in ["create_line", "disable_line", "delete_line"] {
        for kind in ["drop_after_apply", "empty_200", "http_502"] {
            world.fault(action, kind, 1).await;
            let found = world.diagnose(&panel, true).await;
            assert!(world.lines().await.is_empty(), "{action} {kind}: {}", verdicts(&found));
            assert!(world.left().await.is_empty(), "{action} {kind}: {}", verdicts(&found));
            assert_eq!(step(&found, "line_delete").verdict, "good", "{action} {kind}");
            world.no_more_faults().await;
        }
    }
    // When it cannot be removed, everybody is told, and the next test that can closes the task.
    world.fault("delete_line", "http_503", 100).await;
    let found = world.diagnose(&panel, true).await;
    let left = step(&found, "line_delete");
    assert_eq!((left.verdict.as_str(), left.cause_code.as_str()), ("bad", "test_line_left"));
    assert!(left.remedy.contains("by hand"), "{}", left.remedy);
    assert_eq!((world.left().await.len(), world.lines().await.len()), (1, 1));
    assert_eq!(world.lines().await[0]["enabled"], 0);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_line_is_removed_when_whoever_asked_goes_away() {
    let world = shown().await;
    let panel = world.admin_panel().await;
    world.control("panels/SANDBOX1/settings", json!({ "latency_ms": 150 })).await;
    let request = proto::DiagnosePanelRequest { panel_id: panel.id.clone(), test_line: true };
    let mut client = world.staff();
    let asking = tokio::spawn(async move { client.diagnose_panel(request).await });
    let started = std::time::Instant::now();
    while world.effects("create_line").await.is_empty() {
        assert!(started.elapsed().as_secs() < 20, "no line is made");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    asking.abort();
    while !world.lines().await.is_empty() || !world.left().await.is_empty() {
        assert!(started.elapsed().as_secs() < 20, "the line stays: {:?}", world.left().await);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(world.effects("delete_line").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_a_test_line_is_retired_where_none_can_be_removed() {
    let world = shown().await;
    let panel = world.xtream_panel().await;
    let found = world.diagnose(&panel, true).await;
    let deleted = step(&found, "line_delete");
    assert_eq!((deleted.verdict.as_str(), deleted.cause_code.as_str()), ("warning", "retired"), "{}", verdicts(&found));
    let line = world.lines().await.remove(0);
    assert_eq!((&line["enabled"], &line["admin_enabled"]), (&json!(0), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_change_panels_tests_them() {
    let world = shown().await;
    let panel = world.admin_panel().await;
    let account = ottery_kernel::AccountId::new(ottery_kernel::Clock::now(&ottery_kernel::SystemClock));
    let mut customer = world.client(ottery_testkit::actor::customer(world.brand, account));
    let request = proto::DiagnosePanelRequest { panel_id: panel.id.clone(), test_line: true };
    let refused = customer.diagnose_panel(request).await.unwrap_err();
    assert_eq!(refused.code(), ottery_kit::grpc::Code::PermissionDenied);
    assert!(world.effects("create_line").await.is_empty());
}
