//! Cookies and the sessions behind them.

use std::time::Duration;

use serde_json::json;

use crate::world::{OTHER, SHOP, STAFF_HOST, enrol, world};

#[tokio::test]
async fn secure_s01_a_session_is_a_cookie_of_one_host_and_portal() {
    let world = world().await;
    let customer = world.browser(SHOP);
    let body = json!({ "email": "ada@example.com", "password": "correct staple battery", "country": "DE" });
    let signed_up = customer.post("/api/v1/auth/sign-up", body).await;
    let cookie = signed_up.header("set-cookie").to_owned();
    assert!(
        cookie.starts_with("ottery_shop=") && cookie.contains("; Path=/; HttpOnly; SameSite=Lax; Max-Age="),
        "{cookie}"
    );
    let secret = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    assert!(secret.len() >= 43 && !signed_up.text.contains(&secret), "the secret is in the cookie alone");
    assert_eq!(customer.get("/api/v1/me").await.expect(200)["account"]["email"], "ada@example.com");
    // The same secret under another brand's host, or as the other portal's cookie, opens nothing.
    for (host, name) in
        [(OTHER, "ottery_shop"), (STAFF_HOST, "ottery_shop"), (STAFF_HOST, "ottery_staff"), (SHOP, "ottery_staff")]
    {
        let thief = world.browser(host);
        thief.cookies.lock().unwrap().insert(name.to_owned(), secret.clone());
        thief.get("/api/v1/me").await.refused(401, "sign_in_required");
    }
    // And staff are nobody in a shop.
    let staff_secret = world.owner.cookies.lock().unwrap()["ottery_staff"].clone();
    let thief = world.browser(SHOP);
    thief.cookies.lock().unwrap().insert("ottery_shop".to_owned(), staff_secret);
    thief.get("/api/v1/me").await.refused(401, "sign_in_required");
}

#[tokio::test]
async fn secure_s01_the_database_holds_no_usable_secret() {
    let world = world().await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let secret = customer.cookies.lock().unwrap()["ottery_shop"].clone();
    let rows: Vec<(String,)> =
        sqlx::query_as("SELECT session::text FROM session").fetch_all(&world.identity.admin_pool).await.unwrap();
    assert!(rows.len() >= 2 && rows.iter().all(|(row,)| !row.contains(&secret)));
}

#[tokio::test]
async fn secure_s02_signing_out_everywhere_works_within_a_second_on_every_device() {
    let world = world().await;
    let (laptop, phone) = (world.browser(SHOP), world.browser(SHOP));
    laptop.sign_up("ada@example.com").await;
    let signed_in = phone
        .post("/api/v1/auth/sign-in", json!({ "email": "ada@example.com", "password": "correct staple battery" }))
        .await;
    assert_eq!(signed_in.expect(200)["outcome"], "session");
    assert_eq!(phone.get("/api/v1/auth/sessions").await.expect(200)["items"].as_array().unwrap().len(), 2);
    laptop.post("/api/v1/auth/sign-out-everywhere", json!({})).await.expect(200);
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    phone.get("/api/v1/me").await.refused(401, "sign_in_required");
    laptop.get("/api/v1/me").await.refused(401, "sign_in_required");
}

#[tokio::test]
async fn secure_s02_a_session_is_new_with_every_sign_in() {
    let world = world().await;
    let browser = world.browser(SHOP);
    browser.cookies.lock().unwrap().insert("ottery_shop".to_owned(), "planted-by-somebody-else".to_owned());
    browser.sign_up("ada@example.com").await;
    let first = browser.cookies.lock().unwrap()["ottery_shop"].clone();
    assert_ne!(first, "planted-by-somebody-else");
    browser
        .post("/api/v1/auth/sign-in", json!({ "email": "ada@example.com", "password": "correct staple battery" }))
        .await
        .expect(200);
    let second = browser.cookies.lock().unwrap()["ottery_shop"].clone();
    assert_ne!(first, second);
    browser.post("/api/v1/auth/sign-out", json!({})).await.expect(204);
    assert!(browser.cookies.lock().unwrap().is_empty());
    browser.cookies.lock().unwrap().insert("ottery_shop".to_owned(), second);
    browser.get("/api/v1/me").await.refused(401, "sign_in_required");
}

#[tokio::test]
async fn secure_s09_staff_without_second_factor_may_only_enrol_one() {
    let world = world().await;
    world.owner.delete("/api/v1/auth/totp").await.expect(204);
    let again = world.browser(STAFF_HOST);
    let body = json!({ "email": "owner@example.com", "password": "violet harbour engine" });
    let signed_in = again.post("/api/v1/auth/sign-in", body).await.expect(200);
    assert_eq!(signed_in["outcome"], "enrolment");
    again.get("/api/v1/brands").await.refused(403, "enrolment_required");
    again.with("ottery-brand", &world.brand).get("/api/v1/orders").await.refused(403, "enrolment_required");
    assert_eq!(again.get("/api/v1/me").await.expect(200)["enrolment_only"], true);
    enrol(&world.host, &again).await;
    again.get("/api/v1/brands").await.expect(200);
}
