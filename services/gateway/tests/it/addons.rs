//! Add-ons, stock, windows and passes, from the staff area to the checkout and the account, as JSON and as pages without a script.

use reqwest::Method;
use serde_json::{Value, json};

use crate::coupons::{hidden, send};
use crate::world::{SHOP, World, world};

fn eur(minor: i64) -> Value {
    json!({ "currency": "EUR", "minor": minor })
}

fn month() -> Value {
    json!({ "count": 1, "unit": "month" })
}

fn price(plan: &Value, at: usize) -> String {
    plan["current"]["prices"][at]["id"].as_str().unwrap().to_owned()
}

impl World {
    /// Sport for 4.00 a month, with one more stream, for the plan `family`.
    async fn sport(&self) -> Value {
        let body = json!({
            "slug": "sport", "name": "Sport", "connections": 1, "prices": [{ "term": month(), "amount": eur(400) }],
            "addon": { "plans": ["family"] }, "state": "on_sale",
        });
        self.owner_here().post("/api/v1/plans", body).await.expect(201)
    }

    /// The plan as it is, with some fields set otherwise.
    async fn put(&self, with: Value) -> Value {
        let plan =
            self.owner_here().get(&format!("/api/v1/plans/{}", self.plan["id"].as_str().unwrap())).await.expect(200);
        let mut body = json!({
            "slug": "family", "name": "Family", "connections": 2, "prices": plan["current"]["prices"],
            "mapping": plan["current"]["mapping"], "version": plan["version"],
        });
        body.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        let path = format!("/api/v1/plans/{}", plan["id"].as_str().unwrap());
        self.owner_here().write(Method::PUT, &path, body, None).await.expect(200)
    }
}

#[tokio::test]
async fn an_add_on_is_sold_with_its_plan_and_never_as_one() {
    let world = world().await;
    let sport = world.sport().await;
    let shop = world.browser(SHOP);
    let plans = shop.get("/api/v1/storefront/plans").await.expect(200);
    assert_eq!(plans["items"].as_array().unwrap().len(), 1);
    let addons = shop.get("/api/v1/storefront/addons").await.expect(200);
    assert_eq!(
        (addons["items"][0]["slug"].as_str(), addons["items"][0]["addon"]["plans"][0].as_str()),
        (Some("sport"), Some("family"))
    );
    assert!(!shop.get("/plans").await.text.contains("Sport"));
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    world.quote(&customer, &price(&world.plan, 0)).await;
    let alone = customer.post("/api/v1/quotes", json!({ "price_id": price(&sport, 0) })).await;
    alone.refused(409, "addon_alone");
    let ask = json!({ "price_id": price(&world.plan, 0), "addons": [sport["id"]] });
    let quote = customer.post("/api/v1/quotes", ask).await.expect(201);
    assert_eq!((quote["due_now"]["minor"].as_i64(), quote["addons"][0]["name"].as_str()), (Some(1399), Some("Sport")));
    // A plan stays what it was made as.
    let body = json!({ "addon": {}, "version": world.plan["version"], "slug": "family", "name": "Family", "connections": 2,
        "prices": world.plan["current"]["prices"], "mapping": world.plan["current"]["mapping"] });
    let path = format!("/api/v1/plans/{}", world.plan["id"].as_str().unwrap());
    world.owner_here().write(Method::PUT, &path, body, None).await.refused(400, "plan_kind");
}

#[tokio::test]
async fn the_checkout_offers_add_ons_without_a_script_and_orders_what_is_ticked() {
    let world = world().await;
    let sport = world.sport().await;
    let id = sport["id"].as_str().unwrap();
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let plain = customer.get(&format!("/checkout?price={}", price(&world.plan, 0))).await;
    assert!(plain.text.contains("Sport: €4.00 per month") && plain.text.contains("Pay €9.99"), "{}", plain.text);
    let page = customer.get(&format!("/checkout?price={}&addon.{id}=on", price(&world.plan, 0))).await;
    assert!(page.text.contains("Pay €13.99"), "{}", page.text);
    let field = |name: &str| hidden(&page.text, "/checkout/place", name);
    let (quote, key, price) = (field("quote"), field("idempotency_key"), field("price"));
    let ticked = format!("addon.{id}");
    assert_eq!(field(&ticked), "on");
    let fields =
        [("price", price.as_str()), (&ticked, "on"), ("quote", &quote), ("idempotency_key", &key), ("consent", "on")];
    let placed = send(&customer, "/checkout/place", &fields).await;
    assert!(placed.header("location").starts_with("/orders/"), "{placed:?}");
    let subscription = customer.get("/api/v1/subscriptions").await.expect(200);
    let one = &subscription["items"][0];
    assert_eq!(one["term_price"]["minor"].as_i64(), Some(1399));
    let account = customer.get(&format!("/account/subscriptions/{}", one["id"].as_str().unwrap())).await;
    assert!(account.text.contains("Sport") && account.text.contains("€13.99 per month"), "{}", account.text);
}

#[tokio::test]
async fn a_limited_plan_says_what_is_left_and_a_window_hides_it_from_the_shop() {
    let world = world().await;
    let plan = world.put(json!({ "stock": { "count": 1 } })).await;
    assert_eq!(plan["stock"]["count"], 1);
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    world.order(&customer, "key-1").await;
    let path = format!("/api/v1/plans/{}/stock", plan["id"].as_str().unwrap());
    let stock = world.owner_here().get(&path).await.expect(200);
    assert_eq!((stock["taken"].as_u64(), stock["left"].as_u64()), (Some(1), Some(0)));
    let at = format!("/staff/b/{}/plans/{}", world.brand, plan["id"].as_str().unwrap());
    assert!(world.owner.get(&at).await.text.contains("1 of 1 are sold or ordered"));
    let late = world.browser(SHOP);
    late.sign_up("eve@example.com").await;
    let refused = late.post("/api/v1/quotes", json!({ "price_id": price(&plan, 0) })).await;
    assert_eq!(refused.json()["field"], "price_id");
    refused.refused(409, "sold_out");
    let page = late.get(&format!("/checkout?price={}", price(&plan, 0))).await;
    assert!(page.status.as_u16() == 409 && page.text.contains("sold out"), "{}", page.text);

    let plan = world.put(json!({ "stock": {}, "sale": { "until": "2001-01-01T00:00:00Z" } })).await;
    assert_eq!((plan["stock"]["count"].as_u64(), plan["sale"]["until"].as_str()), (None, Some("2001-01-01T00:00:00Z")));
    assert_eq!(world.browser(SHOP).get("/api/v1/storefront/plans").await.expect(200)["items"], json!([]));
    late.post("/api/v1/quotes", json!({ "price_id": price(&plan, 0) })).await.refused(409, "sale_over");
}

#[tokio::test]
async fn the_shop_says_what_a_year_saves_and_that_a_pass_ends() {
    let world = world().await;
    let prices = json!([
        { "term": month(), "amount": eur(999) },
        { "term": { "count": 1, "unit": "year" }, "amount": eur(9999) },
        { "term": { "count": 10, "unit": "day" }, "amount": eur(299), "once": true },
    ]);
    let plan = world.put(json!({ "prices": prices })).await;
    let saving = &plan["current"]["prices"][1]["saving"];
    assert_eq!((saving["amount"]["minor"].as_i64(), saving["share_bp"].as_i64()), (Some(1989), Some(1659)));
    assert_eq!(plan["current"]["prices"][0]["saving"], Value::Null);
    let page = world.browser(SHOP).get("/plans/family").await;
    for text in ["Save 16%", "€19.89 less than paying every month", "Ends by itself"] {
        assert!(page.text.contains(text), "`{text}` is not in {}", page.text);
    }
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let page = customer.get(&format!("/checkout?price={}", price(&plan, 2))).await;
    assert!(page.text.contains("by itself") && !page.text.contains("Remember my payment method"), "{}", page.text);
}

#[tokio::test]
async fn staff_give_a_lower_price_on_a_page_and_nobody_else_does() {
    let world = world().await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let order = world.order(&customer, "key-1").await;
    let id = order["order"]["subscription_id"].as_str().unwrap();
    let path = format!("/api/v1/subscriptions/{id}/price-override");
    let give = json!({ "price": eur(500), "reason": "outage" });
    customer.post(&path, give.clone()).await.refused(404, "not_found");
    // Nothing is paid yet: there is no renewal.
    world.owner_here().post(&path, give).await.refused(409, "subscription_state");
    world.owner_here().post(&path, json!({ "price": eur(500) })).await.refused(400, "input_invalid");
}
