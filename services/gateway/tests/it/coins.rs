//! Paying in coins on our own page, and the account they go to.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::{Answer, Browser};
use crate::world::{SHOP, World, world_paying_at};

/// Made by Electrum, with its first addresses: `services/billing/tests/fixtures`.
const VPUB: &str =
    "vpub5VPZSz59MKuQYwXoUL8rwY8BRWGgUWy8Y5QL5dT71qkTKRSgW7eCemhCLQTkRKeaRNgLntBHM8L4GadEownC1dD2bUpara755Zbu1NrJGzc";
const FIRST: &str = "bcrt1qdfwjykynjfwnx8uj5qgm37gp5havyzw67ya3ll";
const REGTEST: &str = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";

/// What was sent to the first address, as an Esplora tells of it.
pub type Sent = Arc<Mutex<Vec<Value>>>;

/// A chain with one address that matters, and two exchanges.
pub async fn front() -> (String, Sent) {
    let sent = Sent::default();
    let answer = |State(sent): State<Sent>, uri: Uri| async move {
        let body = match uri.path() {
            "/block-height/0" => REGTEST.to_owned(),
            "/blocks/tip/height" => "150".to_owned(),
            "/blocks/tip/hash" => "b".repeat(64),
            "/0/public/Ticker" => json!({"error": [], "result": {"XXBTZEUR": {"c": ["50000.0", "1"]}}}).to_string(),
            "/v2/prices/BTC-EUR/spot" | "/v2/prices/ETH-EUR/spot" => {
                json!({"data": {"amount": "50000", "base": "BTC", "currency": "EUR"}}).to_string()
            }
            path if path.contains(FIRST) => json!(*sent.lock().unwrap()).to_string(),
            path if path.starts_with("/address/") => "[]".to_owned(),
            _ => return StatusCode::NOT_FOUND.into_response(),
        };
        body.into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(sent.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), sent)
}

pub async fn send(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = browser.request(Method::POST, path).header("origin", browser.origin()).form(fields);
    browser.send(request).await
}

fn account(url: &str, key: &str) -> Value {
    json!({"provider": "bitcoin", "base_url": url, "api_key": key})
}

pub async fn until_shows(world: &World, browser: &Browser, path: &str, text: &str) -> Answer {
    for _ in 0..200 {
        sqlx::query("UPDATE errand SET due_at = now(), lease_until = '-infinity' WHERE kind = 'deposit'")
            .execute(&world.billing.admin_pool)
            .await
            .unwrap();
        let page = browser.get(path).await;
        if page.text.contains(text) {
            return page;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{path} never shows {text}");
}

#[tokio::test]
async fn a_customer_pays_in_coins_on_a_page_that_says_what_is_next() {
    let (url, sent) = front().await;
    let world = world_paying_at(&url).await;
    world.owner_here().post("/api/v1/provider-accounts", account(&url, VPUB)).await.expect(201);
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let ways = customer.get("/api/v1/pay-ways?currency=EUR&country=DE").await.expect(200);
    assert_eq!((&ways["items"][0]["kind"], &ways["items"][0]["test_mode"]), (&json!("bitcoin"), &json!(true)));
    let price = world.plan["current"]["prices"][0]["id"].as_str().unwrap();
    let quote = world.quote(&customer, price).await;
    let placed = customer.pay("/api/v1/orders", "key-1", json!({ "quote_id": quote["id"] })).await.expect(201);
    let page_url = placed["checkout_url"].as_str().expect("a page");
    let path = &page_url[page_url.find("/pay/coin/").expect("ours")..];

    // Nobody has to be signed in.
    let anybody = world.browser(SHOP);
    let page = anybody.get(path).await;
    assert_eq!(page.status.as_u16(), 200, "{}", page.text);
    // 9.99 euros at 50 000.
    for text in [
        FIRST,
        "0.0001998 BTC",
        "Waiting for your payment",
        "Test network",
        "minutes",
        "<svg",
        "bitcoin:bcrt1q",
        "http-equiv=\"refresh\"",
    ] {
        assert!(page.text.contains(text), "`{text}` is not in {}", page.text);
    }

    let one = |txid: &str, value: u64, status: Value| json!({"txid": txid.repeat(64), "vout": [{"scriptpubkey_address": FIRST, "value": value}], "status": status});
    let block = json!({"confirmed": true, "block_height": 150, "block_hash": "b".repeat(64)});
    *sent.lock().unwrap() = vec![one("a", 10_000, json!({"confirmed": false}))];
    let page = until_shows(&world, &anybody, path, "Not all of it came").await;
    assert!(page.text.contains("0.0000998 BTC") && page.text.contains("On its way"), "{}", page.text);
    *sent.lock().unwrap() = vec![one("a", 10_000, block.clone()), one("c", 9_980, json!({"confirmed": false}))];
    until_shows(&world, &anybody, path, "Your payment was seen").await;
    *sent.lock().unwrap() = vec![one("a", 10_000, block.clone()), one("c", 9_980, block)];
    let page = until_shows(&world, &anybody, path, "There is nothing more to do").await;
    assert!(!page.text.contains("http-equiv=\"refresh\" content=\"15\""), "it is over: {}", page.text);

    let wrong = anybody.get("/pay/coin/00000000000000000000000000000000").await;
    assert_eq!(wrong.status.as_u16(), 404);
}

#[tokio::test]
async fn staff_compares_addresses_and_nothing_that_spends_is_taken() {
    let (url, _) = front().await;
    let world = world_paying_at(&url).await;
    let staff = &world.owner;
    let path = format!("/staff/b/{}/providers", world.brand);
    let typed = |key: &'static str, url: String| {
        [
            ("id", String::new()),
            ("provider", "bitcoin".into()),
            ("base_url", url),
            ("api_key", key.into()),
            ("enabled", "on".into()),
        ]
    };
    let seed = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    let fields = typed(seed, url.clone());
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let refused = send(staff, &path, &fields).await;
    assert!(refused.status.as_u16() == 400 && refused.text.contains("private key or a seed"), "{}", refused.text);
    assert!(!refused.text.contains("abandon"), "{}", refused.text);

    let fields = typed(VPUB, url.clone());
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let asked = send(staff, &path, &fields).await;
    assert!(asked.status.as_u16() == 200 && asked.text.contains("tb1q"), "{}", asked.text);
    let listed = world.owner_here().get("/api/v1/provider-accounts").await.expect(200);
    assert_eq!(listed["items"], json!([]), "nothing is kept before they were compared");
    let saved = send(staff, &path, &[&fields[..], &[("compared", "on")]].concat()).await;
    assert_eq!(saved.status.as_u16(), 303, "{}", saved.text);
    let page = staff.get(&path).await;
    for text in ["compare these addresses with your wallet", "tb1q", "None: a chain is looked at"] {
        assert!(page.text.contains(text), "`{text}` is not in {}", page.text);
    }
    assert!(!page.text.contains(VPUB) && !page.text.contains("/webhooks/bitcoin/"), "{}", page.text);
    let listed = world.owner_here().get("/api/v1/provider-accounts").await.expect(200);
    assert_eq!(listed["items"][0]["first_addresses"].as_array().map(Vec::len), Some(3));
}
