//! Taxes, from the staff area to the checkout, as JSON and as pages without a script.

use serde_json::json;

use crate::browser::{Answer, Browser};
use crate::world::{SHOP, world};

async fn send(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = browser.request(reqwest::Method::POST, path).header("origin", browser.origin()).form(fields);
    browser.send(request).await
}

async fn put(browser: &Browser, path: &str, body: serde_json::Value) -> Answer {
    browser.write(reqwest::Method::PUT, path, body, None).await
}

fn hidden(page: &str, action: &str, name: &str) -> String {
    let form = page.split(&format!("action=\"{action}\"")).nth(1).unwrap_or_else(|| panic!("no form {action}: {page}"));
    let field = form.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no field {name}"));
    field.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn rules_are_replaced_by_the_api_and_decide_what_a_quote_says() {
    let world = world().await;
    let staff = world.owner_here();
    let empty = staff.get("/api/v1/tax-rules").await.expect(200);
    assert_eq!((empty["version"].as_u64(), empty["rules"].as_array().map(Vec::len)), (Some(0), Some(0)));
    let rules = json!([
        { "country": "FR", "rate_bp": 2000, "name": "TVA", "reverse_charge": true },
        { "country": "US", "region": "CA", "rate_bp": 0, "levy": "out_of_scope", "reason": "No nexus" },
    ]);
    let tried =
        put(&staff, "/api/v1/tax-rules?dry_run=true", json!({ "rules": rules, "version": 0 })).await.expect(200);
    assert_eq!(tried["rules"][0]["levy"], "rate");
    assert_eq!(staff.get("/api/v1/tax-rules").await.expect(200)["version"], 0);
    let made = put(&staff, "/api/v1/tax-rules", json!({ "rules": rules, "version": 0 })).await.expect(200);
    assert_eq!((made["version"].as_u64(), made["rules"][1]["region"].as_str()), (Some(1), Some("CA")));
    let stale = put(&staff, "/api/v1/tax-rules", json!({ "rules": [], "version": 0 })).await;
    stale.refused(409, "stale_version");
    let wrong = json!({ "rules": [{ "country": "FR", "rate_bp": 20_000, "name": "TVA" }], "version": 1 });
    let refused = put(&staff, "/api/v1/tax-rules", wrong).await.expect(400);
    assert_eq!(refused["field"], "rules[0].rate_bp");

    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    customer.get("/api/v1/tax-rules").await.expect(404);
    let price = world.plan["current"]["prices"][0]["id"].clone();
    let mut quote = json!({});
    for _ in 0..100 {
        let asked = json!({ "price_id": price, "country": "FR" });
        quote = customer.post("/api/v1/quotes", asked).await.json();
        if quote["lines"][0]["tax_rate_bp"] == 2000 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(quote["lines"][0]["tax_rate_bp"], 2000, "billing hears of the rules: {quote}");
}

#[tokio::test]
async fn staff_edit_taxes_on_a_page() {
    let world = world().await;
    let staff = &world.owner;
    let at = |path: &str| format!("/staff/b/{}/taxes{path}", world.brand);
    let page = staff.get(&at("")).await;
    assert_eq!(page.status.as_u16(), 200, "{}", page.text);
    assert!(page.text.contains("Without rules everybody is taxed at the rate"), "{}", page.text);
    let version = hidden(&page.text, &at("/settings"), "expected_version");
    let settings = [
        ("expected_version", version.as_str()),
        ("pricing", "exclusive"),
        ("rounding", "total"),
        ("elsewhere", "untaxed"),
        ("vat_wait_hours", "48"),
    ];
    let saved = send(staff, &at("/settings"), &settings).await;
    assert!(saved.header("location").contains("done=saved"), "{}", saved.text);
    let brand = world.owner_here().get(&format!("/api/v1/brands/{}", world.brand)).await.expect(200);
    assert_eq!(
        brand["entity"]["tax"],
        json!({ "pricing": "exclusive", "rounding": "total", "elsewhere": "untaxed", "vat_wait_hours": 48 })
    );

    let bad = [("expected_version", "0"), ("rules", "country,rate_percent,name\nFR,20,TVA\nFR,21,TVA")];
    let refused = send(staff, &at(""), &bad).await;
    assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
    assert!(refused.text.contains("Rules[1].valid_from: rules[0] is about the same place"), "{}", refused.text);
    let good = [("expected_version", "0"), ("rules", "country,rate_percent,name,reverse_charge\nFR,5.5,TVA,yes")];
    let replaced = send(staff, &at(""), &good).await;
    assert!(replaced.header("location").contains("done=saved"), "{}", replaced.text);
    let page = staff.get(&at("")).await;
    for text in ["5.50%", "TVA", "Pay it themselves", "FR,,,,5.50,TVA,rate,,yes,,"] {
        assert!(page.text.contains(text), "`{text}` is not in {}", page.text);
    }
}

#[tokio::test]
async fn customers_give_their_address_and_vat_number_on_a_page_and_staff_decide_on_what_no_service_knows() {
    let world = world().await;
    let customer = world.browser(SHOP);
    let account = customer.sign_up("ada@example.com").await;
    // Billing knows the brand by then.
    world.quote(&customer, world.plan["current"]["prices"][0]["id"].as_str().unwrap()).await;
    let page = customer.get("/account/billing").await;
    assert_eq!(page.status.as_u16(), 200, "{}", page.text);
    let filled = |number| {
        [
            ("version", "0"),
            ("company", "Ada AG"),
            ("lines", "Seeweg 1\r\nHinterhaus"),
            ("postal_code", "8001"),
            ("city", "Zürich"),
            ("country", "CH"),
            ("vat_number", number),
        ]
    };
    let wrong = send(&customer, "/account/billing", &filled("CHE-107.787.578")).await;
    assert_eq!(wrong.status.as_u16(), 400, "{}", wrong.text);
    assert!(
        wrong.text.contains("look for a mistyped or missing digit") && wrong.text.contains("Seeweg 1"),
        "{}",
        wrong.text
    );
    let saved = send(&customer, "/account/billing", &filled("CHE-107.787.577 MWST")).await;
    assert!(saved.header("location").contains("done=saved"), "{}", saved.text);
    let page = customer.get("/account/billing").await;
    for text in ["CHE107787577", "Being checked", "Ada AG"] {
        assert!(page.text.contains(text), "`{text}` is not in {}", page.text);
    }

    let path = format!("/api/v1/accounts/{account}/billing-address");
    let own = customer.get(&path).await.expect(200);
    assert_eq!(
        (own["vat_state"].as_str(), own["lines"][1].as_str(), own["source"].as_str()),
        (Some("pending"), Some("Hinterhaus"), Some("customer"))
    );
    let stranger = world.browser(SHOP);
    stranger.sign_up("eve@example.com").await;
    stranger.get(&path).await.refused(404, "billing_address_not_found");
    let stale = json!({ "country": "CH", "version": 7 });
    put(&customer, &path, stale).await.refused(409, "stale_version");

    let desk = format!("/staff/b/{}/customers/{account}", world.brand);
    let seen = world.owner.get(&desk).await;
    for text in ["CHE107787577", "Seeweg 1, Hinterhaus, 8001, Zürich, CH", "Decide on the VAT number"] {
        assert!(seen.text.contains(text), "`{text}` is not in {}", seen.text);
    }
    let decided =
        send(&world.owner, &format!("{desk}/vat"), &[("decision", "valid"), ("reference", "uid.admin.ch")]).await;
    assert!(decided.header("location").contains("done=saved"), "{}", decided.text);
    assert_eq!(customer.get(&path).await.expect(200)["vat_proof"]["reference"], "uid.admin.ch");
    let body = json!({ "valid": true, "reference": "me" });
    customer.post(&format!("/api/v1/accounts/{account}/vat-decision"), body).await.expect(404);
}
