//! First run, hosts, probes.

use serde_json::json;

use crate::browser::Browser;
use crate::world::{OTHER, SHOP, STAFF_HOST, config, gateway_service, world};

#[tokio::test]
async fn secure_s36_set_up_works_once_and_then_never_again() {
    let world = world().await;
    let browser = world.browser(STAFF_HOST);
    assert_eq!(browser.get("/api/v1/setup").await.expect(200), json!({ "open": false }));
    let body = json!({
        "setup_token": "whatever", "email": "second@example.com", "password": "violet harbour engine", "display_name": "Eve",
    });
    browser.post("/api/v1/setup", body.clone()).await.refused(410, "setup_closed");
    world.browser(SHOP).post("/api/v1/setup", body).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_host_nobody_has_is_misdirected_and_names_nobody() {
    let world = world().await;
    for host in ["nobody.example", "", "shop.example.evil.example", "xn--80ak6aa92e.example"] {
        let answer = world.browser(host).get("/api/v1/storefront").await;
        answer.refused(421, "host_unknown");
        let page = world.browser(host).get("/").await;
        assert_eq!(page.status.as_u16(), 421);
        let everything = format!("{page:?}").to_lowercase();
        assert!(!everything.contains("ottery") && !everything.contains("nordlicht"), "{everything}");
    }
    assert_eq!(world.browser(SHOP).get("/api/v1/storefront").await.expect(200)["slug"], "nordlicht");
    assert_eq!(world.browser("Shop.Example:8080").get("/api/v1/storefront").await.expect(200)["slug"], "nordlicht");
    assert_eq!(world.browser(OTHER).get("/api/v1/storefront").await.expect(200)["slug"], "suedwind");
}

#[tokio::test]
async fn a_changed_brand_is_served_at_once() {
    let world = world().await;
    let shop = world.browser("new.example");
    shop.get("/api/v1/storefront").await.refused(421, "host_unknown");
    let mut body = crate::world::brand_body("nordlicht", SHOP);
    body["hosts"] = json!([SHOP, "new.example"]);
    body["version"] = json!(1);
    world.owner.write(reqwest::Method::PUT, &format!("/api/v1/brands/{}", world.brand), body, None).await.expect(200);
    assert_eq!(shop.get("/api/v1/storefront").await.expect(200)["slug"], "nordlicht");
    let offers = shop.get("/api/v1/storefront/plans").await.expect(200);
    assert_eq!(offers["items"][0]["slug"], "family");
    shop.get("/api/v1/storefront/plans/no-such").await.refused(404, "plan_not_found");
}

#[tokio::test]
async fn probes_answer_without_neighbours_and_everything_else_says_that_they_are_away() {
    let host = ottery_testkit::host(&[]).await;
    let running = host.start(vec![gateway_service(&host, config()).await]).await;
    let browser = Browser::new(running.bound(gateway::NAME).unwrap().http[0], SHOP);
    assert_eq!(browser.get("/healthz").await.status.as_u16(), 200);
    assert_eq!(browser.get("/readyz").await.status.as_u16(), 200);
    let away = browser.get("/api/v1/storefront").await;
    assert_eq!(away.status.as_u16(), 503, "{}", away.text);
    assert!(!away.header("retry-after").is_empty());
}
