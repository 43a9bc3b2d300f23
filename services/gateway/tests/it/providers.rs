//! Accounts at payment providers, and by what customers may pay: over the API and on pages.

use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::{Answer, Browser};
use crate::world::{SHOP, world};

/// Nobody listens there: what needs no call works, and what does says that the provider is away.
const NOWHERE: &str = "http://127.0.0.1:9999";

async fn send(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = browser.request(Method::POST, path).header("origin", browser.origin()).form(fields);
    browser.send(request).await
}

fn stripe() -> Value {
    json!({"provider": "stripe", "base_url": NOWHERE, "api_key": "sk_test_0123456789abcdef",
           "terms": {"name": "Card", "currencies": ["EUR"], "countries": ["DE"]}})
}

#[tokio::test]
async fn an_account_is_added_rotated_switched_off_and_shows_no_secret() {
    let world = world().await;
    let staff = world.owner_here();
    let made = staff.post("/api/v1/provider-accounts", stripe()).await.expect(201);
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        (&made["webhook_secrets"], &made["test_mode"], &made["api_key_hint"]),
        (&json!(0), &json!(true), &json!("cdef"))
    );
    assert_eq!(made["webhook_path"], format!("/webhooks/stripe/{id}"));
    assert_eq!(made["api_version"], billing::provider::stripe::API_VERSION);
    assert!(made["webhook_events"].as_array().unwrap().contains(&json!("charge.dispute.created")));
    assert_eq!(made["terms"]["enabled"], true);

    let rotate = format!("/api/v1/provider-accounts/{id}/rotate");
    let secret = |secret: &str, version: u64| json!({"webhook_secret": secret, "version": version});
    let first = staff.post(&rotate, secret("whsec_canary_1", 1)).await.expect(200);
    assert_eq!((&first["webhook_secrets"], &first["previous_secret_until"]), (&json!(1), &Value::Null));
    let second = staff.post(&rotate, secret("whsec_canary_2", 2)).await.expect(200);
    assert!(second["webhook_secrets"] == 2 && second["previous_secret_until"].is_string(), "{second}");
    staff.post(&rotate, secret("whsec_canary_3", 2)).await.refused(409, "version_conflict");
    staff.post(&rotate, json!({"webhook_secret": "", "version": 3})).await.refused(400, "secret_invalid");

    let test = staff.post(&format!("/api/v1/provider-accounts/{id}/test"), json!({})).await.expect(200);
    assert!(test["good"] == false && test["problem"].is_string(), "{test}");

    let mut off = stripe();
    off["api_key"] = json!("");
    off["version"] = json!(3);
    off["terms"]["enabled"] = json!(false);
    staff.write(Method::PUT, &format!("/api/v1/provider-accounts/{id}"), off, None).await.expect(200);
    let listed = staff.get("/api/v1/provider-accounts").await;
    assert_eq!(listed.json()["items"][0]["terms"]["enabled"], false);
    for canary in ["whsec_canary", "0123456789"] {
        assert!(!listed.text.contains(canary), "{}", listed.text);
    }
}

#[tokio::test]
async fn customers_see_by_what_they_may_pay_where_they_are() {
    let world = world().await;
    world.owner_here().post("/api/v1/provider-accounts", stripe()).await.expect(201);
    let customer = world.browser(SHOP);
    let ways =
        async |query: &str| customer.get(&format!("/api/v1/pay-ways?{query}")).await.expect(200)["items"].clone();
    assert_eq!(ways("currency=EUR&country=DE").await[0]["name"], "Card");
    assert_eq!(ways("currency=EUR&country=US").await, json!([]));
    assert_eq!(ways("currency=USD").await, json!([]));
    customer.get("/api/v1/pay-ways?currency=euro").await.refused(400, "currency_invalid");
    // Nobody else's accounts, and nothing of the account itself.
    assert_eq!(
        world.browser(crate::world::OTHER).get("/api/v1/pay-ways?currency=EUR").await.expect(200)["items"],
        json!([])
    );
}

#[tokio::test]
async fn customers_choose_between_the_ways_to_pay_that_serve_their_order() {
    let world = world().await;
    let limits = |end: &str, minor: i64| json!([{"currency": "EUR", end: minor}]);
    let mut made = Vec::new();
    for (name, amounts) in
        [("Card", json!([])), ("By bank", limits("max_minor", 999)), ("Large", limits("min_minor", 1000))]
    {
        let mut account = stripe();
        account["terms"]["name"] = json!(name);
        account["terms"]["amounts"] = amounts;
        made.push(world.owner_here().post("/api/v1/provider-accounts", account).await.expect(201));
    }
    assert_eq!(made[1]["terms"]["amounts"], json!([{"currency": "EUR", "min_minor": null, "max_minor": 999}]));
    let [card, bank, large] = [0, 1, 2].map(|at: usize| made[at]["id"].as_str().unwrap());
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let price = world.plan["current"]["prices"][0]["id"].as_str().unwrap();
    let quote = world.quote(&customer, price).await;
    assert_eq!(quote["due_now"]["minor"], 999);
    let ways = customer.get("/api/v1/pay-ways?currency=EUR&country=DE&amount_minor=999").await.expect(200);
    let shown = |at: usize| (ways["items"][at]["name"].as_str(), ways["items"][at]["kind"].as_str());
    assert_eq!(
        [shown(0), shown(1), shown(2)],
        [(Some("By bank"), Some("card")), (Some("Card"), Some("card")), (None, None)]
    );

    let page = customer.get(&format!("/checkout?price={price}")).await;
    let choice = page.text.split("name=\"provider_account_id\"").nth(1).expect("a choice");
    let choice = choice.split("</select>").next().unwrap();
    assert!(
        choice.find(bank) < choice.find(card) && choice.contains(bank),
        "the first is the one taken anyway: {choice}"
    );
    assert!(!choice.contains(large) && !choice.contains("Large"), "{choice}");

    let order = |way: &str| json!({ "quote_id": quote["id"], "provider_account_id": way });
    let wrong = customer.pay("/api/v1/orders", "key-1", order(large)).await.expect(400);
    assert_eq!((&wrong["code"], &wrong["field"]), (&json!("pay_way_unavailable"), &json!("provider_account_id")));
    customer.pay("/api/v1/orders", "key-2", order("card")).await.refused(400, "id_invalid");
    // The provider is away, the order stands and can be paid by another way.
    let placed = customer.pay("/api/v1/orders", "key-3", order(card)).await.expect(201);
    let page = customer.get(&format!("/orders/{}", placed["order"]["id"].as_str().unwrap())).await;
    assert!(page.text.contains("name=\"provider_account_id\"") && page.text.contains(bank), "{}", page.text);
    let invoice = placed["order"]["invoice_id"].as_str().unwrap();
    let page = customer.get(&format!("/account/invoices/{invoice}")).await;
    assert!(page.text.contains("name=\"provider_account_id\"") && page.text.contains(card), "{}", page.text);
    let pay = format!("/api/v1/invoices/{invoice}/pay");
    customer.pay(&pay, "key-4", json!({ "provider_account_id": large })).await.refused(400, "pay_way_unavailable");
}

#[tokio::test]
async fn one_way_to_pay_is_named_and_not_asked_for() {
    let world = world().await;
    world.owner_here().post("/api/v1/provider-accounts", stripe()).await.expect(201);
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let price = world.plan["current"]["prices"][0]["id"].as_str().unwrap();
    world.quote(&customer, price).await;
    let page = customer.get(&format!("/checkout?price={price}")).await;
    assert!(page.text.contains("You pay by") && page.text.contains("Card"), "{}", page.text);
    assert!(!page.text.contains("name=\"provider_account_id\""), "{}", page.text);
}

#[tokio::test]
async fn a_customer_sees_methods_and_is_told_when_the_provider_is_away() {
    let world = world().await;
    world.owner_here().post("/api/v1/provider-accounts", stripe()).await.expect(201);
    let customer = world.browser(SHOP);
    let account = customer.sign_up("ada@example.com").await;
    let seen = world.owner.get(&format!("/staff/b/{}/customers/{account}", world.brand)).await;
    assert!(seen.text.contains("No method is saved"), "staff sees the same: {}", seen.text);
    assert_eq!(customer.get("/api/v1/payment-methods").await.expect(200)["items"], json!([]));
    let page = customer.get("/account/methods").await;
    assert!(page.text.contains("No method is saved") && page.text.contains("Add: Card"), "{}", page.text);
    // Who has never ordered is charged for nothing.
    let refused = send(&customer, "/account/methods/add", &[]).await;
    assert!(refused.text.contains("lace an order first"), "{}", refused.text);
    let unknown = "/api/v1/payment-methods/pmt_0192f0c1a2b37c4d8e5f60718293a4b5";
    customer.delete(unknown).await.refused(404, "payment_method_not_found");
    let elsewhere = json!({"return_path": "https://evil.example/"});
    customer.post("/api/v1/payment-methods", elsewhere).await.refused(400, "path_invalid");
}

#[tokio::test]
async fn staff_connects_stripe_on_a_page() {
    let world = world().await;
    let staff = &world.owner;
    let path = format!("/staff/b/{}/providers", world.brand);
    let typed = [
        ("id", ""),
        ("provider", "stripe"),
        ("base_url", NOWHERE),
        ("api_key", "sk_test_0123456789abcdef"),
        ("webhook_secrets", ""),
        ("name", "Card"),
        ("countries", "de, at"),
        ("currencies", "eur"),
        ("amounts", "eur 5-500"),
        ("enabled", "on"),
    ];
    let saved = send(staff, &path, &typed).await;
    assert_eq!(saved.status.as_u16(), 303, "{}", saved.text);
    let page = staff.get(&path).await;
    for text in [
        "Card (Stripe)",
        "No secret yet",
        "AT, DE, EUR 5-500",
        "charge.dispute.created",
        billing::provider::stripe::API_VERSION,
    ] {
        assert!(page.text.contains(text), "`{text}` is not in {}", page.text);
    }
    let account = page.text.split("name=\"rotated\"").nth(1).and_then(|rest| rest.split("value=\"").nth(1)).unwrap();
    let account = account.split('"').next().unwrap();
    let rotate = [("rotated", account), ("webhook_secret", "whsec_canary"), ("overlap_hours", "24")];
    assert_eq!(send(staff, &format!("{path}/rotate"), &rotate).await.status.as_u16(), 303);
    let test = send(staff, &format!("{path}/test"), &[("account", account)]).await;
    assert!(test.status.as_u16() == 400 && test.text.contains("he provider was not reached"), "{}", test.text);
    let page = staff.get(&path).await;
    assert!(!page.text.contains("No secret yet") && !page.text.contains("whsec_canary"), "{}", page.text);
    let wrong = send(staff, &path, &[("provider", "stripe"), ("base_url", NOWHERE), ("api_key", "pk_test_1")]).await;
    assert!(wrong.status.as_u16() == 400 && wrong.text.contains("no secret key of stripe"), "{}", wrong.text);
    // What cannot be read, and what makes no sense, is said at the field, which keeps what was typed.
    for (amounts, said) in [("EUR 5", "is no range of amounts"), ("EUR 500-5", "is more than the largest")] {
        let typed = [
            ("provider", "stripe"),
            ("base_url", NOWHERE),
            ("api_key", "sk_test_0123456789abcdef"),
            ("amounts", amounts),
        ];
        let wrong = send(staff, &path, &typed).await;
        assert!(wrong.status.as_u16() == 400 && wrong.text.contains(said), "{}", wrong.text);
        assert!(wrong.text.contains(&format!("value=\"{amounts}\"")), "{}", wrong.text);
    }
}

#[tokio::test]
async fn a_comparison_with_the_books_is_asked_for_and_shown_over_the_api_and_on_pages() {
    let world = world().await;
    let staff = world.owner_here();
    let made = staff.post("/api/v1/provider-accounts", stripe()).await.expect(201);
    let id = made["id"].as_str().unwrap();
    let asked = staff.post(&format!("/api/v1/provider-accounts/{id}/reconcile"), json!({})).await.expect(200);
    // Nobody is reached there, so it goes on being under way.
    assert!(asked["ended_at"].is_null(), "{asked}");
    assert_eq!(
        (&asked["step"], &asked["provider"], &asked["totals"]),
        (&json!("payment"), &json!("stripe"), &json!([]))
    );
    let again = staff.post(&format!("/api/v1/provider-accounts/{id}/reconcile"), json!({})).await.expect(200);
    assert_eq!(again["id"], asked["id"], "the one that is under way");
    let run = asked["id"].as_str().unwrap();
    assert_eq!(staff.get("/api/v1/reconciliations").await.json()["items"][0]["id"], run);
    assert_eq!(staff.get(&format!("/api/v1/reconciliations/{run}")).await.json()["provider_account_id"], id);
    staff.get("/api/v1/reconciliations/rcn_0").await.refused(400, "id_invalid");
    let nobody = "pva_0192f0c1a2b37c4d8e5f60718293a4b5";
    let unknown = format!("/api/v1/provider-accounts/{nobody}/reconcile");
    staff.post(&unknown, json!({})).await.refused(404, "provider_account_not_found");
    assert_eq!(staff.get("/api/v1/reconciliation-differences").await.json()["items"], json!([]));
    let accept = "/api/v1/reconciliation-differences/rcd_0192f0c1a2b37c4d8e5f60718293a4b5/accept";
    staff.post(accept, json!({"reason": ""})).await.refused(400, "reason_invalid");
    staff.post(accept, json!({"reason": "another product"})).await.refused(404, "difference_not_found");

    let base = format!("/staff/b/{}", world.brand);
    let page = world.owner.get(&format!("{base}/reconciliation")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    for word in ["Reconciliation", "Providers and books agree.", run, id] {
        assert!(page.text.contains(word), "{word}: {}", page.text);
    }
    let shown = world.owner.get(&format!("{base}/reconciliation/{run}")).await;
    assert!(shown.text.contains("Money that moved"), "{}", shown.text);
    let sent = send(&world.owner, &format!("{base}/reconciliation"), &[("account", id)]).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let wrong = send(&world.owner, &format!("{base}/reconciliation"), &[("account", nobody)]).await;
    assert!(wrong.text.contains("There is no provider account"), "{}", wrong.text);
}
