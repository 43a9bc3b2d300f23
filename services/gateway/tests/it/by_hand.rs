//! Paying by bank on our own page, the files customers send, and staff who record what came.

use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::{Answer, Browser};
use crate::world::{SHOP, World, world};

const PDF: &[u8] = b"%PDF-1.7\nproof\r\n\r\n--x";

async fn send(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = browser.request(Method::POST, path).header("origin", browser.origin()).form(fields);
    browser.send(request).await
}

/// As a browser sends the form with a file.
async fn upload(browser: &Browser, path: &str, name: &str, content: &[u8]) -> Answer {
    let head = format!("--XX\r\nContent-Disposition: form-data; name=\"proof\"; filename=\"{name}\"\r\n\r\n");
    let body = [head.as_bytes(), content, b"\r\n--XX--\r\n"].concat();
    let request = browser
        .request(Method::POST, path)
        .header("origin", browser.origin())
        .header("content-type", "multipart/form-data; boundary=XX")
        .body(body);
    browser.send(request).await
}

/// One person alone up to `alone` cents.
async fn with_account(world: &World, alone: i64) {
    let told = json!({"beneficiary": "Otter TV GmbH", "iban": "DE89 3704 0044 0532 0130 00", "days": 3,
                      "alone_up_to": [{"currency": "EUR", "amount_minor": alone}]});
    let account = json!({"provider": "bank_transfer", "terms": {"default_account": true, "by_hand": told}});
    world.owner_here().post("/api/v1/provider-accounts", account).await.expect(201);
}

/// An order that waits, and the path of its page.
async fn order(world: &World, customer: &Browser) -> String {
    let price = world.plan["current"]["prices"][0]["id"].as_str().unwrap();
    let quote = world.quote(customer, price).await;
    let placed = customer.pay("/api/v1/orders", "key-1", json!({ "quote_id": quote["id"] })).await.expect(201);
    let url = placed["checkout_url"].as_str().expect("a page");
    url[url.find("/pay/by-hand/").expect("ours")..].to_owned()
}

#[tokio::test]
async fn a_customer_pays_by_bank_sends_a_proof_and_staff_records_the_transfer() {
    let world = world().await;
    with_account(&world, 100_000).await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let path = order(&world, &customer).await;

    // Nobody has to be signed in.
    let anybody = world.browser(SHOP);
    let page = anybody.get(&path).await;
    assert_eq!(page.status.as_u16(), 200, "{}", page.text);
    for text in [
        "DE89 3704 0044 0532 0130 00",
        "Waiting for your transfer",
        "Otter TV GmbH",
        "3 days",
        "<svg",
        "your bank&#39;s app",
        "multipart/form-data",
    ] {
        let plain = text.replace("&#39;", "'");
        assert!(page.text.contains(text) || page.text.contains(&plain), "`{text}` is not in {}", page.text);
    }
    assert_eq!(anybody.get("/pay/by-hand/00000000000000000000000000000000").await.status.as_u16(), 404);

    let wrong = upload(&anybody, &path, "proof.pdf", b"<html><script>alert(1)</script>").await;
    assert!(wrong.status.as_u16() >= 400 || wrong.text.contains("only PDF, PNG and JPEG"), "{}", wrong.text);
    assert!(wrong.text.contains("nly PDF, PNG and JPEG"), "{}", wrong.text);
    assert_eq!(upload(&anybody, &path, "Beleg.pdf", PDF).await.status.as_u16(), 303);
    let page = anybody.get(&path).await;
    assert!(page.text.contains("we look out for it") && page.text.contains("Beleg.pdf"), "{}", page.text);

    // Staff finds it by its reference.
    let staff = world.owner_here();
    let listed = staff.get("/api/v1/by-hand/payments").await.expect(200);
    let one = &listed["items"][0];
    assert_eq!((&one["state"], &one["provider"]), (&json!("claimed"), &json!("bank_transfer")));
    let (reference, proof) = (one["reference"].as_str().unwrap(), one["proofs"][0]["id"].as_str().unwrap());
    let incoming = format!("/staff/b/{}/incoming", world.brand);
    let desk = world.owner.get(&incoming).await;
    for text in [reference, "Proof sent", "Beleg.pdf", "Record what came"] {
        assert!(desk.text.contains(text), "`{text}` is not in {}", desk.text);
    }
    let nothing = world.owner.get(&format!("{incoming}?reference=RF00BBBBBBBB")).await;
    assert!(nothing.text.contains("no payment reference"), "{}", nothing.text);

    // The file goes out as a download, to its owner and staff alone.
    let file = world.owner.get(&format!("/staff/b/{}/proofs/{proof}", world.brand)).await;
    assert_eq!(file.status.as_u16(), 200, "{}", file.text);
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"Beleg.pdf\"");
    assert_eq!(file.header("x-content-type-options"), "nosniff");
    assert!(file.header("content-security-policy").contains("sandbox"), "{}", file.header("content-security-policy"));
    assert_eq!(customer.get(&format!("/account/proofs/{proof}")).await.status.as_u16(), 200);
    let other = world.browser(SHOP);
    other.sign_up("eve@example.com").await;
    assert_eq!(other.get(&format!("/account/proofs/{proof}")).await.status.as_u16(), 404);
    assert_ne!(anybody.get(&format!("/account/proofs/{proof}")).await.status.as_u16(), 200);

    // Recorded on the page; the same transfer again is refused beside its field.
    let fields = [
        ("payment_reference", reference),
        ("amount", "9.99"),
        ("currency", "EUR"),
        ("value_on", "2026-01-14"),
        ("bank_reference", "2026110100017"),
        ("sender", "Ada"),
    ];
    let saved = send(&world.owner, &format!("{incoming}/record"), &fields).await;
    assert_eq!(saved.status.as_u16(), 303, "{}", saved.text);
    let again = send(&world.owner, &format!("{incoming}/record"), &fields).await;
    assert!(again.text.contains("not booked twice"), "{}", again.text);
    let page = anybody.get(&path).await;
    assert!(page.text.contains("There is nothing more to do"), "{}", page.text);
}

#[tokio::test]
async fn above_the_limit_neither_who_recorded_nor_a_key_confirms() {
    let world = world().await;
    with_account(&world, 0).await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let path = order(&world, &customer).await;
    let staff = world.owner_here();
    let listed = staff.get("/api/v1/by-hand/payments").await.expect(200);
    let body = json!({"payment_reference": listed["items"][0]["reference"], "amount_minor": 999, "currency": "EUR",
                      "value_on": "2026-01-14", "bank_reference": "one"});
    let record = staff.post("/api/v1/by-hand/records", body).await.expect(200);
    assert_eq!(record["state"], json!("waiting"));
    let confirm = format!("/api/v1/by-hand/records/{}/confirm", record["id"].as_str().unwrap());
    staff.post(&confirm, Value::Null).await.refused(409, "second_person_required");
    let key = world.key(&world.brand, &["invoice.manage"]).await;
    key.post(&confirm, Value::Null).await.refused(409, "person_required");
    let page = world.browser(SHOP).get(&path).await;
    assert!(page.text.contains("being checked"), "{}", page.text);
    let take_back = format!("/api/v1/by-hand/records/{}/take-back", record["id"].as_str().unwrap());
    let taken = staff.post(&take_back, json!({"reason": "Of another shop"})).await.expect(200);
    assert_eq!(taken["state"], json!("taken_back"));
    let page = world.browser(SHOP).get(&path).await;
    assert!(page.text.contains("Waiting for your transfer"), "{}", page.text);
}
