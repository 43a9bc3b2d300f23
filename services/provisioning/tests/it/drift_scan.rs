//! Scans that meet work under way, answers that are none, and their own death.

use ottery_proto::billing::v1::entitlement_changed::Wanted;
use ottery_proto::provisioning::v1::service::Step;
use serde_json::json;

use crate::drift::{doctor, settings};
use crate::world::{World, days};

#[tokio::test(flavor = "multi_thread")]
async fn case_098_what_is_in_flight_is_not_reported() {
    let world = doctor().await;
    let panel = world.admin_panel().await;
    let (mut subscription, _) = world.ready().await;
    // The list is answered as it was, late; meanwhile the line is renewed, widened and suspended.
    let slow =
        json!({ "target": "panel:SANDBOX1", "action": "get_lines", "kind": "late", "delay_ms": 1_500, "times": 1 });
    world.control("faults", slow).await;
    world.ask_scan(&panel).await;
    world.scan_that("running", |scan| scan.state == "running").await;
    subscription.until += days(31);
    subscription.connections = 5;
    world.want(&mut subscription, Wanted::Active).await;
    world.until(&subscription, Step::Ready).await;
    world.want(&mut subscription, Wanted::Suspended).await;
    world.until(&subscription, Step::Suspended).await;
    world.scan_that("done", |scan| scan.state == "done").await;
    assert!(world.drift("").await.is_empty(), "{:#?}", world.drift("").await);

    // A change the panel does not take now is wanted and not observed: no difference either.
    world.fault("edit_line", "http_503", 100_000).await;
    world.fault("enable_line", "http_503", 100_000).await;
    subscription.connections = 6;
    world.want(&mut subscription, Wanted::Active).await;
    world.until(&subscription, Step::Waiting).await;
    world.ask_scan(&panel).await;
    world.no_more_faults().await;
    world.until(&subscription, Step::Ready).await;
    // The one that was asked for may have stepped back for the order that waits.
    world.scan_that("done", |scan| scan.state == "done").await;
    world.scanned(&panel).await;
    assert!(world.drift("").await.is_empty(), "{:#?}", world.drift("").await);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_105_a_list_that_is_garbage_half_or_endless_says_nothing_about_lines() {
    let world = doctor().await;
    let panel = world.admin_panel().await;
    let (subscription, _) = world.ready().await;
    for kind in ["html_error", "truncated", "cut", "huge", "null", "empty_200", "http_502"] {
        world.fault("get_lines", kind, 1).await;
        world.ask_scan(&panel).await;
        let stopped = world.scan_that("stopped", |scan| scan.state == "stopped").await;
        assert!(!stopped.problem.is_empty() && !stopped.remedy.is_empty(), "{kind}: {stopped:?}");
        assert!(world.drift("").await.is_empty(), "{kind}");
        // It goes on by itself, from where it stopped.
        world.scan_that("done", |scan| scan.state == "done").await;
        assert!(world.drift("").await.is_empty(), "{kind}");
    }
    let service = world.service(&subscription).await.unwrap();
    assert_eq!(service.step(), Step::Ready);
    world.inv().await;
}

async fn listed(world: &World) -> u64 {
    let counters = world.look("counters").await;
    let calls = counters["panels"]["SANDBOX1"]["calls"].clone();
    calls
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.contains("get_lines"))
        .filter_map(|(_, count)| count.as_u64())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_f01_a_scan_that_is_killed_goes_on_where_it_stopped() {
    let mut quiet = settings();
    // The service's own worker sleeps: the test kills and starts workers itself.
    quiet.drift.poll_ms = 3_600_000;
    let world = World::with(quiet, vec![ottery_sandbox::PanelSpec { rate_per_second: 0, ..Default::default() }]).await;
    let panel = world.admin_panel().await;
    world.ready().await;
    for number in 0..450 {
        let line = json!({ "username": format!("old{number:04}"), "password": "x", "bouquets": [1] });
        world.control("panels/SANDBOX1/lines", line).await;
    }
    let mut eager = settings();
    eager.drift.lease_ms = 1_500;
    let host = world.host.of(provisioning::NAME);
    let pool = host.pool(provisioning::NAME).await.unwrap();
    let app = provisioning::app::App::new(pool, host, eager).unwrap();
    let work = || tokio::spawn(provisioning::app::drift::run(app.clone(), tokio_util::sync::CancellationToken::new()));

    let before = listed(&world).await;
    world.ask_scan(&panel).await;
    // Slow enough to die while the second page is read.
    world.control("panels/SANDBOX1/settings", json!({ "latency_ms": 1_000 })).await;
    let first = work();
    world.scan_that("on its second page", |scan| scan.pages == 1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let cut = world.scans().await.remove(0);
    assert!(cut.state == "running" && cut.pages < 3, "{cut:?}");
    let found = world.drift_count("stranger").await;
    assert!(found >= 199, "what was found is kept: {found}");

    world.control("panels/SANDBOX1/settings", json!({ "latency_ms": 0 })).await;
    let second = work();
    let done = world.scan_that("done", |scan| scan.state == "done").await;
    second.abort();
    assert_eq!((done.pages, done.lines), (3, 451));
    assert_eq!(done.began_at, cut.began_at, "the same scan");
    let read = listed(&world).await - before;
    assert!(read <= 4, "no page but the one that was lost is read again: {read} calls");
    assert_eq!(world.drift_count("stranger").await, 450);
    world.inv().await;
}

impl World {
    async fn drift_count(&self, kind: &str) -> u64 {
        let scan = self.scans().await.remove(0);
        scan.open.iter().find(|count| count.kind == kind).map_or(0, |count| count.count)
    }
}
