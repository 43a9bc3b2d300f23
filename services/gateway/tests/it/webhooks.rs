//! Providers' calls pass through, or are to be sent again.

use reqwest::Method;

use crate::browser::Browser;
use crate::world::{SHOP, config, gateway_service, world};

#[tokio::test]
async fn secure_s19_a_forged_webhook_is_refused_without_detail_and_leaves_no_row() {
    let world = world().await;
    let provider = world.browser(SHOP);
    for account in ["nothing", "pac_0192f0c1a2b37c4d8e5f60718293a4b5"] {
        let request = provider
            .request(Method::POST, &format!("/webhooks/sandbox/{account}"))
            .header("sandbox-signature", "t=1,v1=00")
            .body(r#"{"id":"evt_1","type":"payment.succeeded"}"#);
        let answer = provider.send(request).await;
        answer.refused(400, "webhook_refused");
        assert!(answer.json().get("field").is_none() && answer.json().get("facts").is_none());
    }
    let (rows,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM provider_event").fetch_one(&world.billing.admin_pool).await.unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn a_webhook_is_to_be_sent_again_while_billing_is_away() {
    let host = ottery_testkit::host(&[]).await;
    let running = host.start(vec![gateway_service(&host, config()).await]).await;
    let provider = Browser::new(running.bound(gateway::NAME).unwrap().http[0], "whatever.example");
    let answer = provider.send(provider.request(Method::POST, "/webhooks/sandbox/pac_1").body("{}")).await;
    answer.refused(503, "try_again");
    assert_eq!(answer.header("retry-after"), "5");
}

#[tokio::test]
async fn a_webhook_too_large_is_refused() {
    let host = ottery_testkit::host(&[]).await;
    let running = host.start(vec![gateway_service(&host, config()).await]).await;
    let provider = Browser::new(running.bound(gateway::NAME).unwrap().http[0], SHOP);
    let huge = "x".repeat(1024 * 1024 + 1);
    let answer = provider.send(provider.request(Method::POST, "/webhooks/sandbox/pac_1").body(huge)).await;
    answer.refused(413, "body_too_large");
}
