//! The drift doctor against a simulated panel that somebody changes behind our back.

use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1::entitlement_changed::Wanted;
use ottery_proto::provisioning::v1 as proto;
use ottery_proto::provisioning::v1::service::Step;
use serde_json::{Value, json};

use crate::world::{Subscription, World, config};

const PATIENCE_S: u64 = 30;

/// A world that compares only when it is told to, at once and as fast as the panel answers.
pub async fn doctor() -> World {
    World::with(settings(), vec![ottery_sandbox::PanelSpec { rate_per_second: 0, ..Default::default() }]).await
}

pub fn settings() -> provisioning::Config {
    let mut config = config();
    config.drift.poll_ms = 50;
    config.drift.pace_percent = 100;
    config.drift.retry_s = 1;
    config.drift.lease_ms = 20_000;
    config
}

impl World {
    pub async fn scans(&self) -> Vec<proto::DriftScan> {
        self.staff().list_drift_scans(proto::ListDriftScansRequest {}).await.unwrap().into_inner().scans
    }

    /// Waits until the panel's health is known, so that a scan may begin.
    async fn tested(&self, panel: &proto::Panel) {
        let probe = proto::ProbePanelRequest { panel_id: panel.id.clone() };
        self.staff().probe_panel(probe).await.unwrap();
    }

    /// Makes a scan due.
    pub async fn ask_scan(&self, panel: &proto::Panel) -> proto::DriftScan {
        self.tested(panel).await;
        self.staff().scan_panel(proto::ScanPanelRequest { panel_id: panel.id.clone() }).await.unwrap().into_inner()
    }

    pub async fn scan_that(&self, what: &str, is_it: impl Fn(&proto::DriftScan) -> bool) -> proto::DriftScan {
        let started = std::time::Instant::now();
        loop {
            let scan = self.scans().await.remove(0);
            if is_it(&scan) {
                return scan;
            }
            assert!(started.elapsed().as_secs() < PATIENCE_S, "no scan was {what}: {scan:#?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// A whole scan that began after this call.
    pub async fn scanned(&self, panel: &proto::Panel) -> proto::DriftScan {
        let before = self.ask_scan(panel).await;
        let began = |scan: &proto::DriftScan| scan.began_at.map(|at| (at.seconds, at.nanos));
        let old = began(&before);
        self.scan_that("done", |scan| scan.state == "done" && began(scan) != old).await
    }

    pub async fn drift(&self, state: &str) -> Vec<proto::Drift> {
        let request = proto::ListDriftRequest { state: state.into(), ..Default::default() };
        self.staff().list_drift(request).await.unwrap().into_inner().drift
    }

    pub async fn kinds(&self, state: &str) -> Vec<String> {
        let mut kinds: Vec<_> = self.drift(state).await.into_iter().map(|one| one.kind).collect();
        kinds.sort();
        kinds
    }

    pub async fn decide(&self, action: &str, request: proto::DecideDriftRequest) -> proto::DecideDriftReply {
        let request = proto::DecideDriftRequest { action: action.into(), ..request };
        self.staff().decide_drift(request).await.unwrap().into_inner()
    }

    pub async fn rule(&self, kind: &str, action: &str, panel: &str) {
        let rule =
            proto::DriftRule { kind: kind.into(), action: action.into(), panel_id: panel.into(), ..Default::default() };
        self.staff().put_drift_rule(proto::PutDriftRuleRequest { rule: Some(rule) }).await.unwrap();
    }

    /// Fields that somebody changed are set right without a person.
    pub async fn repairing(&self) {
        for kind in ["expiry", "package", "connections"] {
            self.rule(kind, "repair", "").await;
        }
    }

    async fn by_hand(&self, change: Value) {
        let line = self.lines().await[0]["id"].clone();
        self.control(&format!("panels/SANDBOX1/lines/{line}"), change).await;
    }

    async fn line_becomes(&self, column: &str, value: Value) {
        let started = std::time::Instant::now();
        loop {
            let line = self.lines().await.first().cloned().unwrap_or_default();
            if line[column] == value {
                return;
            }
            assert!(started.elapsed().as_secs() < PATIENCE_S, "{column} stays {}", line[column]);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

fn everything() -> proto::DecideDriftRequest {
    proto::DecideDriftRequest::default()
}

fn these(drift: &[proto::Drift]) -> proto::DecideDriftRequest {
    proto::DecideDriftRequest { ids: drift.iter().map(|one| one.id.clone()).collect(), ..everything() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panel_that_agrees_has_no_drift() {
    let world = doctor().await;
    let panel = world.admin_panel().await;
    world.ready().await;
    let scan = world.scanned(&panel).await;
    assert_eq!((scan.lists, scan.lines, scan.pages, scan.problem.as_str()), (true, 1, 1, ""));
    assert!(world.drift("").await.is_empty());
    assert!(scan.open.iter().all(|count| count.count == 0) && scan.open.len() == 6);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_097_a_line_that_plays_unpaid_is_reported_and_repaired_on_order() {
    let world = doctor().await;
    let panel = world.admin_panel().await;
    let (mut subscription, service) = world.ready().await;
    world.want(&mut subscription, Wanted::Suspended).await;
    world.until(&subscription, Step::Suspended).await;
    world.by_hand(json!({ "enabled": true })).await;
    world.scanned(&panel).await;
    let open = world.drift("open").await;
    assert_eq!((open.len(), open[0].kind.as_str(), open[0].wanted.as_str()), (1, "unpaid_served", "suspended"));
    assert_eq!((open[0].service_id.as_str(), &open[0].username), (service.id.as_str(), &service.username));
    assert_eq!(world.lines().await[0]["enabled"], 1, "a person is asked before anything is written");
    let reply = world.decide("repair", these(&open)).await;
    assert_eq!((reply.changed, reply.left.len()), (1, 0));
    world.line_becomes("enabled", json!(0)).await;
    world.until(&subscription, Step::Suspended).await;
    world.scanned(&panel).await;
    let after = world.drift("").await;
    assert_eq!((after.len(), after[0].state.as_str()), (1, "repaired"));
    assert!(after[0].closed_at.is_some(), "the next scan proves it");
    let gauge = |kind: &str| {
        let labels = [("panel", panel.id.as_str()), ("kind", kind)];
        world.host.of(provisioning::NAME).metrics.gauge("ottery_drift_open", "").get(&labels)
    };
    assert!(gauge("unpaid_served").abs() < f64::EPSILON);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_096_a_paid_line_that_is_gone_is_reported_and_made_again_on_order() {
    let world = doctor().await;
    let panel = world.admin_panel().await;
    let (subscription, service) = world.ready().await;
    let credentials = world.credentials(&service).await;
    let line = world.lines().await[0]["id"].clone();
    let url = format!("http://{}/control/panels/SANDBOX1/lines/{line}", world.sandbox.addresses().control);
    world.http.delete(url).send().await.unwrap();
    world.scanned(&panel).await;
    let open = world.drift("open").await;
    assert_eq!((open.len(), open[0].kind.as_str(), open[0].observed.as_str()), (1, "paid_dead", "no line"));
    let stuck = world.until(&subscription, Step::Stuck).await;
    assert_eq!(stuck.status_code, "line_missing", "the customer's page says so, too");
    assert!(world.lines().await.is_empty());
    world.scanned(&panel).await;
    assert_eq!(world.drift("open").await.len(), 1, "the same one, as long as it is so");
    assert_eq!(world.decide("repair", everything()).await.changed, 1);
    world.until(&subscription, Step::Ready).await;
    assert_eq!(world.lines().await.len(), 1);
    assert!(world.plays(&credentials).await, "with the name and the password the customer has");
    world.scanned(&panel).await;
    assert!(world.drift("open").await.is_empty());
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_097_a_paid_line_that_is_off_banned_or_expired_is_paid_but_dead() {
    let world = doctor().await;
    let panel = world.admin_panel().await;
    world.ready().await;
    for change in [json!({ "enabled": false }), json!({ "exp_date": 1_600_000_000 })] {
        world.by_hand(change.clone()).await;
        world.scanned(&panel).await;
        assert_eq!(world.kinds("open").await, ["paid_dead"], "{change}");
        assert_eq!(world.decide("repair", everything()).await.changed, 1);
        let started = std::time::Instant::now();
        while !world.drift("open").await.is_empty()
            || world.drift("repaired").await.iter().any(|one| one.closed_at.is_none())
        {
            assert!(started.elapsed().as_secs() < PATIENCE_S, "{change} is not healed: {:#?}", world.drift("").await);
            world.scanned(&panel).await;
        }
        assert_eq!(world.lines().await[0]["enabled"], 1, "{change}");
    }
    world.by_hand(json!({ "admin_enabled": false })).await;
    world.scanned(&panel).await;
    assert_eq!(world.drift("open").await[0].observed, "banned by the panel's people");
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_097_expiry_package_and_connections_are_kinds_of_their_own_and_heal_together() {
    let world = doctor().await;
    let panel = world.admin_panel().await;
    let (subscription, _) = world.ready().await;
    let far = subscription.until.timestamp() + 400 * 86_400;
    world.by_hand(json!({ "exp_date": far, "max_connections": 50, "bouquets": [1, 2, 3] })).await;
    world.scanned(&panel).await;
    assert_eq!(world.kinds("open").await, ["connections", "expiry", "package"]);
    let open = world.drift("open").await;
    let of = |kind: &str| open.iter().find(|one| one.kind == kind).unwrap();
    assert_eq!((of("connections").wanted.as_str(), of("connections").observed.as_str()), ("2 streams", "50 streams"));
    assert_eq!((of("package").wanted.as_str(), of("package").observed.as_str()), ("bouquets 1, 2", "bouquets 1, 2, 3"));

    // A preview counts and changes nothing; a number that moved on meanwhile is refused.
    let preview = world.decide("repair", proto::DecideDriftRequest { dry_run: true, ..everything() }).await;
    assert_eq!((preview.changed, world.drift("open").await.len()), (3, 3));
    let wrong = proto::DecideDriftRequest { action: "repair".into(), expected: 2, ..everything() };
    let refused = world.staff().decide_drift(wrong).await.unwrap_err();
    assert_eq!(Problem::from(refused).reason, "DRIFT_MOVED");
    let reply = world.decide("repair", proto::DecideDriftRequest { expected: 3, ..everything() }).await;
    assert_eq!(reply.changed, 3);
    world.line_becomes("max_connections", json!(2)).await;
    world.until(&subscription, Step::Ready).await;
    world.scanned(&panel).await;
    assert!(world.drift("open").await.is_empty());
    assert!(world.drift("repaired").await.iter().all(|one| one.closed_at.is_some()));
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_097_rules_of_a_panel_go_before_those_of_the_brand_and_repair_once() {
    let world = doctor().await;
    let panel = world.admin_panel().await;
    world.ready().await;
    world.rule("connections", "ignore", "").await;
    world.rule("connections", "repair", &panel.id).await;
    world.by_hand(json!({ "max_connections": 50 })).await;
    world.scanned(&panel).await;
    world.line_becomes("max_connections", json!(2)).await;
    let started = std::time::Instant::now();
    while world.drift("repaired").await.first().is_none_or(|one| one.closed_at.is_none()) {
        assert!(started.elapsed().as_secs() < PATIENCE_S, "{:#?}", world.drift("").await);
        world.scanned(&panel).await;
    }
    let repaired = world.drift("repaired").await.remove(0);
    assert_eq!((repaired.decided_by.as_str(), repaired.returns), ("rule", 0));
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_097_adopted_stays_until_it_moves_and_ignored_stays_ignored() {
    let world = doctor().await;
    let panel = world.admin_panel().await;
    world.ready().await;
    world.by_hand(json!({ "max_connections": 50 })).await;
    world.scanned(&panel).await;
    let open = world.drift("open").await;
    world.decide("adopt", proto::DecideDriftRequest { reason: "a favour".into(), ..these(&open) }).await;
    world.scanned(&panel).await;
    assert_eq!(world.kinds("adopted").await, ["connections"]);
    assert_eq!(world.lines().await[0]["max_connections"], 50);
    world.by_hand(json!({ "max_connections": 51 })).await;
    world.scanned(&panel).await;
    let moved = world.drift("open").await;
    assert_eq!((moved.len(), moved[0].observed.as_str()), (1, "51 streams"));

    world.decide("ignore", these(&moved)).await;
    world.by_hand(json!({ "max_connections": 52 })).await;
    world.scanned(&panel).await;
    world.scanned(&panel).await;
    assert!(world.drift("open").await.is_empty());
    let ignored = world.drift("ignored").await;
    assert_eq!((ignored.len(), ignored[0].observed.as_str()), (1, "52 streams"));
    assert_eq!(world.decide("reopen", these(&ignored)).await.changed, 1);
    world.by_hand(json!({ "max_connections": 2 })).await;
    world.scanned(&panel).await;
    assert_eq!(world.kinds("gone").await, ["connections"], "what is right by itself needs nobody");
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_never_written_and_can_be_adopted_or_ignored() {
    let world = doctor().await;
    let panel = world.admin_panel().await;
    let (subscription, _) = world.ready().await;
    let until = subscription.until.timestamp();
    let made = json!({ "username": "walkin77", "password": "from-before", "bouquets": [1], "exp_date": until });
    let stranger = world.control("panels/SANDBOX1/lines", made).await;
    world.scanned(&panel).await;
    let open = world.drift("open").await;
    assert_eq!((open.len(), open[0].kind.as_str(), open[0].username.as_str()), (1, "stranger", "walkin77"));
    assert_eq!(open[0].service_id, "");
    for (action, code) in [("repair", "stranger"), ("adopt", "needs_service")] {
        let reply = world.decide(action, everything()).await;
        assert_eq!((reply.changed, reply.left[0].code.as_str(), reply.left[0].count), (0, code, 1));
    }
    let rule = proto::DriftRule { kind: "stranger".into(), action: "repair".into(), ..Default::default() };
    let refused = world.staff().put_drift_rule(proto::PutDriftRuleRequest { rule: Some(rule) }).await.unwrap_err();
    assert_eq!(Problem::from(refused).reason, "DRIFT_STRANGER");

    world.decide("ignore", these(&open)).await;
    world.scanned(&panel).await;
    world.scanned(&panel).await;
    assert_eq!((world.drift("open").await.len(), world.drift("ignored").await.len()), (0, 1));
    let lines = world.lines().await;
    assert!(lines.contains(&json!(merged(&stranger, &lines))), "not a letter of it was changed");

    // A customer of before the platform: the line becomes that of their service, whose order waits for a panel.
    let waiting = proto::Panel { enabled: false, version: 0, ..panel.clone() };
    let request =
        proto::PutPanelRequest { panel: Some(waiting), expected_version: panel.version, ..Default::default() };
    world.staff().put_panel(request).await.unwrap();
    let mut owner = Subscription { until: subscription.until, ..Subscription::new() };
    world.want(&mut owner, Wanted::Active).await;
    let service = world.until(&owner, Step::Waiting).await;
    let adopt = proto::DecideDriftRequest { service_id: service.id.clone(), ..these(&open) };
    assert_eq!(world.decide("adopt", adopt.clone()).await.changed, 1);
    // The line is read; what has to be written waits for the panel.
    let waits = |service: &proto::Service| service.status_code == "panel_disabled";
    world.until_that(&owner, "waiting for its panel", waits).await;
    let again =
        world.staff().get_panel(proto::GetPanelRequest { panel_id: panel.id.clone() }).await.unwrap().into_inner();
    let version = again.version;
    let request = proto::PutPanelRequest {
        panel: Some(proto::Panel { enabled: true, ..again }),
        expected_version: version,
        ..Default::default()
    };
    world.staff().put_panel(request).await.unwrap();
    let ready = world.until(&owner, Step::Ready).await;
    assert_eq!(ready.username, "walkin77");
    let credentials = world.credentials(&ready).await;
    assert_eq!(credentials.password, "from-before", "the customer's player goes on as it is");
    assert!(world.plays(&credentials).await);
    assert_eq!(world.lines().await.len(), 2);
    world.scanned(&panel).await;
    assert!(world.drift("open").await.is_empty());
    world.inv().await;
}

/// The row of a line among those of the panel, without what the control adds.
fn merged(seeded: &Value, lines: &[Value]) -> Value {
    let mut row = lines.iter().find(|line| line["id"] == seeded["id"]).cloned().unwrap_or_default();
    for (column, value) in seeded.as_object().unwrap() {
        row[column] = value.clone();
    }
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_a_panel_that_lists_nothing_says_so_and_our_lines_are_compared() {
    let world = doctor().await;
    let panel = world.xtream_panel().await;
    world.ready().await;
    let stranger = json!({ "username": "unseen", "password": "unseen", "bouquets": [1] });
    world.control("panels/SANDBOX1/lines", stranger).await;
    world.by_hand(json!({ "max_connections": 9 })).await;
    let scan = world.scanned(&panel).await;
    assert!(!scan.lists);
    assert_eq!((scan.lines, scan.pages), (1, 0));
    assert_eq!(world.kinds("open").await, ["connections"]);
    world.decide("repair", everything()).await;
    world.line_becomes("max_connections", json!(2)).await;
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_092_on_a_resellers_key_nothing_is_bought_for_a_difference() {
    let world = doctor().await;
    let panel = world.reseller_panel().await;
    world.ready().await;
    world.scanned(&panel).await;
    assert!(world.drift("").await.is_empty(), "{:#?}", world.drift("").await);
    let paid = world.effects("edit_line").await.len();
    world.by_hand(json!({ "max_connections": 9 })).await;
    world.rule("connections", "repair", "").await;
    world.scanned(&panel).await;
    assert_eq!(world.kinds("open").await, ["connections"], "a rule cannot repair what only a purchase would");
    let reply = world.decide("repair", everything()).await;
    assert_eq!((reply.changed, reply.left[0].code.as_str()), (0, "packages"));
    assert_eq!(world.effects("edit_line").await.len(), paid);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_of_one_brand_are_not_another_ones() {
    let world = doctor().await;
    let panel = world.admin_panel().await;
    world.ready().await;
    world.by_hand(json!({ "max_connections": 9 })).await;
    world.scanned(&panel).await;
    let open = world.drift("open").await;
    let stranger = ottery_kernel::BrandId::new(ottery_kernel::Clock::now(&ottery_kernel::SystemClock));
    let mut other = world.client(ottery_testkit::actor::owner(stranger));
    assert!(other.list_drift(proto::ListDriftRequest::default()).await.unwrap().into_inner().drift.is_empty());
    let request = proto::DecideDriftRequest { action: "ignore".into(), ..these(&open) };
    assert_eq!(other.decide_drift(request).await.unwrap().into_inner().changed, 0);
    let refused = other.scan_panel(proto::ScanPanelRequest { panel_id: panel.id.clone() }).await.unwrap_err();
    assert_eq!(Problem::from(refused).reason, "PANEL_NOT_FOUND");
    assert_eq!(world.drift("open").await.len(), 1);
    world.inv().await;
}
