//! Walls of the database: brands, and tables that only grow.

use billing::store;
use ottery_kernel::{BrandId, Term};
use ottery_kit::db::{self, Scope};
use sqlx::Row as _;

use crate::world::world;

/// Tables that work across brands and hold nothing of a tenant but ids.
const PLATFORM: [&str; 13] = [
    "known_brand",
    "due",
    "invoice_number",
    "brand_clock",
    "idempotency",
    "suspension_guard",
    "wallet_credit_due",
    "top_up_due",
    "gift_due",
    "method_expiry",
    "recognition_due",
    "reseller_brand",
    "time_machine_turn",
];

#[tokio::test]
async fn secure_s14_every_table_of_a_tenant_forces_row_level_security() {
    let world = world().await;
    let rows = sqlx::query(
        "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS walled
           FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'brand_id'
          WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND c.relispartition IS FALSE",
    )
    .fetch_all(&world.database.admin_pool)
    .await
    .unwrap();
    let kit = ["outbox", "retry_delivery"];
    let payments = ["provider_route", "provider_poll", "reconciliation_due", "errand", "provider_event_due"];
    let open: Vec<String> = rows
        .iter()
        .filter(|row| !row.get::<bool, _>("walled"))
        .map(|row| row.get::<String, _>("relname"))
        .filter(|name| {
            !PLATFORM.contains(&name.as_str()) && !kit.contains(&name.as_str()) && !payments.contains(&name.as_str())
        })
        .collect();
    assert!(open.is_empty(), "{open:?}");
}

#[tokio::test]
async fn secure_s14_another_brand_and_no_brand_see_nothing() {
    let world = world().await;
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let page = store::Page { before: None, limit: 10 };
    for scope in [Scope::Platform, Scope::Brand(BrandId::new(world.now()))] {
        let mut tx = db::begin(&world.database.pool, scope).await.unwrap();
        assert_eq!(store::subscription::get(&mut tx, subscription.id).await.unwrap(), None);
        assert!(store::order::list(&mut tx, None, page).await.unwrap().is_empty());
        assert!(store::invoice::list(&mut tx, None, None, page).await.unwrap().is_empty());
        assert!(store::ledger::list(&mut tx, "", page).await.unwrap().is_empty());
        let stolen = store::subscription::save_all(&mut tx, world.brand, std::slice::from_ref(&subscription)).await;
        assert!(stolen.is_ok());
    }
    assert_eq!(world.subscription(subscription.id).await, subscription);
}

#[tokio::test]
async fn the_books_cannot_be_rewritten_even_by_the_service_itself() {
    let world = world().await;
    world.subscriber(1190, Term::MONTH).await;
    for statement in [
        "UPDATE transfer SET amount_minor = 1",
        "DELETE FROM transfer",
        "UPDATE allocation SET amount_minor = 1",
        "DELETE FROM allocation",
        "DELETE FROM credit_note",
    ] {
        let mut tx = world.tx().await;
        let refused = sqlx::query(statement).execute(&mut *tx).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{statement}: {refused}");
    }
    world.assert_sound().await;
}
