//! Campaigns and held suspensions for staff, and the link that pays one invoice for anybody who has it.

use std::time::Duration;

use ottery_kernel::{BrandId, Clock as _, SystemClock};
use ottery_kit::secret::Secret;
use ottery_proto::billing::v1::MintPayLinkRequest;
use ottery_proto::billing::v1::dunning_service_client::DunningServiceClient;
use ottery_sandbox::{Sandbox, SandboxConfig};
use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::{Answer, Browser};
use crate::world::{OTHER, SHOP, World, config, world, world_with};

const SECRET: &str = "whsec_sandbox_demo";

fn campaign() -> Value {
    json!({
        "contacts": [{ "hours": -48, "channels": ["mail"] }, { "hours": 24, "channels": ["mail"] }],
        "charge_hours": [0, 24], "tries_other_method": true, "confirm_pause_hours": 24, "cooldown_hours": 20,
        "window": { "from_hour": 9, "to_hour": 20 }, "grace_days": 7, "terminate_after_days": 14,
        "halt": { "count": 50, "share_percent": 5 },
    })
}

async fn send(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = browser.request(Method::POST, path).header("origin", browser.origin()).form(fields);
    browser.send(request).await
}

impl World {
    /// The token of the mail about the invoice of a fresh order.
    async fn owing(&self, email: &str) -> (Value, String) {
        let customer = self.browser(SHOP);
        customer.sign_up(email).await;
        let placed = self.order(&customer, "key-1").await;
        let invoice_id = placed["order"]["invoice_id"].as_str().unwrap().to_owned();
        let invoice = customer.get(&format!("/api/v1/invoices/{invoice_id}")).await.expect(200);
        let brand: BrandId = self.brand.parse().unwrap();
        let channel = self.host.channel_of_service("notification", billing::NAME, Some(brand));
        let minted = DunningServiceClient::new(channel).mint_pay_link(MintPayLinkRequest { invoice_id }).await.unwrap();
        (invoice, minted.into_inner().token)
    }

    /// A payment provider on this machine; gives the id in the address of its webhooks.
    async fn provider(&self, sandbox: &ottery_sandbox::Running) -> String {
        let body = json!({
            "provider": "sandbox", "base_url": format!("http://{}", sandbox.addresses().payments),
            "api_key": "sk_sandbox_demo", "webhook_secrets": [SECRET],
        });
        let made = self.owner_here().post("/api/v1/provider-accounts", body).await.expect(201);
        made["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn staff_read_try_and_save_a_campaign_over_the_api() {
    let world = world().await;
    let staff = world.owner_here();
    world.owing("ada@example.com").await;
    let usual = staff.get("/api/v1/dunning").await.expect(200);
    assert_eq!((usual["version"].as_u64(), usual["campaign"]["grace_days"].as_u64()), (Some(0), Some(3)));

    let tried = json!({ "campaign": campaign(), "decline": "soft", "sample": { "methods": 1, "due_at": "2026-06-01T10:00:00Z" } });
    let told = staff.post("/api/v1/dunning/simulate", tried).await.expect(200);
    let whats: Vec<_> = told["moments"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(whats, ["remind", "charge", "declined", "past_due", "charge", "declined", "remind", "suspend", "end"]);
    assert_eq!(told["moments"][7]["at"], "2026-06-08T10:00:00Z", "{told}");
    assert_eq!(told["time_zone"], "Europe/Berlin");

    let mut bad = campaign();
    bad["contacts"][1]["hours"] = json!(-60);
    let answer = staff.write(Method::PUT, "/api/v1/dunning", json!({ "campaign": bad, "version": 0 }), None).await;
    answer.refused(400, "order");
    assert_eq!(answer.json()["field"], "campaign.contacts[1].hours");

    let put = |version: u32| json!({ "campaign": campaign(), "version": version });
    let dry = staff.write(Method::PUT, "/api/v1/dunning?dry_run=true", put(0), None).await.expect(200);
    assert_eq!(dry["version"].as_u64(), Some(1));
    let saved = staff.write(Method::PUT, "/api/v1/dunning", put(0), None).await.expect(200);
    assert_eq!((saved["version"].as_u64(), &saved["campaign"]["window"]["from_hour"]), (Some(1), &json!(9)));
    let mut other = campaign();
    other["grace_days"] = json!(8);
    let late = staff.write(Method::PUT, "/api/v1/dunning", json!({ "campaign": other, "version": 0 }), None).await;
    late.refused(409, "version_conflict");

    // Another brand has its own, and who may look may not save.
    let abroad = world.owner.with("ottery-brand", &world.other_brand);
    assert_eq!(abroad.get("/api/v1/dunning").await.expect(200)["version"].as_u64(), Some(0));
    let reader = world.key(&world.brand, &["brand.read"]).await.with("ottery-brand", &world.brand);
    reader.get("/api/v1/dunning").await.expect(200);
    reader.write(Method::PUT, "/api/v1/dunning", put(1), None).await.refused(403, "permission_missing");
    let nothing = staff.get("/api/v1/dunning/held").await.expect(200);
    assert_eq!((&nothing["items"], &nothing["halted_at"]), (&json!([]), &Value::Null));
    let decide = json!({ "as_of": nothing["as_of"], "decision": "suspend", "reason": "none" });
    staff.post("/api/v1/dunning/held/decide", decide).await.refused(409, "not_halted");
}

#[tokio::test]
async fn staff_hold_a_suspension_over_the_api_and_on_the_page() {
    let world = world().await;
    let staff = world.owner_here();
    let (invoice, _) = world.owing("ada@example.com").await;
    let subscription = invoice["subscription_id"].as_str().unwrap();
    let path = format!("/api/v1/subscriptions/{subscription}/suspension-hold");
    staff.get(&path).await.refused(404, "hold_not_found");
    let until = "2026-03-01T00:00:00Z";
    let put = |until: &str, reason: &str| json!({ "until": until, "reason": reason });
    staff.write(Method::PUT, &path, put("2020-01-01T00:00:00Z", "x"), None).await.refused(400, "until_range");
    let kept = staff.write(Method::PUT, &path, put(until, "asked by phone"), None).await.expect(200);
    assert_eq!((kept["until"].as_str(), kept["reason"].as_str()), (Some(until), Some("asked by phone")));
    staff.delete(&path).await.expect(204);
    staff.get(&path).await.refused(404, "hold_not_found");
    let page = format!("/staff/b/{}/subscriptions/{subscription}", world.brand);
    let held = send(&world.owner, &format!("{page}/hold"), &[("until", "2026-03-01"), ("reason", "by hand")]).await;
    assert_eq!(held.status.as_u16(), 303, "{}", held.text);
    assert_eq!(staff.get(&path).await.expect(200)["until"], "2026-02-28T23:00:00Z", "the day begins in Berlin");
}

#[tokio::test]
async fn the_page_shows_the_days_before_anything_is_saved() {
    let world = world().await;
    world.owing("ada@example.com").await;
    let at = |path: &str| format!("/staff/b/{}/dunning{path}", world.brand);
    let shown = world.owner.get(&at("")).await;
    assert_eq!(shown.status.as_u16(), 200, "{}", shown.text);
    for text in ["nothing of its own was saved", "The saved method is charged", "Suspended", "Over"] {
        assert!(shown.text.contains(text), "`{text}` is not in {}", shown.text);
    }
    let form = world.owner.get(&at("/preview")).await;
    assert!(form.text.contains("name=\"contacts\"") && form.text.contains("Show what it does"), "{}", form.text);
    let typed = [
        ("version", "0"),
        ("contacts", "-48, 24, 96"),
        ("charge_hours", "0, 24"),
        ("cooldown_hours", "20"),
        ("confirm_pause_hours", "24"),
        ("from_hour", "9"),
        ("to_hour", "20"),
        ("tries_other_method", "on"),
        ("grace_days", "7"),
        ("terminate_after_days", "14"),
        ("halt_count", "50"),
        ("halt_share", "5"),
        ("methods", "1"),
    ];
    let preview = send(&world.owner, &at("/preview"), &typed).await;
    assert_eq!(preview.status.as_u16(), 200, "{}", preview.text);
    for text in ["Nothing is saved yet", "Save this campaign", "Reminder 3", "everything else waits 24 hours"] {
        assert!(preview.text.contains(text), "`{text}` is not in {}", preview.text);
    }
    assert_eq!(world.owner_here().get("/api/v1/dunning").await.expect(200)["version"].as_u64(), Some(0));

    let mut wrong = typed;
    wrong[2] = ("charge_hours", "0, 200");
    let refused = send(&world.owner, &at("/preview"), &wrong).await;
    assert_eq!(refused.status.as_u16(), 400);
    assert!(
        refused.text.contains("nobody suspended is charged") && refused.text.contains("0, 200"),
        "{}",
        refused.text
    );

    let saved = send(&world.owner, &at(""), &typed).await;
    assert_eq!(saved.status.as_u16(), 303, "{}", saved.text);
    let kept = world.owner_here().get("/api/v1/dunning").await.expect(200);
    assert_eq!((kept["version"].as_u64(), kept["campaign"]["contacts"][2]["hours"].as_i64()), (Some(1), Some(96)));
    let held = world.owner.get(&at("/held")).await;
    assert!(held.status.is_success() && held.text.contains("Nobody is held"), "{}", held.text);
}

/// The value of a hidden field of the form that goes there.
fn hidden(page: &str, action: &str, name: &str) -> String {
    let form = page.split(&format!("action=\"{action}\"")).nth(1).unwrap_or_else(|| panic!("no form {action}: {page}"));
    let field = form.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no field {name}"));
    field.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn whoever_has_the_link_pays_one_invoice_without_an_account_or_a_script_and_it_is_good_for_nothing_afterwards() {
    let world = world().await;
    let sandbox = Sandbox::start(SandboxConfig { seed: Some(7), ..SandboxConfig::default() }).await.unwrap();
    let account = world.provider(&sandbox).await;
    let (invoice, token) = world.owing("ada@example.com").await;
    let path = format!("/pay/{token}");
    let anybody = world.browser(SHOP);
    let page = anybody.get(&path).await;
    assert_eq!(page.status.as_u16(), 200, "{}", page.text);
    for text in [invoice["number"].as_str().unwrap(), "€9.99", "nordlicht"] {
        assert!(page.text.contains(text), "`{text}` is not in {}", page.text);
    }
    for personal in ["ada@example.com", "Ada", "Family", invoice["id"].as_str().unwrap()] {
        assert!(!page.text.contains(personal), "`{personal}` is shown: {}", page.text);
    }
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), ("no-store", "same-origin"));
    let shown = anybody.get(&format!("/api/v1/pay-links/{token}")).await.expect(200);
    let mut fields: Vec<_> = shown.as_object().unwrap().keys().cloned().collect();
    fields.sort_unstable();
    assert_eq!(fields, ["amount", "due_at", "invoice_number", "state"], "nothing personal");

    let key = hidden(&page.text, &path, "idempotency_key");
    let leave = send(&anybody, &path, &[("idempotency_key", &key)]).await;
    assert_eq!(leave.status.as_u16(), 200, "{}", leave.text);
    let checkout = format!("http://{}/", sandbox.addresses().payments);
    let hosted = leave.text.split('"').find(|part| part.starts_with(&checkout)).expect("the provider's page");
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let card = [("number", "4242424242424242"), ("expiry", "12/39"), ("cvc", "123")];
    let paid = http.post(format!("{hosted}/pay")).form(&card).send().await.unwrap();
    assert_eq!(paid.status().as_u16(), 303);
    assert!(paid.headers()["location"].to_str().unwrap().contains(&path), "back to the link's page");

    // The provider tells.
    let events = format!("http://{}/v1/events?limit=100", sandbox.addresses().payments);
    let events: Value = http.get(events).bearer_auth("sk_sandbox_demo").send().await.unwrap().json().await.unwrap();
    let told = events["data"].as_array().unwrap().iter().find(|one| one["type"] == "payment.succeeded").unwrap();
    let body = serde_json::to_vec(told).unwrap();
    let at = SystemClock.now().timestamp().to_string();
    let signature = format!("t={at},v1={}", billing::provider::sign(&Secret::new(SECRET), &at, &body));
    let request = anybody
        .request(Method::POST, &format!("/webhooks/sandbox/{account}"))
        .header("sandbox-signature", signature)
        .body(body);
    assert!(anybody.send(request).await.status.is_success());
    for _ in 0..200 {
        if anybody.get(&path).await.text.contains("This invoice is paid") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(anybody.get(&path).await.text.contains("This invoice is paid"));
    let again = anybody.pay(&format!("/api/v1/pay-links/{token}/pay"), "key-9", json!({})).await;
    again.refused(409, "invoice_not_open");
}

#[tokio::test]
async fn secure_s13_a_link_that_is_forged_foreign_or_old_opens_nothing() {
    let world = world().await;
    let (_, token) = world.owing("ada@example.com").await;
    let shop = world.browser(SHOP);
    shop.get(&format!("/api/v1/pay-links/{token}")).await.expect(200);
    let mut forged: Vec<String> = vec!["x".into(), "A".repeat(82)];
    for place in [6, 20, 35, 50, 81] {
        let other = if token.as_bytes()[place] == b'B' { 'C' } else { 'B' };
        forged.push(format!("{}{other}{}", &token[..place], &token[place + 1..]));
    }
    for wrong in &forged {
        shop.get(&format!("/api/v1/pay-links/{wrong}")).await.refused(404, "pay_link_invalid");
        let page = shop.get(&format!("/pay/{wrong}")).await;
        assert_eq!(page.status.as_u16(), 404, "{}", page.text);
        assert!(page.text.contains("This link is not good any more"), "{}", page.text);
    }
    let abroad = world.browser(OTHER).get(&format!("/api/v1/pay-links/{token}")).await;
    abroad.refused(404, "pay_link_invalid");
    // A customer cannot have one made.
    let customer = ottery_testkit::actor::customer(world.brand.parse().unwrap(), "acc_1");
    let channel = world.host.channel(billing::NAME, customer);
    let refused = DunningServiceClient::new(channel).mint_pay_link(MintPayLinkRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    world.host.clock.advance(chrono::TimeDelta::days(30));
    shop.get(&format!("/api/v1/pay-links/{token}")).await.refused(404, "pay_link_invalid");
}

#[tokio::test]
async fn secure_s25_links_to_pay_are_looked_at_a_few_times_a_minute() {
    let mut config = config();
    config.limits.pay_links_per_minute = 3;
    let world = world_with(config).await;
    let shop = world.browser(SHOP);
    for _ in 0..3 {
        shop.get("/api/v1/pay-links/guess").await.refused(404, "pay_link_invalid");
    }
    shop.get("/api/v1/pay-links/guess").await.refused(429, "rate_limited");
    assert_eq!(shop.get("/pay/guess").await.status.as_u16(), 429);
}

#[tokio::test]
async fn a_customer_reads_a_notice_on_top_of_the_account_pays_from_it_or_hides_it() {
    let world = world().await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let placed = world.order(&customer, "key-1").await;
    let invoice = placed["order"]["invoice_id"].as_str().unwrap();
    assert_eq!(customer.get("/api/v1/notices").await.expect(200)["items"], json!([]));
    // As the scheduler writes it with the reminder.
    sqlx::query(
        "INSERT INTO dunning_notice (brand_id, invoice_id, step, subscription_id, plan_name, shown_from)
         SELECT brand_id, id, 1, subscription_id, 'Family', issued_at FROM invoice",
    )
    .execute(&world.billing.admin_pool)
    .await
    .unwrap();
    let read = customer.get("/api/v1/notices").await.expect(200);
    assert_eq!(
        (&read["items"][0]["invoice_id"], read["items"][0]["amount"]["minor"].as_i64()),
        (&json!(invoice), Some(999))
    );
    let link = format!("/pay/{}", read["items"][0]["pay_token"].as_str().unwrap());
    for path in ["/account", "/account/invoices", "/account/subscriptions"] {
        let page = customer.get(path).await.text;
        assert!(page.contains("is not paid") && page.contains("Pay €9.99") && page.contains("/pay/"), "{path}: {page}");
    }
    assert!(customer.get(&link).await.text.contains("9.99"));
    let stranger = world.browser(SHOP);
    stranger.sign_up("eve@example.com").await;
    let path = format!("/api/v1/notices/{invoice}/dismiss");
    stranger.post(&path, json!({})).await.refused(404, "notice_not_found");
    let hidden = send(&customer, &format!("/account/notices/{invoice}/dismiss"), &[]).await;
    assert_eq!(hidden.header("location"), "/account");
    assert!(!customer.get("/account/invoices").await.text.contains("is not paid"));
    customer.post(&path, json!({})).await.expect(204);
}
