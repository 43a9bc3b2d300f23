//! Pages sent from memory: never older than what changed, never another's.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::world::{OTHER, SHOP, World, brand_body, config, gateway_service, plan, world, world_with};

/// Longer than any test: whatever is seen to change was told, not timed out.
const NEVER_MS: u64 = 3_600_000;

fn renamed(plan: &Value, name: &str) -> Value {
    json!({
        "slug": plan["slug"], "name": name, "connections": 2, "prices": plan["current"]["prices"],
        "mapping": plan["current"]["mapping"], "version": plan["version"],
    })
}

async fn rename(world: &World, plan: &Value, name: &str) -> Value {
    let path = format!("/api/v1/plans/{}", plan["id"].as_str().unwrap());
    world.owner_here().write(Method::PUT, &path, renamed(plan, name), None).await.expect(200)
}

async fn shows(browser: &Browser, path: &str, text: &str) -> bool {
    let page = browser.get(path).await;
    assert_eq!(page.status.as_u16(), 200, "{path}: {}", page.text);
    page.text.contains(text)
}

async fn until_shows(browser: &Browser, path: &str, text: &str) {
    for _ in 0..200 {
        if shows(browser, path, text).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} never shows {text}");
}

#[tokio::test]
async fn a_page_shows_a_changed_plan_as_soon_as_the_change_is_acknowledged() {
    let mut config = config();
    config.cache.catalog_ms = NEVER_MS;
    let world = world_with(config).await;
    let shop = world.browser(SHOP);
    let mut plan = world.plan.clone();
    for name in ["Evening", "Night", "Weekend"] {
        // Kept in memory before the change, and read again after it.
        for path in ["/", "/plans", "/plans/family"] {
            assert!(!shows(&shop, path, name).await, "{path}");
        }
        plan = rename(&world, &plan, name).await;
        for path in ["/", "/plans", "/plans/family"] {
            assert!(shows(&shop, path, name).await, "{path} is older than the change to {name}");
        }
    }
}

#[tokio::test]
async fn other_replicas_hear_of_a_change() {
    let mut config = config();
    config.cache.catalog_ms = NEVER_MS;
    let world = world_with(config.clone()).await;
    let running = world.host.start(vec![gateway_service(&world.host, config).await]).await;
    let elsewhere = Browser::new(running.bound(gateway::NAME).unwrap().http[0], SHOP);
    assert!(shows(&elsewhere, "/plans", "Family").await);
    rename(&world, &world.plan, "Evening").await;
    until_shows(&elsewhere, "/plans", "Evening").await;

    let path = format!("/api/v1/brands/{}", world.brand);
    let mut brand = brand_body("nordlicht", SHOP);
    brand["name"] = "Polarstern".into();
    brand["version"] = world.owner_here().get(&path).await.expect(200)["version"].clone();
    world.owner_here().write(Method::PUT, &path, brand, None).await.expect(200);
    assert!(shows(&world.browser(SHOP), "/plans", "Polarstern").await);
    until_shows(&elsewhere, "/plans", "Polarstern").await;
}

#[tokio::test]
async fn brands_and_colours_never_share_a_page() {
    let world = world().await;
    plan(&world.owner.with("ottery-brand", &world.other_brand)).await;
    let (one, other) = (world.browser(SHOP), world.browser(OTHER));
    let dark = world.browser(SHOP);
    dark.cookies.lock().unwrap().insert("ottery_theme".into(), "dark".into());
    // Twice: the second answers come from memory.
    for _ in 0..2 {
        for path in ["/", "/plans", "/plans/family"] {
            assert!(shows(&one, path, "nordlicht").await && !shows(&one, path, "suedwind").await, "{path}");
            assert!(shows(&other, path, "suedwind").await && !shows(&other, path, "nordlicht").await, "{path}");
            assert!(shows(&dark, path, "data-theme=\"dark\"").await, "{path}");
            assert!(!shows(&one, path, "data-theme").await, "{path}");
        }
    }
    let gone = one.get("/plans/no-such-plan").await;
    assert_eq!(gone.status.as_u16(), 404, "{}", gone.text);
}

#[tokio::test]
async fn a_browser_that_has_the_page_is_told_so_with_every_header_of_safety() {
    let world = world().await;
    let shop = world.browser(SHOP);
    let first = shop.get("/plans").await;
    let again = shop.with("if-none-match", first.header("etag")).get("/plans").await;
    assert_eq!((first.status.as_u16(), again.status.as_u16(), again.text.as_str()), (200, 304, ""));
    let zipped = shop.with("accept-encoding", "gzip").get("/plans").await;
    assert_eq!(zipped.header("content-encoding"), "gzip");
    assert_ne!(zipped.header("etag"), first.header("etag"));
    for answer in [&first, &again, &zipped] {
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("script-src 'self';") && policy.contains("style-src 'self';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("vary"), "Cookie, Accept-Encoding");
        assert_eq!(answer.header("ratelimit-limit"), "400");
    }
    // One page, three requests.
    let ids: std::collections::BTreeSet<_> =
        [&first, &again, &zipped].map(|answer| answer.header("x-request-id").to_owned()).into();
    assert_eq!(ids.len(), 3);

    rename(&world, &world.plan, "Evening").await;
    let changed = shop.with("if-none-match", first.header("etag")).get("/plans").await;
    assert_eq!(changed.status.as_u16(), 200);
    assert!(changed.text.contains("Evening"));
}
