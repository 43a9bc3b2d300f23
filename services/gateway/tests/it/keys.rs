//! Programs with API keys: of a brand, and of the platform.

use ottery_kernel::{Clock as _, PaymentId};
use reqwest::Method;
use serde_json::json;

use crate::browser::Browser;
use crate::world::{STAFF_HOST, World, brand_body, world};

const DECLARING: [&str; 6] = ["brand.read", "brand.update", "plan.read", "plan.update", "panel.read", "panel.update"];

impl World {
    /// A program with a key of the platform.
    async fn platform_key(&self, permissions: &[&str]) -> Browser {
        let body = json!({ "name": "deploy", "permissions": permissions });
        let made = self.owner.post("/api/v1/api-keys", body).await.expect(201);
        assert!(made["key"]["brand_id"].is_null(), "{made}");
        self.browser(STAFF_HOST).with("authorization", &format!("Bearer {}", made["secret"].as_str().unwrap()))
    }
}

fn slugs(page: &serde_json::Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|brand| brand["slug"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_platforms_key_makes_a_brand_and_works_in_it() {
    let world = world().await;
    let key = world.platform_key(&DECLARING).await;
    assert_eq!(slugs(&key.get("/api/v1/brands?slug=westwind").await.expect(200)), [""; 0]);
    let made = key.post("/api/v1/brands", brand_body("westwind", "west.example")).await.expect(201);
    let id = made["id"].as_str().unwrap();
    assert_eq!(slugs(&key.get("/api/v1/brands?slug=westwind").await.expect(200)), ["westwind"]);
    let plan = json!({
        "slug": "solo", "name": "Solo", "connections": 1, "state": "on_sale",
        "prices": [{ "term": { "count": 1, "unit": "month" }, "amount": { "currency": "EUR", "minor": 499 } }],
        "mapping": { "bouquet_ids": [1], "outputs": ["hls"] },
    });
    let there = key.with("ottery-brand", id);
    assert_eq!(there.post("/api/v1/plans", plan).await.expect(201)["state"], "on_sale");
    let shop = world.browser("west.example").get("/api/v1/storefront/plans").await.expect(200);
    assert_eq!(shop["items"][0]["slug"], "solo");
    // What it was not made for, it does not do, there or anywhere.
    for program in [&key, &there] {
        program.get("/api/v1/audit").await.refused(403, "permission_missing");
    }
}

#[tokio::test]
async fn secure_s12_a_brands_key_sees_its_brand_and_makes_no_other() {
    let world = world().await;
    let key = world.key(&world.brand, &DECLARING).await;
    assert_eq!(slugs(&key.get("/api/v1/brands").await.expect(200)), ["nordlicht"]);
    assert_eq!(slugs(&key.get("/api/v1/brands?slug=nordlicht").await.expect(200)), ["nordlicht"]);
    assert_eq!(slugs(&key.get("/api/v1/brands?slug=suedwind").await.expect(200)), [""; 0]);
    key.post("/api/v1/brands", brand_body("westwind", "west.example")).await.refused(400, "platform_only");
    key.get(&format!("/api/v1/brands/{}", world.other_brand)).await.refused(404, "brand_not_found");
}

#[tokio::test]
async fn secure_s03_a_key_moves_money_it_may_move_and_hands_out_no_rights() {
    let world = world().await;
    let key = world.key(&world.brand, &["invoice.refund", "brand.update", "grant.manage", "apikey.manage"]).await;
    // Billing says the same as the gateway: what is missing is the payment, not a password.
    let path = format!("/api/v1/payments/{}/refunds", PaymentId::new(world.host.clock.now()));
    let body = json!({ "reason": "Did not work", "policy": "keep" });
    key.pay(&path, "key-1", body.clone()).await.refused(404, "payment_not_found");
    let account =
        json!({ "provider": "sandbox", "base_url": "http://10.0.0.1", "api_key": "k", "webhook_secrets": ["s"] });
    key.post("/api/v1/provider-accounts", account).await.refused(400, "url_refused");
    let more = json!({ "name": "more", "permissions": ["invoice.refund"] });
    key.post("/api/v1/api-keys", more).await.refused(403, "staff_only");
    let role = json!({ "account_id": "acc_1", "role": "owner", "brand_id": world.brand });
    key.post("/api/v1/grants", role).await.refused(403, "staff_only");
    // A person must prove who they are all the same.
    world.host.clock.advance(chrono::TimeDelta::minutes(11));
    world.owner_here().pay(&path, "key-2", body).await.refused(403, "reauth_required");
}

#[tokio::test]
async fn a_ticket_shows_the_name_of_the_key_that_answered() {
    let world = world().await;
    let customer = world.browser(crate::world::SHOP);
    customer.sign_up("ada@example.com").await;
    let ticket =
        customer.post("/api/v1/tickets", json!({ "subject": "No sound", "text": "On channel 4" })).await.expect(201);
    let path = format!("/api/v1/tickets/{}", ticket["id"].as_str().unwrap());
    let key = world.key(&world.brand, &["ticket.read", "ticket.reply"]).await;
    key.post(&format!("{path}/replies"), json!({ "text": "We look at it" })).await.expect(200);
    let read = customer.get(&path).await.expect(200);
    let names: Vec<_> = read["messages"].as_array().unwrap().iter().map(|message| &message["author_name"]).collect();
    assert_eq!(names, ["Ada", "test"]);
}

#[tokio::test]
async fn a_dry_run_refuses_and_answers_as_the_real_one_and_leaves_nothing() {
    let world = world().await;
    let key = world.platform_key(&DECLARING).await;
    let tried = key.post("/api/v1/brands?dry_run=true", brand_body("westwind", "west.example")).await.expect(200);
    assert_eq!((tried["slug"].as_str(), tried["version"].as_u64()), (Some("westwind"), Some(1)));
    assert_eq!(slugs(&key.get("/api/v1/brands?slug=westwind").await.expect(200)), [""; 0]);
    key.post("/api/v1/brands?dry_run=true", brand_body("westwind", "shop.example")).await.refused(400, "host_taken");

    let there = key.with("ottery-brand", &world.brand);
    let path = format!("/api/v1/plans/{}", world.plan["id"].as_str().unwrap());
    let plan = |minor: i64, version: &serde_json::Value| {
        json!({
            "slug": "family", "name": "Family", "connections": 2, "version": version, "state": "on_sale",
            "prices": [{ "term": { "count": 1, "unit": "month" }, "amount": { "currency": "EUR", "minor": minor } }],
            "mapping": { "bouquet_ids": [1], "outputs": ["hls"] },
        })
    };
    let put = async |minor: i64, query: &str| {
        there.write(Method::PUT, &format!("{path}{query}"), plan(minor, &world.plan["version"]), None).await
    };
    assert_eq!(put(999, "").await.expect(200)["version"], world.plan["version"], "it says the same");
    let tried = put(1099, "?dry_run=true").await.expect(200);
    assert_eq!(tried["current"]["prices"][0]["amount"]["minor"], 1099);
    assert_eq!(there.get(&path).await.expect(200), world.plan, "nothing moved");
    put(1099, "").await.expect(200);
    put(1199, "").await.refused(409, "stale_version");
}
