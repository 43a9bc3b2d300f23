//! Disputes for staff: what waits, until when, and what can be done about it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::{Answer, Browser};
use crate::world::{SHOP, World, world};

const DISPUTE: &str = "0192f0c1-a2b3-7c4d-8e5f-60718293a4b5";

async fn send(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = browser.request(Method::POST, path).header("origin", browser.origin()).form(fields);
    browser.send(request).await
}

/// A customer's payment is disputed, as the provider would have told. Nobody listens at the provider's address.
async fn disputed(world: &World) -> String {
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    world.order(&customer, "disputed-order").await;
    let account =
        json!({"provider": "stripe", "base_url": "http://127.0.0.1:9999", "api_key": "sk_test_0123456789abcdef"});
    let account = world.owner_here().post("/api/v1/provider-accounts", account).await.expect(201);
    let id = |text: &str| uuid::Uuid::parse_str(text.split_once('_').unwrap().1).unwrap();
    sqlx::query(
        "INSERT INTO dispute (id, brand_id, payment_id, account_id, provider_account_id, provider_ref, state, reason, amount_minor,
                              currency, taken_minor, fee_minor, evidence_until, created_at)
         SELECT $1, brand_id, id, account_id, $2, 'dp_1', 'needs_response', 'product_not_received', amount_minor, currency,
                amount_minor, 1500, '2099-01-02 12:00Z', created_at FROM payment",
    )
    .bind(uuid::Uuid::parse_str(DISPUTE).unwrap())
    .bind(id(account["id"].as_str().unwrap()))
    .execute(&world.billing.admin_pool)
    .await
    .unwrap();
    let listed = world.owner_here().get("/api/v1/disputes").await.expect(200);
    listed["items"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn staff_sees_a_dispute_with_its_deadline_and_what_can_be_done_about_it() {
    let world = world().await;
    let base = format!("/staff/b/{}", world.brand);
    let none = world.owner.get(&format!("{base}/disputes")).await;
    assert!(none.text.contains("Nobody has disputed a payment."), "{}", none.text);
    assert!(none.text.contains(&format!("href=\"{base}/disputes\"")), "it is in the menu: {}", none.text);

    let id = disputed(&world).await;
    let list = world.owner.get(&format!("{base}/disputes")).await.text;
    for text in [&*format!("{base}/disputes/{id}"), "product not received", "Wants an answer", "2099"] {
        assert!(list.contains(text), "`{text}` is not in {list}");
    }
    let here = format!("{base}/disputes/{id}");
    let page = world.owner.get(&here).await.text;
    for text in
        ["2099", "15.00", "dp_1", "Evidence", "Give in", &*format!("{here}/evidence"), &*format!("{here}/accept")]
    {
        assert!(page.contains(text), "`{text}` is not in {page}");
    }

    let empty = send(&world.owner, &format!("{here}/evidence"), &[("statement", " ")]).await;
    assert!(empty.status.as_u16() == 400 && empty.text.contains("ay something"), "{}", empty.text);
    let away = send(&world.owner, &format!("{here}/evidence"), &[("statement", "It was watched for weeks.")]).await;
    assert!(away.text.contains("annot be reached") && away.text.contains("It was watched for weeks."), "{}", away.text);
    let away = send(&world.owner, &format!("{here}/accept"), &[]).await;
    assert!(away.text.contains("annot be reached"), "{}", away.text);
    let missing = world.owner.get(&format!("{base}/disputes/dsp_0192f0c1a2b37c4d8e5f607182930000")).await;
    assert_eq!(missing.status.as_u16(), 404);

    // Evidence is taken once.
    sqlx::query("UPDATE dispute SET is_answered = true").execute(&world.billing.admin_pool).await.unwrap();
    let page = world.owner.get(&here).await.text;
    assert!(!page.contains("/evidence") && page.contains("/accept"), "{page}");

    // Once it is decided nothing can be done any more.
    sqlx::query("UPDATE dispute SET state = 'lost', lost_minor = taken_minor, finished_at = created_at")
        .execute(&world.billing.admin_pool)
        .await
        .unwrap();
    let page = world.owner.get(&here).await.text;
    assert!(page.contains("Lost") && !page.contains("/evidence") && !page.contains("/accept"), "{page}");
    let late = send(&world.owner, &format!("{here}/accept"), &[]).await;
    assert!(late.text.contains("takes no answer any more"), "{}", late.text);
}

#[tokio::test]
async fn a_dispute_is_read_and_accepted_over_the_api_by_those_who_may() {
    let world = world().await;
    let id = disputed(&world).await;
    let path = format!("/api/v1/disputes/{id}");
    let reader = world.key(&world.brand, &["invoice.read"]).await;
    let one = reader.get(&path).await.expect(200);
    assert_eq!(
        (&one["state"], &one["answered"], &one["finished_at"]),
        (&json!("needs_response"), &json!(false), &Value::Null)
    );
    assert_eq!(reader.post(&format!("{path}/accept"), json!({})).await.status.as_u16(), 403);
    let elsewhere = world.owner.with("ottery-brand", &world.other_brand);
    elsewhere.get(&path).await.refused(404, "dispute_not_found");
    elsewhere.post(&format!("{path}/accept"), json!({})).await.refused(404, "dispute_not_found");
    world.owner_here().post(&format!("{path}/accept"), json!({})).await.refused(503, "provider_away");
}
