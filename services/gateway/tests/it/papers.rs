//! What of an invoice can be downloaded, and the exports of a day.

use chrono::TimeDelta;
use ottery_kernel::Clock as _;
use serde_json::Value;

use crate::world::{OTHER, SHOP, world};

#[tokio::test]
async fn case_042_an_invoice_stays_valid_while_its_pdf_cannot_be_drawn() {
    let world = world().await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let placed = world.order(&customer, "key-1").await;
    let address = format!("/api/v1/invoices/{}", placed["order"]["invoice_id"].as_str().unwrap());
    let before = customer.get(&address).await.expect(200);
    // This program is no renderer, as good as one that crashes.
    customer.get(&format!("{address}/pdf")).await.refused(500, "internal");
    let after = customer.get(&address).await.expect(200);
    assert_eq!(after, before);
    assert_eq!((after["state"].as_str(), after["number"].as_str()), (Some("open"), Some("INV-2026-000001")));
}

#[tokio::test]
async fn an_invoice_is_downloaded_as_e_invoice_by_its_owner_and_by_staff() {
    let world = world().await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let placed = world.order(&customer, "key-1").await;
    let address = format!("/api/v1/invoices/{}/ubl", placed["order"]["invoice_id"].as_str().unwrap());
    let answer = customer.get(&address).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/xml");
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"INV-2026-000001.xml\"");
    assert!(answer.text.contains("<cbc:CustomizationID>urn:cen.eu:en16931:2017<"), "{}", answer.text);
    let staff = world.owner_here().get(&address).await;
    assert_eq!(staff.text, answer.text);
    let page = customer.get(&format!("/account/invoices/{}", placed["order"]["invoice_id"].as_str().unwrap())).await;
    assert!(page.text.contains("/ubl\"") && page.text.contains("Download e-invoice (XML)"));
    let stranger = world.browser(OTHER);
    stranger.sign_up("eve@example.com").await;
    stranger.get(&address).await.refused(404, "invoice_not_found");
}

#[tokio::test]
async fn a_day_is_exported_to_those_who_may_read_it() {
    let world = world().await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    world.order(&customer, "key-1").await;
    let day = world.host.clock.now().date_naive();
    let (reader, keeper) =
        (world.key(&world.brand, &["invoice.read"]).await, world.key(&world.brand, &["ledger.read"]).await);
    let [invoices, journal] = ["invoices", "journal"].map(|book| format!("/api/v1/exports/{book}.csv?day={day}"));
    let early: Value = reader.get(&invoices).await.json();
    assert_eq!((early["code"].as_str(), early["field"].as_str()), (Some("day_not_over"), Some("day")));
    world.host.clock.advance(TimeDelta::hours(14));
    let answer = reader.get(&invoices).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"invoices-{day}.csv\""));
    assert!(answer.text.contains("\r\ninvoice,INV-2026-000001,"), "{}", answer.text);
    assert_eq!(reader.get(&invoices).await.text, answer.text);
    let booked = keeper.get(&journal).await;
    // The head, and both sides of what was sold without tax.
    assert_eq!((booked.status.as_u16(), booked.text.lines().count()), (200, 3), "{}", booked.text);
    for (who, book) in [(&reader, &journal), (&keeper, &invoices)] {
        assert_eq!(who.get(book).await.status.as_u16(), 403, "{book}");
    }
    // For customers there is no such thing.
    assert_eq!(customer.get(&invoices).await.status.as_u16(), 404);
    let wrong: Value = reader.get("/api/v1/exports/invoices.csv?day=26.11.2026").await.json();
    assert_eq!((wrong["code"].as_str(), wrong["field"].as_str()), (Some("day_invalid"), Some("day")));
}
