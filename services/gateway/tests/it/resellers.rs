//! Resellers, over the API and on staff pages.

use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::{Answer, Browser};
use crate::coupons::send;
use crate::world::{SHOP, World, world};

impl World {
    /// Somebody who ordered, and their account.
    async fn buyer(&self, email: &str) -> String {
        let customer = self.browser(SHOP);
        let account = customer.sign_up(email).await;
        self.order(&customer, email).await;
        account
    }
}

async fn put(browser: &Browser, path: &str, body: Value) -> Answer {
    browser.write(Method::PUT, path, body, None).await
}

#[tokio::test]
async fn staff_make_resellers_and_give_them_clients_over_the_api() {
    let world = world().await;
    let staff = world.owner_here();
    let (reseller, client) = (world.buyer("ada@example.com").await, world.buyer("bob@example.com").await);
    let path = format!("/api/v1/resellers/{reseller}");
    staff.get(&path).await.refused(404, "reseller_not_found");
    put(&staff, &path, json!({ "grace_days": 366 })).await.refused(400, "grace_days");
    let made = put(&staff, &path, json!({ "grace_days": 14 })).await.expect(200);
    assert_eq!((made["grace_days"].as_u64(), made["clients"].as_u64()), (Some(14), Some(0)));
    assert_eq!(made["email"], "ada@example.com");

    let assigned = format!("/api/v1/accounts/{client}/reseller");
    put(&staff, &assigned, json!({ "reseller_id": client })).await.refused(404, "reseller_not_found");
    assert_eq!(put(&staff, &assigned, json!({ "reseller_id": reseller })).await.status.as_u16(), 204);
    let clients = staff.get(&format!("{path}/clients")).await.expect(200);
    assert_eq!(clients["items"][0]["account_id"], client.as_str());
    put(&staff, &format!("/api/v1/resellers/{client}"), json!({ "grace_days": 1 })).await.refused(409, "is_client");

    staff.delete(&path).await.refused(409, "has_clients");
    let removed = staff.delete(&format!("{path}?clients_to=operator")).await.expect(200);
    assert_eq!(removed["clients_moved"].as_u64(), Some(1));
    assert_eq!(staff.get("/api/v1/resellers").await.expect(200)["items"], json!([]));

    // Nobody else.
    let reader = world.key(&world.brand, &["account.read"]).await;
    put(&reader, &path, json!({ "grace_days": 1 })).await.refused(403, "permission_missing");
    let neighbour = world.owner.with("ottery-brand", &world.other_brand);
    put(&neighbour, &path, json!({ "grace_days": 1 })).await.refused(404, "customer_not_found");
}

#[tokio::test]
async fn staff_pages_show_whether_a_reseller_pays_and_what_is_wrong_with_a_form() {
    let world = world().await;
    let (reseller, client) = (world.buyer("ada@example.com").await, world.buyer("bob@example.com").await);
    let desk = format!("/staff/b/{}/resellers", world.brand);
    let empty = world.owner.get(&desk).await;
    assert!(empty.text.contains("A reseller is a customer who sells on."), "{}", empty.text);
    let wrong = send(&world.owner, &desk, &[("account_id", &reseller), ("grace_days", "soon")]).await;
    assert_eq!(wrong.status.as_u16(), 400);
    assert!(wrong.text.contains("Write a whole number of days") && wrong.text.contains(&reseller), "{}", wrong.text);
    let made = send(&world.owner, &desk, &[("account_id", &reseller), ("grace_days", "0")]).await;
    let page = format!("{desk}/{reseller}");
    assert!(made.header("location").starts_with(&page), "{}", made.text);

    send(&world.owner, &format!("{page}/clients"), &[("account_id", &client)]).await;
    let unknown = send(&world.owner, &format!("{page}/clients"), &[("account_id", "acc_nobody")]).await;
    assert_eq!(unknown.status.as_u16(), 400);
    assert!(unknown.text.contains("acc_nobody"), "{}", unknown.text);
    let seen = world.owner.get(&page).await;
    // The first invoice is open and due, and there is no grace.
    for text in ["Clients not served", "Overdue since", "bob@example.com", "Add a client", "Remove the reseller"] {
        assert!(seen.text.contains(text), "`{text}` is not in {}", seen.text);
    }
    send(&world.owner, &format!("{page}/grace"), &[("grace_days", "30")]).await;
    let patient = world.owner.get(&page).await;
    assert!(patient.text.contains("clients are served until"), "{}", patient.text);

    let kept = send(&world.owner, &format!("{page}/remove"), &[("clients_to", "")]).await;
    assert!(kept.status.as_u16() == 409 && kept.text.contains("which reseller gets them"), "{}", kept.text);
    let taken = send(&world.owner, &format!("{page}/clients/remove"), &[("account_id", &client)]).await;
    assert!(taken.header("location").starts_with(&page), "{}", taken.text);
    let gone = send(&world.owner, &format!("{page}/remove"), &[("clients_to", "")]).await;
    assert!(gone.header("location").starts_with(&desk), "{}", gone.text);
}
