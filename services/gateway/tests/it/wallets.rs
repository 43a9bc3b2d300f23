//! Wallets of customers over the API and on pages without a script.

use std::time::Duration;

use ottery_kernel::{Clock as _, SystemClock};
use ottery_kit::secret::Secret;
use ottery_sandbox::{Running, Sandbox, SandboxConfig};
use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::{Answer, Browser};
use crate::world::{SHOP, World, brand_body, world};

const SECRET: &str = "whsec_sandbox_demo";

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

/// A payment provider on this machine, and the id in the address of its webhooks.
struct Till {
    sandbox: Running,
    account: String,
    http: reqwest::Client,
}

impl Till {
    async fn of(world: &World) -> Self {
        let sandbox = Sandbox::start(SandboxConfig { seed: Some(7), ..SandboxConfig::default() }).await.unwrap();
        let body = json!({
            "provider": "sandbox", "base_url": format!("http://{}", sandbox.addresses().payments),
            "api_key": "sk_sandbox_demo", "webhook_secrets": [SECRET],
        });
        let made = world.owner_here().post("/api/v1/provider-accounts", body).await.expect(201);
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { sandbox, account: made["id"].as_str().unwrap().to_owned(), http }
    }

    /// Pays on a hosted page, and lets the provider tell.
    async fn pay(&self, page: &str, browser: &Browser) {
        let card = [("number", "4242424242424242"), ("expiry", "12/39"), ("cvc", "123")];
        let paid = self.http.post(format!("{page}/pay")).form(&card).send().await.unwrap();
        assert_eq!(paid.status().as_u16(), 303);
        let events = format!("http://{}/v1/events?limit=100", self.sandbox.addresses().payments);
        let events = self.http.get(events).bearer_auth("sk_sandbox_demo").send().await.unwrap();
        let events: Value = events.json().await.unwrap();
        let told = events["data"].as_array().unwrap().iter().rfind(|one| one["type"] == "payment.succeeded").unwrap();
        let body = serde_json::to_vec(told).unwrap();
        let at = SystemClock.now().timestamp().to_string();
        let signature = format!("t={at},v1={}", billing::provider::sign(&Secret::new(SECRET), &at, &body));
        let request = browser
            .request(Method::POST, &format!("/webhooks/sandbox/{}", self.account))
            .header("sandbox-signature", signature)
            .body(body);
        assert!(browser.send(request).await.status.is_success());
    }
}

/// What can be spent, once it is that much.
async fn until_available(customer: &Browser, minor: i64) {
    for _ in 0..200 {
        let wallet = customer.get("/api/v1/wallet").await.expect(200);
        if wallet["wallets"][0]["available"]["minor"] == minor {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{}", customer.get("/api/v1/wallet").await.text);
}

#[tokio::test]
async fn a_customer_tops_the_wallet_up_over_the_api_and_the_brand_says_with_how_much() {
    let world = world().await;
    let till = Till::of(&world).await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    world.quote(&customer, world.plan["current"]["prices"][0]["id"].as_str().unwrap()).await;
    let wallet = customer.get("/api/v1/wallet").await.expect(200);
    assert_eq!(wallet["top_up_limits"][0]["min"], json!({ "currency": "EUR", "minor": 500 }));
    assert_eq!(wallet["saved_method_label"], Value::Null);

    let staff = world.owner_here();
    let rule = |max: i64| json!([{ "currency": "EUR", "top_up_min_minor": 1000, "top_up_max_minor": max }]);
    let put = |max: i64, version: u64| json!({ "rules": rule(max), "version": version });
    let wrong = staff.write(Method::PUT, "/api/v1/amount-rules", put(1, 0), None).await.expect(400);
    assert_eq!(wrong["field"], "rules[0].top_up_max_minor");
    staff.write(Method::PUT, "/api/v1/amount-rules", put(5000, 0), None).await.expect(200);
    staff.write(Method::PUT, "/api/v1/amount-rules", put(5000, 0), None).await.refused(409, "version_conflict");
    assert_eq!(staff.get("/api/v1/amount-rules").await.expect(200)["rules"][0]["top_up_max_minor"], 5000);
    customer.get("/api/v1/amount-rules").await.refused(404, "not_found");

    // The same on the page: what is wrong is said at its field, and the form keeps what was typed.
    let page = format!("/staff/b/{}/amounts", world.brand);
    let shown = world.owner.get(&page).await;
    assert!(shown.text.contains("value=\"50.00\""), "{}", shown.text);
    let currencies: Vec<&str> =
        ["EUR", "USD", "GBP"].into_iter().filter(|code| shown.text.contains(&format!("top_up_min.{code}"))).collect();
    let form = |max: &str| -> Vec<(String, String)> {
        let amounts = currencies.iter().flat_map(|code| {
            [("top_up_min", "10"), ("top_up_max", max), ("charge_min", "0")]
                .map(|(name, value)| (format!("{name}.{code}"), value.to_owned()))
        });
        amounts.chain([("version".to_owned(), "1".to_owned())]).collect()
    };
    let posted = async |max: &str| {
        let fields = form(max);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        send(&world.owner, &page, &fields).await
    };
    let refused = posted("9,99").await;
    assert!(
        refused.text.contains("value=\"9,99\"") && refused.text.contains("t least 10.00, the smallest top-up"),
        "{}",
        refused.text
    );
    assert_eq!(refused.status.as_u16(), 400);
    assert_eq!(posted("75.50").await.status.as_u16(), 303);
    assert_eq!(staff.get("/api/v1/amount-rules").await.expect(200)["rules"][0]["top_up_max_minor"], 7550);
    let put = |max: i64| json!({ "rules": rule(max), "version": 2 });
    staff.write(Method::PUT, "/api/v1/amount-rules", put(5000), None).await.expect(200);

    let path = "/api/v1/wallet/top-ups";
    let euros = |minor: i64| json!({ "amount": { "currency": "EUR", "minor": minor } });
    customer.post(path, euros(2000)).await.refused(400, "idempotency_key_missing");
    let refused = customer.pay(path, "key-1", euros(999)).await;
    refused.refused(400, "top_up_amount");
    assert_eq!(refused.json()["field"], "amount");
    let saved = json!({ "amount": { "currency": "EUR", "minor": 2000 }, "saved_method": true });
    customer.pay(path, "key-2", saved).await.refused(409, "no_saved_method");
    let made = customer.pay(path, "key-3", euros(2000)).await.expect(201);
    assert_eq!((&made["invoice"]["purpose"], &made["invoice"]["proforma"]), (&json!("top_up"), &json!(true)));
    let again = customer.pay(path, "key-3", euros(2000)).await.expect(201);
    assert_eq!((&again["payment_id"], &again["checkout_url"]), (&made["payment_id"], &made["checkout_url"]));
    till.pay(made["checkout_url"].as_str().unwrap(), &customer).await;
    until_available(&customer, 2000).await;
    let invoice = format!("/api/v1/invoices/{}", made["invoice"]["id"].as_str().unwrap());
    let invoice = customer.get(&invoice).await.expect(200);
    assert_eq!((&invoice["state"], &invoice["tax"]["minor"]), (&json!("closed"), &json!(0)));
    // What it buys is paid at once.
    let placed = world.order(&customer, "order-1").await;
    assert_eq!((&placed["order"]["state"], &placed["checkout_url"]), (&json!("paid"), &Value::Null));
    until_available(&customer, 1001).await;
}

#[tokio::test]
async fn a_customer_tops_the_wallet_up_on_its_page() {
    let world = world().await;
    let till = Till::of(&world).await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    world.quote(&customer, world.plan["current"]["prices"][0]["id"].as_str().unwrap()).await;
    let page = customer.get("/account/wallet").await;
    assert_eq!(page.status.as_u16(), 200, "{}", page.text);
    for text in ["The wallet is empty", "Top up", "€5.00 to €500.00"] {
        assert!(page.text.contains(text), "`{text}` is not in {}", page.text);
    }
    let action = "/account/wallet/top-up";
    let key = hidden(&page.text, action, "idempotency_key");
    let typed = |amount| [("idempotency_key", key.as_str()), ("amount", amount), ("currency", "EUR")];
    let refused = send(&customer, action, &typed("4,99")).await;
    assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
    assert!(
        refused.text.contains("5.00 EUR to 500.00 EUR") && refused.text.contains("value=\"4,99\""),
        "{}",
        refused.text
    );
    let leave = send(&customer, action, &typed("20,00")).await;
    assert_eq!(leave.status.as_u16(), 200, "{}", leave.text);
    let checkout = format!("http://{}/", till.sandbox.addresses().payments);
    let hosted = leave.text.split('"').find(|part| part.starts_with(&checkout)).expect("the provider's page");
    till.pay(hosted, &customer).await;
    until_available(&customer, 2000).await;
    let page = customer.get("/account/wallet").await;
    assert!(page.text.contains("€20.00") && page.text.contains("Topped up"), "{}", page.text);
}

#[tokio::test]
async fn a_customer_chooses_which_saved_method_pays_a_top_up() {
    let world = world().await;
    let till = Till::of(&world).await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    world.quote(&customer, world.plan["current"]["prices"][0]["id"].as_str().unwrap()).await;
    let action = "/account/wallet/top-up";
    let page = customer.get("/account/wallet").await.text;
    assert!(page.contains("Remember what I type") && !page.contains("Pay with"), "{page}");
    let path = "/api/v1/wallet/top-ups";
    let euros = |more: Value| {
        let mut input = json!({ "amount": { "currency": "EUR", "minor": 1000 } });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let made = customer.pay(path, "key-1", euros(json!({ "save_method": true }))).await.expect(201);
    till.pay(made["checkout_url"].as_str().unwrap(), &customer).await;
    until_available(&customer, 1000).await;
    let methods = customer.get("/api/v1/payment-methods").await.expect(200);
    let method = methods["items"][0]["id"].as_str().unwrap().to_owned();

    let charged = customer.pay(path, "key-2", euros(json!({ "payment_method_id": method }))).await.expect(201);
    assert_eq!(charged["checkout_url"], Value::Null);
    until_available(&customer, 2000).await;
    let page = customer.get("/account/wallet").await.text;
    for text in ["Pay with", "Visa ending 4242", "Another one, on the payment page", &method] {
        assert!(page.contains(text), "`{text}` is not in {page}");
    }
    let typed = |page: &str, method: &str| {
        let key = hidden(page, action, "idempotency_key");
        [("idempotency_key", key.as_str()), ("amount", "10"), ("currency", "EUR"), ("payment_method_id", method)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let top_up = async |browser: &Browser, fields: [(String, String); 4]| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        send(browser, action, &fields).await
    };
    let done = top_up(&customer, typed(&page, &method)).await;
    assert!(done.header("location").contains("done=charging"), "{}", done.text);
    until_available(&customer, 3000).await;

    // Somebody else's is not there.
    let stranger = world.browser(SHOP);
    stranger.sign_up("eve@example.com").await;
    let input = euros(json!({ "payment_method_id": method }));
    let refused = stranger.pay(path, "key-3", input).await;
    refused.refused(404, "payment_method_not_found");
    assert_eq!(refused.json()["field"], "payment_method_id");
    let page = stranger.get("/account/wallet").await.text;
    let refused = top_up(&stranger, typed(&page, &method)).await;
    assert_eq!(refused.status.as_u16(), 404, "{}", refused.text);
    assert!(refused.text.contains("no saved method"), "{}", refused.text);
    let wrong = customer.pay(path, "key-4", euros(json!({ "payment_method_id": "x" }))).await;
    assert_eq!((wrong.status.as_u16(), &wrong.json()["field"]), (400, &json!("payment_method_id")));
}

#[tokio::test]
async fn case_026_staff_converts_a_wallet_over_the_api_and_at_the_desk() {
    let world = world().await;
    let path = format!("/api/v1/brands/{}", world.brand);
    let mut brand = brand_body("nordlicht", SHOP);
    brand["currencies"] = json!(["EUR", "USD"]);
    brand["version"] = world.owner_here().get(&path).await.expect(200)["version"].clone();
    world.owner_here().write(Method::PUT, &path, brand, None).await.expect(200);
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let placed = world.order(&customer, "order-1").await;
    let account = placed["order"]["account_id"].as_str().unwrap();
    let order = placed["order"]["id"].as_str().unwrap();
    customer.post(&format!("/api/v1/orders/{order}/cancel"), json!({})).await.expect(200);
    let staff = world.owner_here();
    let credit = json!({ "account_id": account, "amount": { "currency": "EUR", "minor": 1000 }, "reason": "sorry" });
    staff.pay("/api/v1/wallet/credits", "credit-1", credit).await.expect(201);

    let input =
        |rate: &str| json!({ "account_id": account, "from": "EUR", "to": "USD", "rate": rate, "reason": "moved" });
    let conversions = "/api/v1/wallet/conversions";
    let wrong = staff.pay(conversions, "conversion-1", input("1,08")).await;
    wrong.refused(400, "rate_invalid");
    assert_eq!(wrong.json()["field"], "rate");
    let reader = world.key(&world.brand, &["invoice.read"]).await.with("ottery-brand", &world.brand);
    reader.pay(conversions, "conversion-2", input("1.0837")).await.refused(403, "permission_missing");
    customer.pay(conversions, "conversion-3", input("1.0837")).await.refused(404, "not_found");
    // Billing hears of the second currency by an event.
    let mut made = staff.pay(conversions, "conversion-4", input("1.0837")).await;
    for attempt in 0..100 {
        if made.status.is_success() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        made = staff.pay(conversions, &format!("conversion-4-{attempt}"), input("1.0837")).await;
    }
    let made = made.expect(201);
    assert_eq!((&made["from"]["minor"], &made["to"]), (&json!(1000), &json!({ "currency": "USD", "minor": 1084 })));

    let desk = format!("/staff/b/{}/customers/{account}/wallet", world.brand);
    let page = world.owner.get(&desk).await;
    assert!(page.text.contains("Convert into another currency") && page.text.contains("$10.84"), "{}", page.text);
    let action = format!("{desk}/conversions");
    let key = hidden(&page.text, &action, "idempotency_key");
    let typed = |rate| {
        [("idempotency_key", key.as_str()), ("from", "USD"), ("to", "EUR"), ("rate", rate), ("reason", "back again")]
    };
    let refused = send(&world.owner, &action, &typed("0")).await;
    assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
    let done = send(&world.owner, &action, &typed("12/13")).await;
    assert!(done.header("location").contains("done=converted"), "{}", done.text);
    assert!(world.owner.get(&desk).await.text.contains("€10.01"));
}
