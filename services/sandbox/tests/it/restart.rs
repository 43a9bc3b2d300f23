//! State over a restart.

use serde_json::json;

use crate::harness;

#[tokio::test]
async fn lines_credits_checkouts_and_waiting_webhooks_survive() {
    let folder = tempfile::tempdir().expect("folder");
    let mut config = harness::config();
    config.journal = Some(folder.path().join("sandbox.journal"));
    let before = harness::start_with(config.clone()).await;
    let buy = [("action", "create_line"), ("package", "1"), ("username", "bob-line-1"), ("password", "secret-two")];
    before.reseller(&buy).await.expect("answers");
    before.control("panels/PANELCODE/clock", json!({"now": "2026-06-15T10:00:00Z"})).await;
    let body = json!({
        "reference": "inv", "amount": {"currency": "EUR", "minor": 100}, "success_url": "http://a.test/", "cancel_url": "http://a.test/",
    });
    let request = before.http.post(before.payments("/v1/checkouts")).bearer_auth("sk_sandbox_demo").json(&body);
    let checkout: serde_json::Value = request.send().await.expect("answers").json().await.expect("JSON");
    let id = checkout["id"].as_str().expect("an id");
    let form = [("number", "4242424242424242"), ("expiry", "12/39")];
    before.http.post(before.payments(&format!("/checkout/{id}/pay"))).form(&form).send().await.expect("answers");
    before.running.stop().await;

    let after = harness::start_with(config).await;
    let panel = after.look("panels/PANELCODE").await;
    assert_eq!((&panel["lines"], &panel["users"][1]["credits"]), (&json!(1), &json!(9)));
    assert_eq!(panel["now"], "2026-06-15T10:00:00Z");
    assert_eq!(after.look("payments/charges").await["succeeded"], 1);
    let events = after.look("payments/events").await;
    assert_eq!(events[0]["delivery"]["state"], "pending");
    let second = after.reseller(&[
        ("action", "create_line"),
        ("package", "1"),
        ("username", "bob-line-2"),
        ("password", "secret-two"),
    ]);
    assert_eq!(second.await.expect("answers")["data"]["id"], 2);
}
