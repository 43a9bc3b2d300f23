//! The fraud screen, from the rules on a page to the order that waits.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::coupons::send;
use crate::world::{SHOP, World, config, world_with};

/// Behind a proxy that says where visitors are.
async fn world() -> World {
    let mut config = config();
    config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    config.http.country_header = "CF-IPCountry".into();
    world_with(config).await
}

impl World {
    /// A signed-in customer who comes from there.
    async fn from(&self, country: &str, email: &str) -> Browser {
        let customer = self.browser(SHOP).with("cf-ipcountry", country);
        customer.sign_up(email).await;
        customer
    }

    async fn try_order(&self, customer: &Browser, key: &str) -> crate::browser::Answer {
        let quote = self.quote(customer, self.plan["current"]["prices"][0]["id"].as_str().unwrap()).await;
        customer.pay("/api/v1/orders", key, json!({ "quote_id": quote["id"] })).await
    }

    async fn screen_by(&self, rules: Value, version: u64) {
        let body = json!({ "rules": rules, "version": version });
        self.owner_here().write(reqwest::Method::PUT, "/api/v1/screening/rules", body, None).await.expect(200);
    }
}

#[tokio::test]
async fn staff_try_rules_on_a_page_save_them_and_decide_about_the_order_that_waits() {
    let world = world().await;
    let staff = &world.owner;
    let at = |path: &str| format!("/staff/b/{}{path}", world.brand);
    world.try_order(&world.from("RU", "early@example.com").await, "key-0").await.expect(201);

    let form = staff.get(&at("/screening/rules")).await;
    assert!(form.text.contains("At most, in EUR"), "{}", form.text);
    let fields = |limits| {
        [
            ("version", "0"),
            ("network_review", "ru"),
            ("limits", limits),
            ("disposable_mail", "deny"),
            ("trial_reuse", "deny"),
            ("amount_EUR", "5.00"),
            ("above_amount", "allow"),
        ]
    };
    let refused = send(staff, &at("/screening/rules"), &fields("often")).await;
    assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
    for text in ["“often” is no limit", "value=\"ru\""] {
        assert!(refused.text.contains(text), "`{text}` is not in {}", refused.text);
    }
    let refused = send(staff, &at("/screening/rules"), &fields("network 5 24 review")).await;
    assert!(refused.text.contains("or leave the amounts out"), "{}", refused.text);
    let mut typed = fields("network 5 24 review");
    typed[6].1 = "review";
    let tried = send(staff, &at("/screening/rules"), &typed).await;
    assert_eq!(tried.status.as_u16(), 200, "{}", tried.text);
    for text in
        ["comes from RU, which is reviewed", "9.99 EUR for a first order", "To be looked at", "Save these rules"]
    {
        assert!(tried.text.contains(text), "`{text}` is not in {}", tried.text);
    }
    assert_eq!(world.owner_here().get("/api/v1/screening/rules").await.expect(200)["version"].as_u64(), Some(0));
    let saved = send(staff, &at("/screening/rules/save"), &typed).await;
    assert_eq!(saved.status.as_u16(), 303, "{}", saved.text);
    let rules = world.owner_here().get("/api/v1/screening/rules").await.expect(200);
    assert_eq!(rules["rules"]["network_countries"]["review"], json!(["RU"]));
    assert_eq!(rules["rules"]["limits"][0], json!({ "by": "network", "orders": 5, "hours": 24, "verdict": "review" }));

    let customer = world.from("RU", "ada@example.com").await;
    let placed = world.try_order(&customer, "key-1").await.expect(201);
    assert_eq!((placed["order"]["state"].as_str(), &placed["checkout_url"]), (Some("under_review"), &Value::Null));
    let id = placed["order"]["id"].as_str().unwrap();
    let page = customer.get(&format!("/orders/{id}")).await;
    assert!(page.text.contains("We are looking at your order") && !page.text.contains("Pay now"), "{}", page.text);
    let own = customer.get(&format!("/api/v1/orders/{id}")).await.expect(200);
    assert!(!own.to_string().contains("RU"), "the customer does not learn why: {own}");
    customer.get(&format!("/api/v1/orders/{id}/screening")).await.refused(404, "not_found");

    let list = staff.get(&at("/screening")).await;
    assert!(list.text.contains("comes from RU, which is reviewed"), "{}", list.text);
    let order = staff.get(&at(&format!("/orders/{id}"))).await;
    for text in ["Under review", "Accept the order", "Decline the order", "127.0.0.0/24"] {
        assert!(order.text.contains(text), "`{text}` is not in {}", order.text);
    }
    let done = send(staff, &at(&format!("/orders/{id}/approve")), &[("note", "a regular")]).await;
    let order = staff.get(done.header("location")).await;
    for text in ["Accepted by staff", "a regular", "Awaiting payment"] {
        assert!(order.text.contains(text), "`{text}` is not in {}", order.text);
    }
    assert!(staff.get(&at("/screening")).await.text.contains("Nothing waits for you"));
    let own = customer.get(&format!("/api/v1/orders/{id}")).await.expect(200);
    assert_eq!(
        (own["order"]["state"].as_str(), own["invoice"]["state"].as_str()),
        (Some("awaiting_payment"), Some("open"))
    );
    let page = customer.get(&format!("/orders/{id}")).await;
    assert!(page.text.contains("Pay now"), "{}", page.text);
}

#[tokio::test]
async fn secure_s24_the_screen_is_decided_about_over_the_api_and_refuses_without_a_reason() {
    let world = world().await;
    let staff = world.owner_here();
    world.try_order(&world.from("DE", "first@example.com").await, "key-0").await.expect(201);
    let countries = json!({ "deny": ["KP"], "review": ["RU"] });
    let wrong = json!({ "rules": { "billing_countries": { "deny": ["Korea"] } }, "version": 0 });
    let refused = staff.write(reqwest::Method::PUT, "/api/v1/screening/rules?dry_run=true", wrong, None).await;
    assert_eq!(refused.json()["field"], "rules.billing_countries.deny");
    refused.refused(400, "country_invalid");
    let tried =
        json!({ "rules": { "country_mismatch": "review", "network_countries": countries.clone() }, "orders": 10 });
    let tried = staff.post("/api/v1/screening/try", tried).await.expect(200);
    assert_eq!(tried["orders"][0]["verdict"], "allow");
    world.screen_by(json!({ "network_countries": countries }), 0).await;

    let denied = world.try_order(&world.from("KP", "kim@example.com").await, "key-1").await;
    assert!(!denied.text.contains("KP") && !denied.text.contains("country"), "{}", denied.text);
    denied.refused(409, "order_refused");
    let customer = world.from("RU", "ada@example.com").await;
    let placed = world.try_order(&customer, "key-2").await.expect(201);
    let id = placed["order"]["id"].as_str().unwrap();
    let waiting = staff.get("/api/v1/screening/orders?waiting=true").await.expect(200);
    assert_eq!((waiting["items"].as_array().unwrap().len(), &waiting["items"][0]["order_id"]), (1, &json!(id)));
    assert_eq!(staff.get("/api/v1/screening/orders").await.expect(200)["items"].as_array().unwrap().len(), 3);
    let reader = world.key(&world.brand, &["order.read"]).await.with("ottery-brand", &world.brand);
    reader.post(&format!("/api/v1/orders/{id}/decline"), json!({})).await.refused(403, "permission_missing");
    customer.post(&format!("/api/v1/orders/{id}/approve"), json!({})).await.refused(404, "not_found");
    let declined = staff.post(&format!("/api/v1/orders/{id}/decline"), json!({ "note": "stolen" })).await.expect(200);
    assert_eq!(declined["state"], "cancelled");
    let seen = reader.get(&format!("/api/v1/orders/{id}/screening")).await.expect(200);
    assert_eq!(
        (seen["decision"].as_str(), seen["hits"][0]["rule"].as_str()),
        (Some("declined"), Some("network_country"))
    );
    staff.post(&format!("/api/v1/orders/{id}/approve"), json!({})).await.refused(409, "order_not_under_review");
    // Nobody's own header is believed: who comes without a proxy has no country.
    let direct = world_with(config()).await;
    let kim = direct.from("KP", "kim@example.com").await;
    direct.try_order(&kim, "key-1").await.expect(201);
    direct.screen_by(json!({ "network_countries": { "deny": ["KP"] } }), 0).await;
    direct.try_order(&kim, "key-2").await.expect(201);
}
