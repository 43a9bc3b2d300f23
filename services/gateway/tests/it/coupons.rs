//! Coupons, from the staff area to the checkout, as JSON and as pages without a script.

use serde_json::{Value, json};

use crate::browser::{Answer, Browser};
use crate::world::{OTHER, SHOP, World, plan, world};

fn percent(code: &str, percent_bp: u32) -> Value {
    json!({ "code": code, "kind": "percent", "percent_bp": percent_bp, "duration": "once" })
}

fn price(plan: &Value) -> String {
    plan["current"]["prices"][0]["id"].as_str().unwrap().to_owned()
}

impl World {
    async fn coupon(&self, body: Value) -> Value {
        self.owner_here().post("/api/v1/coupons", body).await.expect(201)
    }

    /// A signed-in customer of the first brand, which billing knows by now.
    async fn customer(&self, email: &str) -> Browser {
        let customer = self.browser(SHOP);
        customer.sign_up(email).await;
        self.quote(&customer, &price(&self.plan)).await;
        customer
    }

    fn ask(&self, coupon: &str) -> Value {
        json!({ "price_id": price(&self.plan), "coupon": coupon })
    }
}

pub async fn send(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = browser.request(reqwest::Method::POST, path).header("origin", browser.origin()).form(fields);
    browser.send(request).await
}

/// The value of a hidden field of the form that goes there.
pub fn hidden(page: &str, action: &str, name: &str) -> String {
    let form = page.split(&format!("action=\"{action}\"")).nth(1).unwrap_or_else(|| panic!("no form {action}: {page}"));
    let field = form.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no field {name}"));
    field.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn staff_make_a_coupon_customers_use_it_and_its_uses_are_counted() {
    let world = world().await;
    let staff = world.owner_here();
    let made = world.coupon(percent("summer-20", 2000)).await;
    assert_eq!((made["code"].as_str(), made["occasion"].as_str()), (Some("SUMMER-20"), Some("orders")));
    let customer = world.customer("ada@example.com").await;
    let quote = customer.post("/api/v1/quotes", world.ask("Summer-20")).await.expect(201);
    assert_eq!((quote["total"]["minor"].as_i64(), quote["discount"]["minor"].as_i64()), (Some(799), Some(200)));
    assert_eq!((quote["coupon"].as_str(), quote["regular_total"]["minor"].as_i64()), (Some("SUMMER-20"), Some(999)));
    assert_eq!(quote["lines"][1]["description"], "Coupon SUMMER-20 (20 %)");

    let wrong = json!({ "quote_id": quote["id"], "coupon": "WINTER" });
    customer.pay("/api/v1/orders", "key-1", wrong).await.refused(409, "coupon_not_in_quote");
    let right = json!({ "quote_id": quote["id"], "coupon": "summer-20" });
    let placed = customer.pay("/api/v1/orders", "key-2", right).await.expect(201);
    assert_eq!(placed["order"]["total"]["minor"].as_i64(), Some(799));

    let path = format!("/api/v1/coupons/{}", made["id"].as_str().unwrap());
    assert_eq!(staff.get(&path).await.expect(200)["uses"].as_i64(), Some(1));
    let mut changed = percent("SUMMER-20", 1000);
    changed["version"] = json!(1);
    let changed = staff.write(reqwest::Method::PUT, &path, changed, None).await.expect(200);
    assert_eq!((changed["percent_bp"].as_i64(), changed["version"].as_i64()), (Some(1000), Some(2)));
    staff
        .post(&format!("{path}/state"), json!({ "state": "archived", "version": 1 }))
        .await
        .refused(409, "stale_version");
    staff.post(&format!("{path}/state"), json!({ "state": "archived", "version": 2 })).await.expect(200);
    customer.post("/api/v1/quotes", world.ask("summer-20")).await.refused(400, "coupon_unknown");
    assert_eq!(staff.get("/api/v1/coupons").await.expect(200)["items"], json!([]));
    let all = staff.get("/api/v1/coupons?archived=true").await.expect(200);
    assert_eq!(all["items"][0]["state"], "archived");
}

#[tokio::test]
async fn a_refused_coupon_names_field_rule_and_what_would_be_accepted() {
    let world = world().await;
    let staff = world.owner_here();
    let bad = staff.post("/api/v1/coupons", percent("NO-20", 10_001)).await;
    let body = bad.json();
    bad.refused(400, "range");
    assert_eq!(body["field"], "percent_bp");
    assert!(body["detail"].as_str().unwrap().contains("1 to 10000"), "{body}");
    let tried = staff.post("/api/v1/coupons?dry_run=true", percent("TRIED", 2000)).await.expect(200);
    assert_eq!(tried["code"], "TRIED");
    assert_eq!(staff.get("/api/v1/coupons").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn secure_s13_nobody_learns_of_a_coupon_of_another_brand() {
    let world = world().await;
    let made = world.coupon(percent("SUMMER", 2000)).await;
    let abroad = world.owner.with("ottery-brand", &world.other_brand);
    let foreign = plan(&abroad).await;
    let shop = world.browser(OTHER);
    shop.sign_up("eve@example.com").await;
    world.quote(&shop, &price(&foreign)).await;
    let answer = async |code: &str| {
        let answer = shop.post("/api/v1/quotes", json!({ "price_id": price(&foreign), "coupon": code })).await;
        let mut body = answer.json();
        answer.refused(400, "coupon_unknown");
        body["request_id"] = Value::Null;
        body.to_string().replace(code, "CODE")
    };
    assert_eq!(answer("SUMMER").await, answer("NOBODY").await);
    let path = format!("/api/v1/coupons/{}", made["id"].as_str().unwrap());
    abroad.get(&path).await.refused(404, "coupon_not_found");
    abroad
        .post(&format!("{path}/state"), json!({ "state": "archived", "version": 1 }))
        .await
        .refused(404, "coupon_not_found");
    assert_eq!(abroad.get("/api/v1/coupons").await.expect(200)["items"], json!([]));
    // Customers never see coupons; who may look at plans may not make any.
    let customer = world.customer("ada@example.com").await;
    customer.get("/api/v1/coupons").await.refused(404, "not_found");
    let reader = world.key(&world.brand, &["plan.read"]).await.with("ottery-brand", &world.brand);
    assert_eq!(reader.get("/api/v1/coupons").await.expect(200)["items"][0]["code"], "SUMMER");
    reader.post("/api/v1/coupons", percent("MINE", 10_000)).await.refused(403, "permission_missing");
}

#[tokio::test]
async fn the_checkout_takes_a_coupon_without_a_script_and_says_why_it_does_not() {
    let world = world().await;
    world.coupon(percent("SUMMER", 2000)).await;
    let customer = world.customer("ada@example.com").await;
    let at = |coupon: &str| format!("/checkout?price={}&trial=&coupon={coupon}", price(&world.plan));
    let page = customer.get(&at("")).await;
    assert!(page.text.contains("Coupon code") && page.text.contains("Pay €9.99"), "{}", page.text);
    let page = customer.get(&at("summer")).await;
    assert_eq!(page.status.as_u16(), 200, "{}", page.text);
    for text in ["Coupon SUMMER (20 %)", "−€2.00", "Pay €7.99", "€9.99 every month"] {
        assert!(page.text.contains(text), "`{text}` is not in {}", page.text);
    }
    let refused = customer.get(&at("nobody")).await;
    assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
    for text in ["There is no coupon “nobody”", "value=\"nobody\"", "Pay €9.99"] {
        assert!(refused.text.contains(text), "`{text}` is not in {}", refused.text);
    }
    // What was shown is ordered.
    let field = |name| hidden(&page.text, "/checkout/place", name);
    let (quote, key, price) = (field("quote"), field("idempotency_key"), field("price"));
    assert_eq!(field("coupon"), "SUMMER");
    let fields = [
        ("price", price.as_str()),
        ("coupon", "SUMMER"),
        ("quote", &quote),
        ("idempotency_key", &key),
        ("consent", "on"),
    ];
    let placed = send(&customer, "/checkout/place", &fields).await;
    assert!(placed.header("location").starts_with("/orders/"), "{placed:?}");
    let order = customer.get(placed.header("location")).await;
    assert!(order.text.contains("€7.99"), "{}", order.text);
}

#[tokio::test]
async fn case_033_whoever_comes_too_late_for_the_last_use_sees_the_full_price_before_paying() {
    let world = world().await;
    let mut last = percent("LAST", 5000);
    last["uses_max"] = json!(1);
    world.coupon(last).await;
    let (first, second) = (world.customer("ada@example.com").await, world.customer("eve@example.com").await);
    let at = format!("/checkout?price={}&coupon=last", price(&world.plan));
    let page = second.get(&at).await.text;
    let quote = first.post("/api/v1/quotes", world.ask("LAST")).await.expect(201);
    first.pay("/api/v1/orders", "key-1", json!({ "quote_id": quote["id"] })).await.expect(201);

    let field = |name| hidden(&page, "/checkout/place", name);
    let (quote, key, price) = (field("quote"), field("idempotency_key"), field("price"));
    let fields = [
        ("price", price.as_str()),
        ("coupon", "LAST"),
        ("quote", &quote),
        ("idempotency_key", &key),
        ("consent", "on"),
    ];
    let late = send(&second, "/checkout/place", &fields).await;
    assert_eq!(late.status.as_u16(), 409, "{}", late.text);
    for text in ["has been used as often as it can be", "Pay €9.99"] {
        assert!(late.text.contains(text), "`{text}` is not in {}", late.text);
    }
    assert_eq!(second.get("/api/v1/orders").await.expect(200)["items"], json!([]));
    // The new offer is without the coupon, and is good.
    let field = |name| hidden(&late.text, "/checkout/place", name);
    assert_eq!(field("coupon"), "");
    let (quote, key) = (field("quote"), field("idempotency_key"));
    let fields = [("price", price.as_str()), ("quote", &quote), ("idempotency_key", &key), ("consent", "on")];
    let placed = send(&second, "/checkout/place", &fields).await;
    assert!(placed.header("location").starts_with("/orders/"), "{placed:?}");
}

#[tokio::test]
async fn staff_make_and_archive_coupons_on_pages() {
    let world = world().await;
    let staff = &world.owner;
    let at = |path: &str| format!("/staff/b/{}/coupons{path}", world.brand);
    let empty = staff.get(&at("")).await;
    assert!(empty.text.contains("A coupon takes something off"), "{}", empty.text);
    let form = staff.get(&at("/new")).await;
    for text in ["Amount or price in EUR", "Family", "1 month"] {
        assert!(form.text.contains(text), "`{text}` is not in {}", form.text);
    }
    let filled = |percent| {
        [
            ("code", "welcome"),
            ("kind", "percent"),
            ("percent_bp", percent),
            ("duration", "once"),
            ("occasion", "orders"),
        ]
    };
    let refused = send(staff, &at("/new"), &filled("120")).await;
    assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
    assert!(
        refused.text.contains("Use more than 0 and at most 100 percent") && refused.text.contains("value=\"welcome\"")
    );
    let made = send(staff, &at("/new"), &filled("12.5")).await;
    let one = made.header("location").split('?').next().unwrap().to_owned();
    let list = staff.get(&at("")).await;
    for text in ["WELCOME", "12.50% off", "First payment", "Enabled"] {
        assert!(list.text.contains(text), "`{text}` is not in {}", list.text);
    }
    let page = staff.get(&one).await;
    assert_eq!(page.status.as_u16(), 200, "{}", page.text);
    let version = hidden(&page.text, &format!("{one}/state"), "expected_version");
    let archived = send(staff, &format!("{one}/state"), &[("state", "archived"), ("expected_version", &version)]).await;
    assert!(archived.header("location").contains("done=coupon-archived"), "{archived:?}");
    assert!(!staff.get(&at("")).await.text.contains("WELCOME"));
    assert!(staff.get(&at("?archived=1")).await.text.contains("WELCOME"));
}
