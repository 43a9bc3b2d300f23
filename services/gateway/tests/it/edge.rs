//! What every request passes, seen from outside.

use reqwest::Method;
use serde_json::json;

use crate::world::{OTHER, SHOP, STAFF_HOST, config, world, world_with};

#[tokio::test]
async fn secure_s04_a_page_of_another_site_changes_nothing() {
    let world = world().await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let attack = |headers: Vec<(&'static str, String)>| {
        let mut request = customer.request(Method::POST, "/api/v1/auth/sign-out-everywhere");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body("{}")
    };
    let json = || ("content-type", "application/json".to_owned());
    for (headers, status, code) in [
        (vec![json(), ("origin", format!("http://{OTHER}"))], 403, "cross_site"),
        (vec![json(), ("sec-fetch-site", "same-site".into()), ("origin", customer.origin())], 403, "cross_site"),
        (vec![json(), ("sec-fetch-site", "cross-site".into())], 403, "cross_site"),
        (vec![json(), ("origin", "null".into())], 403, "cross_site"),
        (vec![json()], 403, "origin_missing"),
        (vec![("content-type", "text/plain".into()), ("origin", customer.origin())], 415, "content_type"),
    ] {
        customer.send(attack(headers)).await.refused(status, code);
    }
    customer.get("/api/v1/me").await.expect(200);
    let answer =
        customer.send(customer.request(Method::OPTIONS, "/api/v1/me").header("origin", "http://evil.example")).await;
    assert!(answer.headers.get("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn secure_s29_headers_over_the_wire() {
    let world = world().await;
    for (path, has_store) in [("/api/v1/storefront", true), ("/api/v1/nothing", true), ("/healthz", true)] {
        let answer = world.browser(SHOP).get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'", "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("cache-control") == "no-store", has_store, "{path}");
        assert!(answer.header("x-request-id").starts_with("req_"), "{path}");
        assert!(answer.headers.get("server").is_none() && answer.headers.get("x-powered-by").is_none());
    }
    let page = world.browser(SHOP).get("/no-such-page").await;
    assert_eq!(page.status.as_u16(), 404);
    assert!(page.header("content-security-policy").contains("script-src 'self';"), "{page:?}");
}

#[tokio::test]
async fn secure_s40_every_refusal_is_a_problem_with_a_request_id() {
    let world = world().await;
    let shop = world.browser(SHOP);
    let post = |path: &str, body: &'static str| {
        shop.request(Method::POST, path)
            .header("origin", shop.origin())
            .header("content-type", "application/json")
            .body(body)
    };
    let answers = [
        (shop.get("/api/v1/nothing").await, 404, "not_found"),
        (shop.send(post("/api/v1/quotes", "{")).await, 400, "json_invalid"),
        (shop.send(post("/api/v1/quotes", "[]")).await, 400, "input_invalid"),
        (shop.send(post("/api/v1/quotes", "{} {}")).await, 400, "input_invalid"),
        (shop.send(post("/api/v1/me", "{}")).await, 405, "method_not_allowed"),
        (shop.send(post("/api/v1/quotes", "{\"price_id\":\"prc_1\"}")).await, 400, ""),
    ];
    for (answer, status, code) in answers {
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.text);
        let body = answer.json();
        assert!(code.is_empty() || body["code"] == code, "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["request_id"].as_str().unwrap(), answer.header("x-request-id"));
        assert!(!answer.text.contains("src/") && !answer.text.contains("sqlx") && !answer.text.contains("SELECT"));
    }
    let huge = "x".repeat(1024 * 1024 + 10);
    let request = shop
        .request(Method::POST, "/api/v1/quotes")
        .header("origin", shop.origin())
        .header("content-type", "application/json");
    shop.send(request.body(huge)).await.refused(413, "body_too_large");
}

#[tokio::test]
async fn secure_s25_too_many_requests_are_told_when_to_come_back() {
    let mut config = config();
    config.limits.client_per_second = 1;
    config.limits.client_burst = 60;
    config.limits.credentials_per_minute = 5;
    let world = world_with(config).await;
    let shop = world.browser(SHOP);
    let first = shop.get("/api/v1/storefront").await;
    assert_eq!(first.header("ratelimit-limit"), "60");
    assert!(first.header("ratelimit-remaining").parse::<u32>().unwrap() < 60);
    let mut seen = Vec::new();
    for _ in 0..10 {
        let answer = shop.post("/api/v1/auth/password-reset", json!({ "email": "ada@example.com" })).await;
        seen.push(answer.status.as_u16());
        if answer.status.as_u16() == 429 {
            answer.refused(429, "rate_limited");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
        }
    }
    assert!(seen.contains(&202) && seen.contains(&429), "{seen:?}");
    for _ in 0..70 {
        let answer = shop.get("/api/v1/storefront").await;
        if answer.status.as_u16() == 429 {
            answer.refused(429, "rate_limited");
            // Probes of the platform are never limited.
            assert_eq!(world.browser(STAFF_HOST).get("/healthz").await.status.as_u16(), 200);
            return;
        }
    }
    panic!("the limit was never reached");
}

#[tokio::test]
async fn too_much_at_once_is_shed_with_a_hint_to_come_back() {
    let mut config = config();
    config.http.concurrent_max = 1;
    let host = ottery_testkit::host(&[]).await;
    // A catalog that accepts connections and never answers keeps the one place taken.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    host.directory.set("catalog", vec![silent.local_addr().unwrap().to_string()]);
    let running = host.start(vec![crate::world::gateway_service(&host, config).await]).await;
    let address = running.bound(gateway::NAME).unwrap().http[0];
    let slow = tokio::spawn(async move { crate::browser::Browser::new(address, SHOP).get("/api/v1/storefront").await });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let shed = crate::browser::Browser::new(address, SHOP).get("/api/v1/storefront").await;
    shed.refused(503, "overloaded");
    assert!(!shed.header("retry-after").is_empty());
    let slow = slow.await.unwrap();
    assert!(slow.status.is_server_error(), "{}", slow.text);
}
