//! Several renewals of one customer as one invoice: chosen by staff, seen once by everybody.

use billing::app::Billing;
use chrono::TimeDelta;
use ottery_kernel::Clock as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{SHOP, billing_config, world};

#[tokio::test]
async fn what_a_customer_owes_on_one_day_is_one_invoice_for_everybody() {
    let world = world().await;
    let staff = world.owner_here();
    let rules = "/api/v1/invoice-rules";
    let both = json!({ "unpaid_at_end": "void", "consolidated": true, "proforma": true, "version": 0 });
    let refused = staff.write(Method::PUT, rules, both, None).await;
    refused.refused(400, "rules_contradict");
    assert_eq!(refused.json()["field"], "consolidated");
    let wanted = json!({ "unpaid_at_end": "void", "consolidated": true, "version": 0 });
    assert_eq!(staff.write(Method::PUT, rules, wanted, None).await.expect(200)["consolidated"], true);
    let page = world.owner.get(&format!("/staff/b/{}/invoices/rules", world.brand)).await.text;
    assert!(page.contains("One invoice for what a customer owes on one day"), "{page}");

    // An order makes the customer known; what the wallet has pays the next two at once.
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let placed = world.order(&customer, "key-1").await;
    let account = placed["order"]["account_id"].as_str().unwrap().to_owned();
    let invoicing = format!("/api/v1/accounts/{account}/invoicing");
    let put = |word: &str| json!({ "consolidation": word });
    assert_eq!(staff.get(&invoicing).await.expect(200)["consolidation"], "brand");
    let never = staff.write(Method::PUT, &invoicing, put("never"), None).await.expect(200);
    assert_eq!((&never["consolidation"], &never["consolidated"]), (&json!("never"), &json!(false)));
    let always = staff.write(Method::PUT, &invoicing, put("always"), None).await.expect(200);
    assert_eq!(always["consolidated"], true);
    customer.write(Method::PUT, &invoicing, put("never"), None).await.refused(404, "not_found");
    let reader = world.key(&world.brand, &["invoice.read"]).await.with("ottery-brand", &world.brand);
    reader.write(Method::PUT, &invoicing, put("brand"), None).await.refused(403, "permission_missing");
    let grant = json!({ "account_id": account, "amount": { "currency": "EUR", "minor": 2000 }, "reason": "Hello" });
    staff.pay("/api/v1/wallet/credits", "grant-1", grant).await.expect(201);
    for key in ["key-2", "key-3"] {
        assert_eq!(world.order(&customer, key).await["order"]["state"], "paid");
    }

    world.host.clock.advance(TimeDelta::days(28));
    // The owner stays signed in for the pages below.
    sqlx::query("UPDATE session SET idle_deadline = absolute_deadline + interval '1 year', absolute_deadline = absolute_deadline + interval '1 year'")
        .execute(&world.identity.admin_pool)
        .await
        .unwrap();
    let billing = Billing::new(billing_config(), &world.host.of(billing::NAME), world.billing.pool.clone()).unwrap();
    let brand = world.brand.parse().unwrap();
    while billing.run_batch(brand).await.unwrap() > 0
        || billing.still_due(brand, world.host.clock.now()).await.unwrap().is_some()
    {
        tokio::task::yield_now().await;
    }
    let listed = reader.get(&format!("/api/v1/invoices?account_id={account}")).await.expect(200);
    let wholes: Vec<&Value> =
        listed["items"].as_array().unwrap().iter().filter(|one| one["parts"][0].is_object()).collect();
    let [whole] = wholes.as_slice() else { panic!("{listed}") };
    assert_eq!(
        (&whole["state"], &whole["total"]["minor"], &whole["paid"]["minor"]),
        (&json!("open"), &json!(1998), &json!(2))
    );
    let parts = whole["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 2);
    let address = format!("/api/v1/invoices/{}", whole["id"].as_str().unwrap());
    for part in parts {
        let by_part =
            reader.get(&format!("/api/v1/invoices/{}", part["invoice_id"].as_str().unwrap())).await.expect(200);
        assert_eq!(by_part["id"], whole["id"]);
        let name = part["subscription_name"].as_str().unwrap();
        assert!(whole["lines"].to_string().contains(name), "{whole}");
    }
    let ubl = reader.get(&format!("{address}/ubl")).await;
    assert!(ubl.text.contains(whole["number"].as_str().unwrap()), "{}", ubl.text);
    let explained = reader.get(&format!("{address}/explain")).await.expect(200);
    assert_eq!(explained["title"], whole["number"]);
    let page =
        world.owner.get(&format!("/staff/b/{}/invoices/{}", world.brand, whole["id"].as_str().unwrap())).await.text;
    assert!(page.contains("Subscriptions") && page.contains("name=\"part\""), "{page}");
    let address = format!("/staff/b/{}/customers/{account}", world.brand);
    let page = world.owner.get(&address).await.text;
    assert!(page.contains("How they are billed") && page.contains("value=\"always\" selected"), "{page}");
}
