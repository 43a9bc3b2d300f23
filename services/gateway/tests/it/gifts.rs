//! Gift codes over the API and on pages without a script.

use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::{Answer, Browser};
use crate::world::{SHOP, World, config, world, world_with};

async fn send(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = browser.request(Method::POST, path).header("origin", browser.origin()).form(fields);
    browser.send(request).await
}

/// The value of a hidden field of the form that goes there.
fn hidden(page: &str, action: &str, name: &str) -> String {
    let form = page.split(&format!("action=\"{action}\"")).nth(1).unwrap_or_else(|| panic!("no form {action}: {page}"));
    let field = form.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no field {name}"));
    field.split('"').next().unwrap().to_owned()
}

fn codes_of(csv: &str) -> Vec<String> {
    csv.lines().skip(1).map(|row| row.split(',').next().unwrap().to_owned()).collect()
}

impl World {
    /// Codes of a fresh batch.
    async fn codes(&self, key: &str, input: Value) -> (Value, Vec<String>) {
        let staff = self.owner_here();
        let batch = staff.pay("/api/v1/gift-batches", key, input).await.expect(201);
        let csv =
            staff.post(&format!("/api/v1/gift-batches/{}/download", batch["id"].as_str().unwrap()), json!({})).await;
        assert_eq!(csv.status.as_u16(), 200, "{}", csv.text);
        (batch, codes_of(&csv.text))
    }

    /// A signed-in customer of a brand that billing has heard of.
    async fn redeemer(&self, email: &str) -> Browser {
        let customer = self.browser(SHOP);
        customer.sign_up(email).await;
        self.quote(&customer, self.plan["current"]["prices"][0]["id"].as_str().unwrap()).await;
        customer
    }
}

#[tokio::test]
async fn staff_makes_codes_and_customers_redeem_them_over_the_api() {
    let world = world().await;
    let customer = world.redeemer("ada@example.com").await;
    let staff = world.owner_here();
    let money = json!({
        "name": "Christmas", "kind": "sold", "value": { "currency": "EUR", "minor": 2500 }, "count": 2, "prefix": "XMAS",
    });
    customer.pay("/api/v1/gift-batches", "key-0", money.clone()).await.refused(404, "not_found");
    let wrong = staff.pay("/api/v1/gift-batches", "key-1", json!({ "name": "x", "kind": "sold", "count": 1 })).await;
    wrong.refused(400, "gift_of_what");
    let (batch, codes) = world.codes("key-2", money).await;
    assert_eq!((&batch["kind"], codes.len()), (&json!("sold"), 2));
    let path = format!("/api/v1/gift-batches/{}", batch["id"].as_str().unwrap());
    staff.post(&format!("{path}/download"), json!({})).await.refused(409, "codes_handed_out");

    let redeem = "/api/v1/gift-codes/redeem";
    customer.post(redeem, json!({ "code": "XMAS" })).await.refused(400, "code_mistyped");
    let got = customer.post(redeem, json!({ "code": codes[0].to_lowercase() })).await.expect(200);
    assert_eq!((&got["credit"]["amount"]["minor"], &got["order_id"]), (&json!(2500), &Value::Null));
    customer.post(redeem, json!({ "code": codes[0] })).await.refused(409, "code_used_by_you");
    let seen = staff.get(&path).await.expect(200);
    assert!(seen["batch"]["downloaded"].as_bool().unwrap());
    let items = seen["items"].as_array().unwrap();
    let free = items.iter().find(|code| code["redeemed_at"].is_null()).unwrap();
    assert!(!seen.to_string().contains(codes[1].trim_start_matches("XMAS-")));
    let void = format!("/api/v1/gift-codes/{}/void", free["id"].as_str().unwrap());
    staff.post(&void, json!({ "reason": "lost" })).await.expect(204);
    staff.post(&format!("{path}/void"), json!({ "reason": "over" })).await.expect(200);
    customer.post(redeem, json!({ "code": codes[1] })).await.refused(404, "code_unknown");

    // A term of a plan.
    let price = world.plan["current"]["prices"][0]["id"].as_str().unwrap();
    let plan = json!({ "name": "A month", "kind": "promotion", "price_id": price, "count": 1 });
    let (batch, codes) = world.codes("key-3", plan).await;
    assert_eq!((&batch["plan_name"], &batch["value"]["minor"]), (&json!("Family"), &json!(999)));
    let got = customer.post(redeem, json!({ "code": codes[0] })).await.expect(200);
    let subscription = format!("/api/v1/subscriptions/{}", got["subscription_id"].as_str().unwrap());
    let subscription = customer.get(&subscription).await.expect(200);
    assert_eq!(subscription["state"], "active");
    let wallet = customer.get("/api/v1/wallet").await.expect(200);
    assert_eq!(wallet["wallets"][0]["available"]["minor"], 2500, "the plan was paid by the code alone");
}

#[tokio::test]
async fn the_desk_makes_codes_and_a_customer_redeems_one_on_the_wallets_page() {
    let world = world().await;
    let customer = world.redeemer("ada@example.com").await;
    let desk = &world.owner;
    let here = format!("/staff/b/{}/gifts", world.brand);
    let page = desk.get(&here).await;
    assert_eq!(page.status.as_u16(), 200, "{}", page.text);
    let key = hidden(&page.text, &here, "idempotency_key");
    let typed = |count| {
        [
            ("idempotency_key", key.as_str()),
            ("name", "Christmas"),
            ("kind", "promotion"),
            ("count", count),
            ("price_id", ""),
            ("amount", "12,50"),
            ("currency", "EUR"),
        ]
    };
    let refused = send(desk, &here, &typed("0")).await;
    assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
    assert!(refused.text.contains("1 to 10000 codes") && refused.text.contains("value=\"12,50\""), "{}", refused.text);
    let made = send(desk, &here, &typed("2")).await;
    assert_eq!(made.status.as_u16(), 303, "{}", made.text);
    let batch = made.header("location").split('?').next().unwrap().to_owned();
    let shown = desk.get(&batch).await.text;
    assert!(shown.contains("Download the codes") && shown.contains("€12.50 in the wallet"), "{shown}");
    let sheet = send(desk, &format!("{batch}/download"), &[]).await;
    let codes = codes_of(&sheet.text);
    assert_eq!(codes.len(), 2, "{}", sheet.text);
    assert!(!desk.get(&batch).await.text.contains("Download the codes"));

    let page = customer.get("/account/wallet").await.text;
    assert!(page.contains("Redeem a code"), "{page}");
    let wrong = send(&customer, "/account/wallet/redeem", &[("code", "2222-2222-2222-2223")]).await;
    assert_eq!(wrong.status.as_u16(), 400, "{}", wrong.text);
    let done = send(&customer, "/account/wallet/redeem", &[("code", &codes[0])]).await;
    assert!(done.header("location").contains("done=redeemed"), "{}", done.text);
    let page = customer.get("/account/wallet").await.text;
    assert!(page.contains("€12.50") && page.contains("Christmas"), "{page}");
    let voided = send(desk, &format!("{batch}/void"), &[("reason", "over")]).await;
    assert!(voided.header("location").contains("done=codes-void"), "{}", voided.text);
}

#[tokio::test]
async fn a_gift_code_is_redeemed_at_the_checkout_and_what_is_left_to_pay_is_shown() {
    let world = world().await;
    let customer = world.redeemer("ada@example.com").await;
    let price = world.plan["current"]["prices"][0]["id"].as_str().unwrap();
    let coupon = json!({ "code": "SUMMER", "kind": "percent", "percent_bp": 2000, "duration": "once" });
    world.owner_here().post("/api/v1/coupons", coupon).await.expect(201);
    let five = json!({
        "name": "Voucher", "kind": "sold", "value": { "currency": "EUR", "minor": 500 }, "count": 2,
    });
    let (_, codes) = world.codes("key-1", five).await;
    let at = format!("/checkout?price={price}&coupon=SUMMER");
    let page = customer.get(&at).await;
    assert!(page.text.contains("Gift or voucher code") && page.text.contains("Pay €7.99"), "{}", page.text);
    assert!(!page.text.contains("From your wallet"), "{}", page.text);

    let action = "/checkout/redeem";
    let applied = hidden(&page.text, action, "coupon");
    assert_eq!((hidden(&page.text, action, "price").as_str(), applied.as_str()), (price, "SUMMER"));
    let typed = |code: &str| {
        let fields = [("price", price), ("trial", ""), ("coupon", &applied), ("code", code)];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let redeem = async |code: &str| {
        let fields = typed(code);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        send(&customer, action, &fields).await
    };
    // What is wrong is said at the field, with the way out, and the price is what it was.
    let refused = redeem("SUMMER").await;
    assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
    for text in ["A coupon goes into the field above", "value=\"SUMMER\"", "Pay €7.99", "checkout-redeem-code"] {
        assert!(refused.text.contains(text), "`{text}` is not in {}", refused.text);
    }
    let (_, void) = world
        .codes(
            "key-2",
            json!({
                "name": "Void", "kind": "promotion", "value": { "currency": "EUR", "minor": 500 }, "count": 1,
            }),
        )
        .await;
    let batches = world.owner_here().get("/api/v1/gift-batches").await.expect(200);
    let batch = batches["items"].as_array().unwrap().iter().find(|batch| batch["name"] == "Void").unwrap().clone();
    let path = format!("/api/v1/gift-batches/{}/void", batch["id"].as_str().unwrap());
    world.owner_here().post(&path, json!({ "reason": "over" })).await.expect(200);
    let unknown = redeem(&void[0]).await;
    assert_eq!(unknown.status.as_u16(), 404, "{}", unknown.text);
    assert!(unknown.text.contains("ask whoever gave it to you"), "{}", unknown.text);

    let done = redeem(&codes[0]).await;
    assert_eq!(done.status.as_u16(), 303, "{}", done.text);
    let back = done.header("location").to_owned();
    assert!(back.contains("coupon=SUMMER") && back.ends_with("done=code-redeemed"), "{back}");
    let page = customer.get(&back).await.text;
    for text in ["It pays this order", "From your wallet", "−€5.00", "Pay €2.99"] {
        assert!(page.contains(text), "`{text}` is not in {page}");
    }
    // The second one pays the rest, and the order asks for no payment.
    redeem(&codes[1]).await;
    let page = customer.get(&at).await.text;
    assert!(page.contains("Pay €7.99 from your wallet") && page.contains("Nothing today"), "{page}");
    let field = |name| hidden(&page, "/checkout/place", name);
    let (key, quote) = (field("idempotency_key"), field("quote"));
    let fields = [
        ("price", price),
        ("coupon", "SUMMER"),
        ("quote", quote.as_str()),
        ("idempotency_key", key.as_str()),
        ("consent", "on"),
    ];
    let placed = send(&customer, "/checkout/place", &fields).await;
    assert!(placed.header("location").starts_with("/orders/"), "{}", placed.text);
    let order = format!("/api/v1{}", placed.header("location"));
    assert_eq!(customer.get(&order).await.expect(200)["order"]["state"], "paid");
    let wallet = customer.get("/api/v1/wallet").await.expect(200);
    assert_eq!(wallet["wallets"][0]["available"]["minor"], 201);

    // A code for a plan is an order of its own.
    let plan = json!({ "name": "A month", "kind": "promotion", "price_id": price, "count": 1 });
    let (_, codes) = world.codes("key-3", plan).await;
    let started = redeem(&codes[0]).await;
    assert!(started.header("location").starts_with("/orders/"), "{}", started.text);
    // Nobody redeems without an account.
    let visitor = world.browser(SHOP);
    let turned_away = send(&visitor, action, &[("price", price), ("code", "x")]).await;
    assert!(turned_away.header("location").contains("sign-in"), "{}", turned_away.text);
}

#[tokio::test]
async fn secure_s25_codes_are_tried_a_few_times_a_minute_by_address_and_by_account() {
    let mut config = config();
    config.limits.gift_codes_per_minute = 3;
    let world = world_with(config).await;
    let customer = world.redeemer("ada@example.com").await;
    let redeem = "/api/v1/gift-codes/redeem";
    for _ in 0..3 {
        customer.post(redeem, json!({ "code": "2222-2222-2222-2222" })).await.refused(404, "code_unknown");
    }
    customer.post(redeem, json!({ "code": "2222-2222-2222-2222" })).await.refused(429, "rate_limited");
    let page = send(&customer, "/account/wallet/redeem", &[("code", "2222-2222-2222-2222")]).await;
    assert_eq!(page.status.as_u16(), 429, "{}", page.text);
}
