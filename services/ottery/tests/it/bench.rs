//! Benches run, answer in their shape and lose nothing; how fast they are is for people to read, never for a test.

use serde_json::Value;
use tokio::process::Command;

use crate::copy::OTTERY;

async fn bench(arguments: &[&str]) -> Value {
    let said = Command::new(OTTERY).arg("bench").args(arguments).arg("--json").output().await.unwrap();
    let (out, errors) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{out}\n{errors}");
    serde_json::from_str(out.trim()).unwrap_or_else(|error| panic!("{error}: {out}"))
}

#[track_caller]
fn has_the_shape(result: &Value, name: &str) {
    assert_eq!(result["bench"], name);
    for number in ["value", "limit", "ratio", "p50_ms", "p99_ms", "max_ms", "rss_mb", "cpu_s"] {
        assert!(result[number].as_f64().is_some_and(|number| number > 0.0), "{number} in {result}");
    }
    assert!(result["unit"].is_string() && result["details"]["build"]["version"].is_string(), "{result}");
    assert_eq!(result["details"]["failures"], 0, "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storefront_is_measured_with_limits_traces_and_changes_on() {
    let result = bench(&["storefront", "--seconds", "0.4", "--rounds", "1", "--connections", "8"]).await;
    has_the_shape(&result, "storefront");
    let details = &result["details"];
    assert!(details["limits"]["one_client_was_stopped_after"].as_u64().unwrap() >= 400, "{details}");
    assert!(details["tracing"]["spans"].as_u64().unwrap() > 0, "{details}");
    let pages = details["pages"].as_array().unwrap();
    assert_eq!(pages.len(), 2);
    for page in pages {
        assert!(page["changes"]["made"].as_u64().unwrap() > 0, "{page}");
        assert!(page["changes"]["staleness_max_ms"].as_f64().is_some(), "{page}");
        for server in ["bare", "shop", "shop_with_changes"] {
            assert!(page[server]["at_rate"]["answers"].as_u64().unwrap() > 0, "{server}: {page}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn activations_are_measured_from_webhook_to_player_and_none_is_lost() {
    let result = bench(&["activation", "--orders", "12", "--rate", "6", "--accounts", "3", "--panels", "2"]).await;
    has_the_shape(&result, "activation");
    let details = &result["details"];
    assert_eq!((&details["usable"], &details["unfinished"], &details["strangers"]), (&12.into(), &0.into(), &0.into()));
    assert_eq!(details["invariants_broken"], serde_json::json!([]), "{details}");
    assert!(details["spans"].as_u64().unwrap() >= 12, "{details}");
    assert!(details["panel_alone"]["p50_ms"].as_f64().unwrap() > 0.0, "{details}");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_012_a_month_end_shared_by_four_processes_is_resumed_when_two_die_in_a_batch() {
    let arguments =
        ["renewals", "--subscriptions", "2500", "--processes", "4", "--workers", "1", "--batch", "40", "--kills", "2"];
    let result = bench(&arguments).await;
    has_the_shape(&result, "renewals");
    let run = &result["details"]["runs"][0];
    // Every subscription has one invoice, the numbers are those from 1 on, and the doctor finds nothing.
    assert_eq!(run["wrong"], serde_json::json!([]), "{run}");
    assert_eq!((&run["processes"], &run["killed"]), (&4.into(), &2.into()), "{run}");
    let checked = &run["checked"];
    assert_eq!((&checked["invoices"], &checked["paid_from_wallets"]), (&2500.into(), &500.into()), "{checked}");
    assert_eq!(checked["numbers"], serde_json::json!([1, 2500]));
    assert_eq!(checked["events"]["billing.invoice.finalised.v1"], 2500);
    assert_eq!(checked["events"]["billing.entitlement.changed.v1"], 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_portal_is_measured_with_few_subscriptions_and_with_many() {
    let result = bench(&["portal", "--subscriptions", "20000", "--rate", "20", "--seconds", "2"]).await;
    has_the_shape(&result, "portal");
    let sizes = result["details"]["sizes"].as_array().unwrap();
    assert_eq!(sizes.len(), 2, "{result}");
    for size in sizes {
        assert_eq!(size["latency"].as_object().unwrap().len(), 4, "{size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_f32_every_renewal_of_a_rush_is_paid_and_reaches_its_panel_exactly_once() {
    let arguments = ["renewal-rush", "--subscriptions", "24", "--panels", "3", "--panel-latency-ms", "20"];
    let result = bench(&[&arguments[..], &["--panel-rate", "200", "--panel-concurrency", "8"]].concat()).await;
    has_the_shape(&result, "renewal-rush");
    let details = &result["details"];
    for (figure, wanted) in [("renewed", 24), ("renewed_twice", 0), ("unpaid_renewals", 0)] {
        assert_eq!(details[figure], wanted, "{figure}: {details}");
    }
    assert_eq!(details["invariants_broken"], serde_json::json!([]), "{details}");
    for panel in ["BENCH1", "BENCH2", "BENCH3"] {
        assert!(details["panel_calls"][panel].is_object(), "{panel}: {details}");
    }
    assert!(details["portal"]["asked"].as_u64().unwrap() > 0, "{details}");
    assert!(details["portal"]["p95_ms"].as_f64().unwrap() > 0.0, "{details}");
}
