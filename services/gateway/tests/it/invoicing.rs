//! Invoices staff writes, as JSON and as pages without a script; customers who pay several, or are two.

use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::{Answer, Browser};
use crate::world::{SHOP, World, world};

fn lines() -> Value {
    json!([
        { "description": "Box", "quantity": 2, "unit_price": { "currency": "EUR", "minor": 1190 }, "tax_rate_bp": 1900 },
        { "description": "Book", "unit_price": { "currency": "EUR", "minor": 1070 }, "tax_rate_bp": 700 },
    ])
}

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

impl World {
    /// A signed-in customer billing knows, and the account's id.
    async fn known(&self, email: &str) -> (Browser, String) {
        let customer = self.browser(SHOP);
        customer.sign_up(email).await;
        let placed = self.order(&customer, &format!("order-{email}")).await;
        let account = placed["order"]["account_id"].as_str().unwrap().to_owned();
        (customer, account)
    }
}

#[tokio::test]
async fn staff_writes_an_invoice_looks_at_it_issues_and_credits_it() {
    let world = world().await;
    let (customer, account) = world.known("ada@example.com").await;
    let staff = world.owner_here();
    let input = json!({ "account_id": account, "currency": "EUR", "lines": lines() });
    staff.post("/api/v1/invoices", input.clone()).await.refused(400, "idempotency_key_missing");
    let draft = staff.pay("/api/v1/invoices", "draft-1", input).await.expect(201);
    let address = format!("/api/v1/invoices/{}", draft["id"].as_str().unwrap());
    assert_eq!(
        (&draft["state"], &draft["purpose"], &draft["number"]),
        (&json!("draft"), &json!("manual"), &Value::Null)
    );
    customer.get(&address).await.refused(404, "invoice_not_found");
    let mut fewer = lines();
    fewer.as_array_mut().unwrap().remove(1);
    let edited = staff.write(Method::PUT, &address, json!({ "lines": fewer }), None).await.expect(200);
    assert_eq!(edited["total"]["minor"], 2380);
    let bad = staff.write(Method::PUT, &address, json!({ "lines": [] }), None).await;
    bad.refused(400, "lines_invalid");
    assert_eq!(bad.json()["field"], "lines");

    let issued = staff.pay(&format!("{address}/finalise"), "issue-1", json!({ "due_days": 30 })).await.expect(200);
    assert_eq!((&issued["state"], &issued["number"]), (&json!("open"), &json!("INV-2026-000002")));
    staff.write(Method::PUT, &address, json!({ "lines": lines() }), None).await.refused(409, "invoice_issued");
    staff.delete(&address).await.refused(409, "invoice_issued");
    staff.post(&format!("{address}/send"), json!({})).await.expect(200);
    assert_eq!(customer.get(&address).await.expect(200)["number"], "INV-2026-000002");

    let input = json!({ "line_numbers": [1], "reason": "Sent back" });
    let note = staff.pay(&format!("{address}/credit-notes"), "credit-1", input).await.expect(201);
    assert_eq!((&note["number"], &note["line_numbers"]), (&json!("INV-CN-2026-000001"), &json!([1])));
    let closed = staff.get(&address).await.expect(200);
    assert_eq!((&closed["state"], &closed["credit_notes"][0]["id"]), (&json!("closed"), &note["id"]));
    let xml = staff.get(&format!("{address}/credit-notes/{}/ubl", note["id"].as_str().unwrap())).await;
    assert!(xml.text.contains("INV-CN-2026-000001"), "{}", xml.text);

    // Whoever only reads invoices writes none.
    let reader = world.key(&world.brand, &["invoice.read"]).await.with("ottery-brand", &world.brand);
    reader.post(&format!("{address}/void"), json!({ "reason": "x" })).await.refused(403, "permission_missing");
    customer.post(&format!("{address}/void"), json!({ "reason": "x" })).await.refused(404, "not_found");
}

#[tokio::test]
async fn the_desk_writes_an_invoice_without_a_script() {
    let world = world().await;
    let (customer, account) = world.known("ada@example.com").await;
    let desk = &world.owner;
    let new = format!("/staff/b/{}/customers/{account}/invoices/new", world.brand);
    let form = desk.get(&new).await.text;
    let key = hidden(&form, &new, "idempotency_key");
    let wrong = [
        ("idempotency_key", key.as_str()),
        ("currency", "EUR"),
        ("what_0", "Box"),
        ("price_0", "abc"),
        ("quantity_0", "1"),
        ("rate_0", "19"),
    ];
    let refused = send(desk, &new, &wrong).await;
    assert!(refused.text.contains("value=\"abc\""), "{}", refused.text);
    let right = [
        ("idempotency_key", key.as_str()),
        ("currency", "EUR"),
        ("what_0", "Box"),
        ("price_0", "11,90"),
        ("quantity_0", "2"),
        ("rate_0", "19"),
    ];
    let made = send(desk, &new, &right).await;
    assert_eq!(made.status.as_u16(), 303, "{}", made.text);
    let page = made.header("location").split('?').next().unwrap().to_owned();
    let draft = desk.get(&page).await.text;
    assert!(draft.contains("Preview as PDF") && draft.contains("value=\"11.90\""), "{draft}");
    let key = hidden(&draft, &format!("{page}/finalise"), "idempotency_key");
    let issued =
        send(desk, &format!("{page}/finalise"), &[("idempotency_key", &key), ("due_days", "14"), ("send", "on")]).await;
    assert_eq!(issued.status.as_u16(), 303, "{}", issued.text);
    let shown = desk.get(&page).await.text;
    assert!(
        shown.contains("INV-2026-000002")
            && shown.contains("Write a credit note")
            && !shown.contains("Throw the draft away")
    );
    let refused = send(desk, &format!("{page}/void"), &[("reason", "")]).await;
    assert!(
        refused.text.contains("Say why in 1 to 500 characters")
            || refused.text.contains("say why in 1 to 500 characters"),
        "{}",
        refused.text
    );
    assert_eq!(send(desk, &format!("{page}/void"), &[("reason", "wrong buyer")]).await.status.as_u16(), 303);
    assert!(desk.get(&page).await.text.contains("Void"));
    // The customer sees it in the list, and nothing of it to pay.
    let own = format!("/account/invoices/{}", page.rsplit('/').next().unwrap());
    assert!(!customer.get(&own).await.text.contains("Pay €23.80"));
}

#[tokio::test]
async fn a_customer_is_offered_to_pay_open_invoices_together_and_gives_an_order_up() {
    let world = world().await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let first = world.order(&customer, "key-1").await;
    assert!(!customer.get("/account/invoices").await.text.contains("Pay together"));
    let second = world.order(&customer, "key-2").await;
    let list = customer.get("/account/invoices").await.text;
    assert!(list.contains("Pay together") && list.contains("19.98"), "{list}");
    let id = |placed: &Value| placed["order"]["invoice_id"].as_str().unwrap().to_owned();
    assert!(list.contains(&format!("name=\"pay_{}\"", id(&first))), "{list}");
    let both = json!({ "invoice_ids": [id(&first), id(&second)] });
    // The brand has no provider: nothing is charged, and the reason is said.
    customer.pay("/api/v1/invoices/pay", "pay-1", both.clone()).await.refused(409, "no_provider");
    customer.post("/api/v1/invoices/pay", both).await.refused(400, "idempotency_key_missing");

    let order = format!("/api/v1/orders/{}/cancel", second["order"]["id"].as_str().unwrap());
    let stranger = world.browser(SHOP);
    stranger.sign_up("eve@example.com").await;
    stranger.post(&order, json!({})).await.refused(404, "order_not_found");
    assert_eq!(customer.post(&order, json!({})).await.expect(200)["state"], "cancelled");
    let invoice = customer.get(&format!("/api/v1/invoices/{}", id(&second))).await.expect(200);
    assert_eq!(invoice["state"], "void");
    assert!(!customer.get("/account/invoices").await.text.contains("Pay together"));
}

#[tokio::test]
async fn staff_merges_two_accounts_of_one_person() {
    let world = world().await;
    let (old, from) = world.known("ada@example.com").await;
    let (new, into) = world.known("ada@example.org").await;
    let staff = world.owner_here();
    let path = format!("/api/v1/accounts/{from}/merge");
    let input = json!({ "into_account_id": into, "reason": "the same person" });
    staff.post(&path, input.clone()).await.refused(400, "idempotency_key_missing");
    let merged = staff.pay(&path, "merge-1", input.clone()).await.expect(200);
    assert_eq!((&merged["subscriptions"], &merged["invoices"]), (&json!(1), &json!(1)));
    assert_eq!(merged["billing_address"], "none");
    assert_eq!(staff.pay(&path, "merge-1", input.clone()).await.expect(200), merged);
    staff.pay(&path, "merge-2", input).await.refused(409, "customer_merged");
    let count =
        async |browser: &Browser| browser.get("/api/v1/invoices").await.expect(200)["items"].as_array().unwrap().len();
    assert_eq!((count(&old).await, count(&new).await), (0, 2));
    let support = world.key(&world.brand, &["account.read"]).await.with("ottery-brand", &world.brand);
    support
        .pay(&path, "merge-3", json!({ "into_account_id": into, "reason": "x" }))
        .await
        .refused(403, "permission_missing");
    let page = world.owner.get(&format!("/staff/b/{}/customers/{into}", world.brand)).await.text;
    assert!(page.contains("Merge into another customer") && page.contains("New invoice"), "{page}");
}

#[tokio::test]
async fn a_brand_chooses_what_becomes_of_what_stays_unpaid() {
    let world = world().await;
    let staff = world.owner_here();
    let path = "/api/v1/invoice-rules";
    let before = staff.get(path).await.expect(200);
    assert_eq!(
        (&before["unpaid_at_end"], &before["bills_time_off"], &before["version"]),
        (&json!("void"), &json!(false), &json!(0))
    );
    let wanted = json!({ "unpaid_at_end": "write_off", "bills_time_off": true, "version": 0 });
    let after = staff.write(Method::PUT, path, wanted.clone(), None).await.expect(200);
    assert_eq!((&after["unpaid_at_end"], &after["version"]), (&json!("write_off"), &json!(1)));
    staff.write(Method::PUT, path, wanted, None).await.refused(409, "version_conflict");
    let reader = world.key(&world.brand, &["brand.read"]).await.with("ottery-brand", &world.brand);
    let again = json!({ "unpaid_at_end": "void", "version": 1 });
    reader.write(Method::PUT, path, again, None).await.refused(403, "permission_missing");

    let page = format!("/staff/b/{}/invoices/rules", world.brand);
    let shown = world.owner.get(&page).await.text;
    assert!(shown.contains("value=\"write_off\" selected"), "{shown}");
    let stale = send(&world.owner, &page, &[("unpaid_at_end", "void"), ("version", "0")]).await;
    assert!(stale.text.contains("changed meanwhile"), "{}", stale.text);
    assert_eq!(send(&world.owner, &page, &[("unpaid_at_end", "void"), ("version", "1")]).await.status.as_u16(), 303);
    assert_eq!(staff.get(path).await.expect(200)["unpaid_at_end"], "void");
}
