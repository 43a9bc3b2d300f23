//! Gap-free numbers.

use std::sync::Arc;

use billing::app::Billing;
use billing::store;
use futures::StreamExt as _;
use ottery_kernel::Term;

use crate::world::{config, offer, placing, world};

#[tokio::test]
async fn case_037_parallel_finalises_take_consecutive_numbers() {
    const ORDERS: usize = 500;
    let mut world = world().await;
    let mut settings = world.database.settings.clone();
    settings.pool_size = 12;
    settings.acquire_timeout_ms = 120_000;
    settings.lock_timeout_ms = 60_000;
    settings.statement_timeout_ms = 60_000;
    let pool = settings.pool(billing::NAME).await.unwrap();
    world.billing = Billing::new(config(), &world.host.of(billing::NAME), pool).unwrap();
    let world = Arc::new(world);
    let mut quotes = Vec::new();
    for _ in 0..ORDERS {
        let account = world.account();
        quotes.push((world.quote(Some(account), offer(1190, Term::MONTH), false).await, account));
    }
    let placed: Vec<_> = futures::stream::iter(quotes)
        .map(|(quote, account)| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.billing.place_order(world.brand, placing(quote, account), None).await })
        })
        .buffer_unordered(ORDERS)
        .collect()
        .await;
    let mut numbers = Vec::new();
    for order in placed {
        let order = order.unwrap().unwrap();
        numbers.push(world.invoice_of(&order).await.number.unwrap().sequence);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=ORDERS as i64).collect::<Vec<_>>());
    world.assert_sound().await;
}

#[tokio::test]
async fn case_038_a_finalise_that_fails_after_its_number_burns_none() {
    let world = world().await;
    let account = world.account();
    let order = world.order(account, offer(1190, Term::MONTH)).await;
    assert_eq!(world.invoice_of(&order).await.number_text(), "INV-2026-000001");
    // The transaction takes the next number and dies before its commit.
    let mut tx = world.tx().await;
    let entity = world.profile.entity.id;
    let taken = store::number::take(&mut tx, entity, "INV", 2026, 1).await.unwrap();
    assert_eq!(taken[0].sequence, 2);
    drop(tx);
    let order = world.order(account, offer(1190, Term::MONTH)).await;
    assert_eq!(world.invoice_of(&order).await.number_text(), "INV-2026-000002");
    world.assert_sound().await;
}

#[tokio::test]
async fn the_doctor_sees_a_gap() {
    let world = world().await;
    world.order(world.account(), offer(1190, Term::MONTH)).await;
    sqlx::query("UPDATE invoice_number SET next = next + 1").execute(&world.database.admin_pool).await.unwrap();
    let findings = billing::invariants(&world.database.pool).await.unwrap();
    assert_eq!(findings.iter().map(|finding| finding.invariant.as_str()).collect::<Vec<_>>(), ["invoice.numbers"]);
}

#[tokio::test]
async fn two_brands_of_an_entity_share_its_numbers_and_the_doctor_counts_each_once_whoever_asks() {
    let mut world = world().await;
    world.subscriber(1190, Term::MONTH).await;
    let other = ottery_kernel::BrandId::new(world.now());
    world.brand = other;
    world.profile.brand = other;
    world.know(&world.profile.clone()).await;
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    assert_eq!(world.invoice_of(&placed).await.number_text(), "INV-2026-000002");
    for pool in [&world.database.pool, &world.database.admin_pool] {
        assert_eq!(billing::invariants(pool).await.unwrap(), []);
    }
}
