//! Who reaches what: every route as a visitor, customers, API keys and the owner, over HTTP and past the services' own checks.

use gateway::api::access::{RULES, Rule, Scope, Who};
use ottery_kernel::{Clock as _, InvoiceId, OrderId, PaymentId, ServiceId, SubscriptionId, TicketId};
use reqwest::Method;
use serde_json::json;

use crate::browser::{Answer, Browser};
use crate::world::{OTHER, SHOP, World, world};

/// Codes by which the gateway, or a service behind it, turns somebody away.
const TURNED_AWAY: [&str; 9] = [
    "sign_in_required",
    "not_found",
    "permission_missing",
    "brand_missing",
    "brand_not_found",
    "account_kind",
    "enrolment_required",
    "reauth_required",
    "platform_only",
];

async fn knock(browser: &Browser, rule: &Rule) -> Answer {
    let path = rule
        .path
        .replace("{id}", "unknown")
        .replace("{credit_note_id}", "unknown")
        .replace("{slug}", "unknown")
        .replace("{name}", "unknown")
        .replace("{locale}", "en");
    let path = format!("/api/v1{path}");
    let method: Method = rule.method.parse().unwrap();
    match method {
        Method::GET => browser.get(&path).await,
        method => browser.write(method, &path, json!({}), Some("key-1")).await,
    }
}

fn is_turned_away(answer: &Answer) -> bool {
    answer.status.is_client_error() && TURNED_AWAY.contains(&answer.code().as_str())
}

/// Nothing of ours breaks, whoever knocks where; neighbours that are not part of this test are away.
#[track_caller]
fn is_sane(answer: &Answer, rule: &Rule) {
    let status = answer.status.as_u16();
    assert!(status < 500 || status == 503, "{} {}: {}", rule.method, rule.path, answer.text);
}

#[tokio::test]
async fn secure_s12_a_visitor_gets_nothing_but_what_is_open() {
    let world = world().await;
    let visitor = world.browser(SHOP);
    for rule in RULES {
        let answer = knock(&visitor, rule).await;
        is_sane(&answer, rule);
        let is_open = matches!(rule.who, Who::Anyone | Who::Visitor);
        assert_eq!(is_turned_away(&answer), !is_open, "{} {}: {}", rule.method, rule.path, answer.text);
    }
}

#[tokio::test]
async fn secure_s12_a_customer_gets_no_staff_route() {
    let world = world().await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let ending = ["/auth/sign-out", "/auth/sign-out-everywhere", "/auth/totp"];
    for rule in RULES.iter().filter(|rule| !ending.contains(&rule.path)) {
        let answer = knock(&customer, rule).await;
        is_sane(&answer, rule);
        let is_for_customers = matches!(
            rule.who,
            Who::Anyone | Who::Visitor | Who::Customer | Who::Person | Who::Enrolling | Who::Owner(_)
        );
        assert_eq!(is_turned_away(&answer), !is_for_customers, "{} {}: {}", rule.method, rule.path, answer.text);
    }
}

#[tokio::test]
async fn secure_s12_a_key_gets_exactly_what_its_permissions_say() {
    let world = world().await;
    let reader = ["order.read", "invoice.read", "subscription.read", "ticket.read", "plan.read", "brand.read"];
    let key = world.key(&world.brand, &reader).await;
    let sibling = world.key(&world.other_brand, &reader).await.with("ottery-brand", &world.brand);
    for rule in RULES {
        let answer = knock(&key, rule).await;
        is_sane(&answer, rule);
        let is_allowed = match rule.who {
            Who::Anyone | Who::Setup | Who::Team => true,
            Who::Holder(permission) | Who::Owner(permission) => reader.contains(&permission),
            Who::Visitor | Who::Customer | Who::Person | Who::Enrolling => false,
        } && rule.scope != Scope::Platform;
        assert_eq!(is_turned_away(&answer), !is_allowed, "{} {}: {}", rule.method, rule.path, answer.text);
        let foreign = knock(&sibling, rule).await;
        is_sane(&foreign, rule);
        let is_open = matches!(rule.who, Who::Anyone);
        let is_unknown = foreign.code() == "api_key_unknown" || foreign.status.as_u16() == 404;
        assert!(is_open || is_unknown, "{} {}: {}", rule.method, rule.path, foreign.text);
    }
}

#[tokio::test]
async fn secure_s12_the_owner_is_turned_away_nowhere_but_from_customers_pages() {
    let world = world().await;
    let owner = world.owner_here();
    let ending = ["/auth/sign-out", "/auth/sign-out-everywhere", "/auth/totp"];
    for rule in RULES.iter().filter(|rule| !ending.contains(&rule.path)) {
        let answer = knock(&owner, rule).await;
        is_sane(&answer, rule);
        let is_allowed = !matches!(rule.who, Who::Customer | Who::Visitor) && rule.scope != Scope::Platform;
        assert_eq!(is_turned_away(&answer), !is_allowed, "{} {}: {}", rule.method, rule.path, answer.text);
    }
}

async fn bought(world: &World) -> (Browser, serde_json::Value) {
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let placed = world.order(&customer, "key-1").await;
    (customer, placed["order"].clone())
}

#[tokio::test]
async fn secure_s13_what_belongs_to_others_does_not_exist() {
    let world = world().await;
    let (customer, order) = bought(&world).await;
    let [order_id, invoice_id, subscription_id] =
        ["id", "invoice_id", "subscription_id"].map(|field| order[field].as_str().unwrap().to_owned());
    let ticket =
        customer.post("/api/v1/tickets", json!({ "subject": "No sound", "text": "On channel 4" })).await.expect(201);
    let ticket_id = ticket["id"].as_str().unwrap();
    let reads = [
        format!("/api/v1/orders/{order_id}"),
        format!("/api/v1/orders/{order_id}/events"),
        format!("/api/v1/invoices/{invoice_id}"),
        format!("/api/v1/invoices/{invoice_id}/pdf"),
        format!("/api/v1/invoices/{invoice_id}/ubl"),
        format!("/api/v1/subscriptions/{subscription_id}"),
        format!("/api/v1/tickets/{ticket_id}"),
    ];
    let writes = [
        (format!("/api/v1/subscriptions/{subscription_id}/cancel"), json!({})),
        (format!("/api/v1/invoices/{invoice_id}/pay"), json!({})),
        (format!("/api/v1/tickets/{ticket_id}/replies"), json!({ "text": "mine now" })),
    ];
    let neighbour = world.browser(SHOP);
    neighbour.sign_up("eve@example.com").await;
    let foreigner = world.browser(OTHER);
    foreigner.sign_up("eve@example.com").await;
    let foreign_key = world
        .key(
            &world.other_brand,
            &[
                "order.read",
                "invoice.read",
                "subscription.read",
                "subscription.manage",
                "order.create",
                "ticket.read",
                "ticket.reply",
            ],
        )
        .await;
    for stranger in [&neighbour, &foreigner, &foreign_key] {
        for path in &reads {
            let answer = stranger.get(path).await;
            assert_eq!(answer.status.as_u16(), 404, "{path}: {}", answer.text);
        }
        for (path, body) in &writes {
            let answer = stranger.pay(path, "key-9", body.clone()).await;
            assert_eq!(answer.status.as_u16(), 404, "{path}: {}", answer.text);
        }
        for list in ["orders", "invoices", "subscriptions", "tickets"] {
            let page = stranger.get(&format!("/api/v1/{list}")).await.expect(200);
            assert_eq!(page["items"], json!([]), "{list}");
        }
    }
    // Neither do ids nobody ever had, and the answer is the same.
    let now = world.host.clock.now();
    for path in [
        format!("/api/v1/orders/{}", OrderId::new(now)),
        format!("/api/v1/invoices/{}", InvoiceId::new(now)),
        format!("/api/v1/subscriptions/{}", SubscriptionId::new(now)),
        format!("/api/v1/tickets/{}", TicketId::new(now)),
    ] {
        assert_eq!(customer.get(&path).await.status.as_u16(), 404, "{path}");
    }
    for id in [PaymentId::new(now).to_string(), ServiceId::new(now).to_string(), "' OR 1=1 --".to_owned()] {
        let answer = customer.get(&format!("/api/v1/orders/{id}")).await;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{id}: {}", answer.text);
    }
    // The owner of it still has it.
    customer.get(&reads[0]).await.expect(200);
}

#[tokio::test]
async fn secure_s13_fields_nobody_asked_for_are_refused() {
    let world = world().await;
    let customer = world.browser(SHOP);
    let account = customer.sign_up("ada@example.com").await;
    let price = world.plan["current"]["prices"][0]["id"].as_str().unwrap().to_owned();
    let quote = world.quote(&customer, &price).await;
    let more = json!({ "quote_id": quote["id"], "total": { "currency": "EUR", "minor": 1 } });
    let refused = customer.pay("/api/v1/orders", "key-1", more).await;
    refused.refused(400, "input_invalid");
    assert!(refused.json()["detail"].as_str().unwrap().contains("total"), "{}", refused.text);
    for (path, body) in [
        ("/api/v1/quotes", json!({ "price_id": price, "amount": { "currency": "EUR", "minor": 1 } })),
        (
            "/api/v1/auth/sign-up",
            json!({ "email": "x@example.com", "password": "correct staple battery", "role": "owner" }),
        ),
        ("/api/v1/tickets", json!({ "subject": "No sound", "text": "x", "state": "closed" })),
    ] {
        customer.post(path, body).await.refused(400, "input_invalid");
    }
    customer.get("/api/v1/orders?limit=101").await.refused(400, "limit_invalid");
    customer.get("/api/v1/orders?brand_id=x").await.refused(400, "query_invalid");
    // A customer cannot order for somebody else either.
    let other = json!({ "quote_id": quote["id"], "account_id": account.replace('0', "1") });
    customer.pay("/api/v1/orders", "key-2", other).await.refused(400, "not_yours");
}

#[tokio::test]
async fn an_order_is_placed_once_per_key() {
    let world = world().await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let price = world.plan["current"]["prices"][0]["id"].as_str().unwrap().to_owned();
    let quote = world.quote(&customer, &price).await;
    let body = json!({ "quote_id": quote["id"] });
    customer.post("/api/v1/orders", body.clone()).await.refused(400, "idempotency_key_missing");
    customer.pay("/api/v1/orders", "two words", body.clone()).await.refused(400, "idempotency_key_invalid");
    let first = customer.pay("/api/v1/orders", "key-1", body.clone()).await.expect(201);
    let again = customer.pay("/api/v1/orders", "key-1", body).await.expect(201);
    assert_eq!(first["order"]["id"], again["order"]["id"]);
    let list = customer.get("/api/v1/orders").await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let detail = customer.get(&format!("/api/v1/orders/{}", first["order"]["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(detail["invoice"]["total"], json!({ "currency": "EUR", "minor": 999 }));
    assert_eq!(detail["progress"]["steps"][0]["state"], "done");
    let trace = detail["order"]["state"].as_str().unwrap();
    assert_eq!(trace, "awaiting_payment");
}
