//! Options by the unit, from the staff area to the checkout and the account, as JSON and as pages without a script.

use reqwest::Method;
use serde_json::{Value, json};

use crate::coupons::{hidden, send};
use crate::world::{SHOP, World, world};

/// The plan with two streams included, and each more, up to five, at 3.00 and 1.00 once.
async fn with_streams(world: &World) -> Value {
    let plan = &world.plan;
    let term = json!({ "count": 1, "unit": "month" });
    let price = json!({
        "term": term, "amount": { "currency": "EUR", "minor": 300 }, "setup_fee": { "currency": "EUR", "minor": 100 },
    });
    let streams = json!({
        "key": "streams", "name": "Streams at a time", "effect": "connections", "min": 2, "max": 5, "included": 2,
        "prices": [price],
    });
    let body = json!({
        "slug": "family", "name": "Family", "connections": 2, "prices": plan["current"]["prices"],
        "mapping": plan["current"]["mapping"], "options": [streams], "version": plan["version"],
    });
    let path = format!("/api/v1/plans/{}", plan["id"].as_str().unwrap());
    world.owner_here().write(Method::PUT, &path, body, None).await.expect(200)
}

fn price(plan: &Value) -> String {
    plan["current"]["prices"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn options_are_put_with_a_plan_and_chosen_with_a_quote() {
    let world = world().await;
    let plan = with_streams(&world).await;
    assert_eq!(plan["current"]["options"][0]["step"], 1);
    let shop = world.browser(SHOP).get("/api/v1/storefront/plans/family").await.expect(200);
    assert_eq!(shop["options"][0]["prices"][0]["amount"]["minor"], 300);
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    world.quote(&customer, &price(&plan)).await;
    let ask =
        |quantity: u32| json!({ "price_id": price(&plan), "options": [{ "key": "streams", "quantity": quantity }] });
    let quote = customer.post("/api/v1/quotes", ask(4)).await.expect(201);
    assert_eq!(
        (quote["due_now"]["minor"].as_i64(), quote["renewal_total"]["minor"].as_i64()),
        (Some(1799), Some(1599))
    );
    assert_eq!(quote["lines"][1]["quantity"], 2);
    let refused = customer.post("/api/v1/quotes", ask(6)).await;
    assert_eq!(refused.json()["field"], "options");
    refused.refused(400, "option_quantity");
    let placed = customer.pay("/api/v1/orders", "key-1", json!({ "quote_id": quote["id"] })).await.expect(201);
    let id = placed["order"]["subscription_id"].as_str().unwrap();
    let bought = customer.get(&format!("/api/v1/subscriptions/{id}")).await.expect(200);
    assert_eq!(
        (bought["options"][0]["quantity"].as_i64(), bought["term_price"]["minor"].as_i64()),
        (Some(4), Some(1599))
    );
    // Nobody changes what is not paid yet, and the refusal says so.
    let change = json!({ "options": [{ "key": "streams", "quantity": 5 }] });
    customer.post(&format!("/api/v1/subscriptions/{id}/change-quote"), change).await.refused(409, "subscription_state");
}

#[tokio::test]
async fn an_option_without_a_price_is_refused_with_its_field() {
    let world = world().await;
    let plan = with_streams(&world).await;
    let mut options = plan["current"]["options"].clone();
    options[0]["prices"] = json!([]);
    let body = json!({
        "slug": "family", "name": "Family", "connections": 2, "prices": plan["current"]["prices"],
        "mapping": plan["current"]["mapping"], "options": options, "version": plan["version"],
    });
    let path = format!("/api/v1/plans/{}", plan["id"].as_str().unwrap());
    let refused = world.owner_here().write(Method::PUT, &path, body, None).await;
    assert_eq!(refused.json()["field"], "content.options[0].prices");
    refused.refused(400, "option_price_missing");
}

#[tokio::test]
async fn the_checkout_offers_options_without_a_script_and_orders_what_it_shows() {
    let world = world().await;
    let plan = with_streams(&world).await;
    let page = world.browser(SHOP).get("/plans/family").await;
    assert!(
        page.text.contains("Streams at a time: 2 to 5, €3.00 per month each beyond 2, €1.00 once"),
        "{}",
        page.text
    );
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let page = customer.get(&format!("/checkout?price={}&option.streams=3", price(&plan))).await;
    for text in [
        "Streams at a time, 1 month",
        "Set-up: Streams at a time",
        "3 streams at a time",
        "Pay €13.99",
        "€12.99 every month",
    ] {
        assert!(page.text.contains(text), "`{text}` is not in {}", page.text);
    }
    let field = |name| hidden(&page.text, "/checkout/place", name);
    let (quote, key, price, streams) =
        (field("quote"), field("idempotency_key"), field("price"), field("option.streams"));
    assert_eq!(streams, "3");
    let fields = [
        ("price", price.as_str()),
        ("option.streams", &streams),
        ("quote", &quote),
        ("idempotency_key", &key),
        ("consent", "on"),
    ];
    let placed = send(&customer, "/checkout/place", &fields).await;
    assert!(placed.header("location").starts_with("/orders/"), "{placed:?}");
    let order = customer.get(placed.header("location")).await;
    assert!(order.text.contains("€13.99"), "{}", order.text);
    let subscription = customer.get("/api/v1/subscriptions").await.expect(200);
    let id = subscription["items"][0]["id"].as_str().unwrap();
    let account = customer.get(&format!("/account/subscriptions/{id}")).await;
    for text in ["Streams at a time: 3", "€12.99 per month"] {
        assert!(account.text.contains(text), "`{text}` is not in {}", account.text);
    }
}

#[tokio::test]
async fn staff_put_options_on_the_plans_page() {
    let world = world().await;
    let plan = with_streams(&world).await;
    let at = format!("/staff/b/{}/plans/{}", world.brand, plan["id"].as_str().unwrap());
    let page = world.owner.get(&at).await;
    assert!(page.text.contains("1 month: 3.00 EUR + 1.00 once"), "{}", page.text);
    let version = hidden(&page.text, &at, "expected_version");
    let price_id = price(&plan);
    let filled = [
        ("expected_version", version.as_str()),
        ("name", "Family"),
        ("slug", "family"),
        ("connections", "2"),
        ("price0.id", &price_id),
        ("price0.amount", "9.99"),
        ("price0.currency", "EUR"),
        ("price0.count", "1"),
        ("price0.unit", "month"),
        ("option0.name", "Country lock"),
        ("option0.key", "lock"),
        ("option0.effect", "none"),
        ("option0.max", "1"),
        ("option0.prices", "1 month: 0,50 EUR"),
        ("bouquet_ids", "1"),
        ("outputs", "hls"),
    ];
    let saved = send(&world.owner, &at, &filled).await;
    assert!(saved.header("location").contains("done=saved"), "{saved:?}");
    let plan = world.owner_here().get(&format!("/api/v1/plans/{}", plan["id"].as_str().unwrap())).await.expect(200);
    let options = plan["current"]["options"].as_array().unwrap();
    assert_eq!(
        (options.len(), options[0]["key"].as_str(), options[0]["prices"][0]["amount"]["minor"].as_i64()),
        (1, Some("lock"), Some(50))
    );
}
