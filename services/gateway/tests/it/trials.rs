//! One trial per person, from the checkout to the staff area.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::coupons::{hidden, send};
use crate::world::{SHOP, World, world};

const COOKIE: &str = "ottery_device";

impl World {
    /// The price of a plan with three free days.
    async fn price_with_trial(&self) -> String {
        let body = json!({
            "slug": "starter", "name": "Starter", "connections": 1, "trial_days": 3,
            "prices": [{ "term": { "count": 1, "unit": "month" }, "amount": { "currency": "EUR", "minor": 999 } }],
            "mapping": { "bouquet_ids": [1], "outputs": ["hls"] },
        });
        let owner = self.owner_here();
        let plan = owner.post("/api/v1/plans", body).await.expect(201);
        let state = json!({ "state": "on_sale", "version": plan["version"] });
        let path = format!("/api/v1/plans/{}/state", plan["id"].as_str().unwrap());
        let plan = owner.post(&path, state).await.expect(200);
        let price = plan["current"]["prices"][0]["id"].as_str().unwrap().to_owned();
        self.quote(&self.browser(SHOP), &price).await;
        price
    }
}

fn device(browser: &Browser) -> Option<String> {
    browser.cookies.lock().unwrap().get(COOKIE).cloned()
}

/// Somebody else sits down at the same browser.
async fn next_person(browser: &Browser, email: &str) -> String {
    browser.cookies.lock().unwrap().retain(|name, _| name == COOKIE);
    browser.sign_up(email).await
}

fn asking(price: &str) -> Value {
    json!({ "price_id": price, "trial": true })
}

#[tokio::test]
async fn case_113_the_checkout_refuses_a_second_trial_at_one_browser_with_the_reason_and_offers_the_plan() {
    let world = world().await;
    let price = world.price_with_trial().await;
    let browser = world.browser(SHOP);
    let at = format!("/checkout?price={price}&trial=1");
    browser.get(&at).await;
    assert_eq!(device(&browser), None, "a visitor who only looks is not marked");
    browser.sign_up("ada@example.com").await;
    let page = browser.get(&at).await;
    assert!(page.text.contains("Start free trial"), "{}", page.text);
    let set: Vec<_> = page.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    let set = set.iter().find(|text| text.starts_with(COOKIE)).unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && set.contains("Max-Age=34560000"), "{set}");
    let first = device(&browser).unwrap();
    let field = |text: &str, name| hidden(text, "/checkout/place", name);
    let fields = |text: &str| {
        let (quote, key) = (field(text, "quote"), field(text, "idempotency_key"));
        [("price", price.clone()), ("trial", field(text, "trial")), ("quote", quote), ("idempotency_key", key)]
    };
    let place = async |text: &str| {
        let fields = fields(text);
        let mut fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        fields.push(("consent", "on"));
        send(&browser, "/checkout/place", &fields).await
    };
    let placed = place(&page.text).await;
    assert!(placed.header("location").starts_with("/orders/"), "{placed:?}");
    assert_eq!(device(&browser), Some(first.clone()), "it stays the same browser");

    // A new address at the same browser.
    let eve = next_person(&browser, "eve@example.com").await;
    let refused = browser.get(&at).await;
    assert_eq!(refused.status.as_u16(), 409, "{}", refused.text);
    for text in ["A trial was used on this device before", "Pay €9.99"] {
        assert!(refused.text.to_lowercase().contains(&text.to_lowercase()), "`{text}` is not in {}", refused.text);
    }
    assert_eq!(field(&refused.text, "trial"), "");
    browser.post("/api/v1/quotes", asking(&price)).await.refused(409, "trial_used");
    // A plus-address at another browser.
    let other = world.browser(SHOP);
    other.sign_up("Ada+again@example.com").await;
    other.post("/api/v1/quotes", asking(&price)).await.refused(409, "trial_used");
    // What is offered instead can be bought.
    let placed = place(&refused.text).await;
    assert_eq!(placed.status.as_u16(), 303, "{placed:?}");

    // Staff see it and allow one more.
    let staff = &world.owner;
    let page = format!("/staff/b/{}/customers/{eve}/trials", world.brand);
    let shown = staff.get(&page).await;
    assert!(shown.text.contains("Allow one more trial"), "{}", shown.text);
    let refused = send(staff, &page, &[("reason", "")]).await;
    assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
    let allowed = send(staff, &page, &[("reason", "a family at one computer")]).await;
    assert!(staff.get(allowed.header("location")).await.text.contains("a family at one computer"));
    let quote = browser.post("/api/v1/quotes", asking(&price)).await.expect(201);
    browser.pay("/api/v1/orders", "key-1", json!({ "quote_id": quote["id"] })).await.expect(201);
    let guard = world.owner_here().get(&format!("/api/v1/accounts/{eve}/trial-guard")).await.expect(200);
    assert_eq!((guard["used"].as_bool(), &guard["pass"]), (Some(true), &Value::Null));
}

#[tokio::test]
async fn secure_s24_a_device_cookie_that_was_made_up_marks_nobody_and_the_api_marks_browsers_as_well() {
    let world = world().await;
    let price = world.price_with_trial().await;
    let browser = world.browser(SHOP);
    browser.sign_up("ada@example.com").await;
    browser.cookies.lock().unwrap().insert(COOKIE.into(), "A".repeat(71));
    let quote = browser.post("/api/v1/quotes", asking(&price)).await.expect(201);
    let order = json!({ "quote_id": quote["id"] });
    browser.pay("/api/v1/orders", "key-1", order.clone()).await.expect(201);
    let known = device(&browser).unwrap();
    assert_ne!(known, "A".repeat(71));
    // The same call again is the same call, also when the first answer with its cookie was lost.
    browser.cookies.lock().unwrap().remove(COOKIE);
    browser.pay("/api/v1/orders", "key-1", order).await.expect(201);
    browser.cookies.lock().unwrap().insert(COOKIE.into(), known);
    next_person(&browser, "eve@example.com").await;
    let refused = browser.post("/api/v1/quotes", asking(&price)).await;
    assert!(refused.json()["detail"].as_str().unwrap().contains("on this device"), "{}", refused.text);
    refused.refused(409, "trial_used");
}

#[tokio::test]
async fn staff_choose_by_what_people_are_known_and_customers_see_nothing_of_it() {
    let world = world().await;
    let staff = world.owner_here();
    let rules = staff.get("/api/v1/trial-rules").await.expect(200);
    assert_eq!((rules["by_device"].as_bool(), rules["reused_card"].as_str()), (Some(true), Some("end")));
    let wanted = json!({ "by_email": true, "by_device": false, "by_card": true, "reused_card": "keep", "version": 0 });
    let put = staff.write(reqwest::Method::PUT, "/api/v1/trial-rules", wanted.clone(), None).await.expect(200);
    assert_eq!(put["version"].as_u64(), Some(1));
    staff.write(reqwest::Method::PUT, "/api/v1/trial-rules", wanted, None).await.refused(409, "version_conflict");
    let page = format!("/staff/b/{}/trials", world.brand);
    let shown = world.owner.get(&page).await;
    assert!(shown.text.contains("One per browser"), "{}", shown.text);
    let fields = [("by_email", "on"), ("by_device", "on"), ("reused_card", "end"), ("version", "1")];
    assert_eq!(send(&world.owner, &page, &fields).await.status.as_u16(), 303);
    let rules = staff.get("/api/v1/trial-rules").await.expect(200);
    assert_eq!((rules["by_device"].as_bool(), rules["by_card"].as_bool()), (Some(true), Some(false)));
    let customer = world.browser(SHOP);
    let account = customer.sign_up("ada@example.com").await;
    customer.get("/api/v1/trial-rules").await.refused(404, "not_found");
    customer.get(&format!("/api/v1/accounts/{account}/trial-guard")).await.refused(404, "not_found");
}
