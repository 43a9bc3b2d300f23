//! Schedulers that compete, die and wake up late.

use std::collections::HashSet;
use std::sync::Arc;

use billing::app::Billing;
use billing::domain::subscription::Subscription;
use billing::store;
use chrono::TimeDelta;
use ottery_kernel::Term;
use ottery_kit::db::{self, Scope};

use crate::world::{World, config, world};

async fn subscribers(world: &World, count: usize) -> Vec<Subscription> {
    let mut subscribers = Vec::new();
    for _ in 0..count {
        subscribers.push(world.subscriber(1190, Term::MONTH).await);
    }
    subscribers
}

/// Renewal invoices of the brand.
async fn renewals(world: &World) -> Vec<billing::domain::invoice::Invoice> {
    let page = store::Page { before: None, limit: 100 };
    let (invoices, _) = world.billing.invoices(world.brand, None, None, page).await.unwrap();
    invoices.into_iter().filter(|invoice| invoice.purpose == billing::domain::invoice::Purpose::Renewal).collect()
}

async fn leases_run_out(world: &World) {
    sqlx::query("UPDATE due SET lease_until = '-infinity'").execute(&world.database.admin_pool).await.unwrap();
}

fn small(world: &World) -> Billing {
    let mut config = config();
    config.renewals.batch_size = 2;
    Billing::new(config, &world.host.of(billing::NAME), world.database.pool.clone()).unwrap()
}

#[tokio::test]
async fn case_011_two_schedulers_at_once_issue_one_invoice_per_period() {
    let world = Arc::new(world().await);
    let subscribers = subscribers(&world, 12).await;
    world.host.clock.advance(TimeDelta::days(28));
    let workers = (0..4).map(|_| {
        let (billing, brand) = (small(&world), world.brand);
        tokio::spawn(async move { while billing.run_batch(brand).await.unwrap() > 0 {} })
    });
    futures::future::join_all(workers).await.into_iter().for_each(|worker| worker.unwrap());
    world.work_off().await;
    let issued = renewals(&world).await;
    let of: HashSet<_> = issued.iter().map(|invoice| invoice.subscription.unwrap()).collect();
    assert_eq!((issued.len(), of.len()), (subscribers.len(), subscribers.len()));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_012_a_run_that_dies_halfway_is_resumed_and_finished_ones_stay_untouched() {
    let world = world().await;
    subscribers(&world, 6).await;
    world.host.clock.advance(TimeDelta::days(28));
    let billing = small(&world);
    assert_eq!(billing.run_batch(world.brand).await.unwrap(), 2);
    let finished = renewals(&world).await;
    assert_eq!(finished.len(), 2);
    // The second batch is claimed and its scheduler dies.
    assert_eq!(billing.claim_batch(world.brand).await.unwrap().len(), 2);
    while billing.run_batch(world.brand).await.unwrap() > 0 {}
    assert_eq!(renewals(&world).await.len(), 4);
    leases_run_out(&world).await;
    while billing.run_batch(world.brand).await.unwrap() > 0 {}
    let issued = renewals(&world).await;
    assert_eq!(issued.len(), 6);
    for invoice in finished {
        assert!(issued.contains(&invoice));
    }
    world.assert_sound().await;
}

#[tokio::test]
async fn fault_f21_a_scheduler_that_slept_through_its_lease_writes_nothing() {
    let world = world().await;
    subscribers(&world, 3).await;
    world.host.clock.advance(TimeDelta::days(28));
    let sleeper = world.billing.clone();
    let stale = sleeper.claim_batch(world.brand).await.unwrap();
    assert_eq!(stale.len(), 3);
    leases_run_out(&world).await;
    world.work_off().await;
    assert_eq!(renewals(&world).await.len(), 3);
    // It wakes up in the middle of its work: its last statement hits no row …
    let mut tx = db::begin(&world.database.pool, Scope::Brand(world.brand)).await.unwrap();
    let finished: Vec<_> = stale.iter().map(|claim| (*claim, Some(world.now()))).collect();
    assert_eq!(store::due::finish(&mut tx, &finished).await.unwrap(), 0);
    drop(tx);
    // … or before it: nothing is its own any more.
    assert_eq!(sleeper.work_off(world.brand, &stale).await.unwrap(), 0);
    assert_eq!(renewals(&world).await.len(), 3);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_payment_that_arrives_while_a_batch_is_claimed_fences_the_scheduler_off() {
    let world = world().await;
    let subscription = subscribers(&world, 1).await.remove(0);
    let end = subscription.paid_through.unwrap();
    world.advance_to(end - TimeDelta::hours(72)).await;
    world.host.clock.set(end);
    let claims = world.billing.claim_batch(world.brand).await.unwrap();
    assert_eq!(claims.len(), 1);
    world.pay(&world.open_invoice(subscription.id).await.unwrap()).await;
    assert_eq!(world.billing.work_off(world.brand, &claims).await.unwrap(), 0);
    let renewed = world.subscription(subscription.id).await;
    assert_eq!(renewed.state, billing::domain::subscription::State::Active);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_008_a_clock_that_steps_back_runs_nothing_twice() {
    let world = world().await;
    subscribers(&world, 2).await;
    world.advance(TimeDelta::days(28)).await;
    world.advance(-TimeDelta::hours(24)).await;
    world.advance(TimeDelta::hours(24)).await;
    assert_eq!(renewals(&world).await.len(), 2);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_010_after_three_days_down_each_customer_gets_one_reminder() {
    let world = world().await;
    let subscription = subscribers(&world, 1).await.remove(0);
    let end = subscription.paid_through.unwrap();
    world.advance_to(end - TimeDelta::hours(72)).await;
    world.advance_to(end + TimeDelta::hours(70)).await;
    let reminders = ottery_testkit::recorder::outbox(&world.database.pool)
        .await
        .into_iter()
        .filter(|event| event.r#type == "billing.reminder.due.v1")
        .count();
    assert_eq!(reminders, 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_brand_is_drained_when_nothing_is_due_at_its_time() {
    let world = world().await;
    subscribers(&world, 2).await;
    let later = world.now() + TimeDelta::days(28);
    assert_eq!(world.billing.still_due(world.brand, world.now()).await.unwrap(), None);
    assert_eq!(world.billing.still_due(world.brand, later).await.unwrap().as_deref(), Some("2 due subscriptions"));
    world.advance_to(later).await;
    assert_eq!(world.billing.still_due(world.brand, later).await.unwrap(), None);
}

#[tokio::test]
async fn a_subscription_that_cannot_be_billed_holds_up_nobody_and_burns_no_number() {
    let world = world().await;
    let subscribers = subscribers(&world, 3).await;
    sqlx::query("UPDATE subscription SET anchor = NULL WHERE id = $1")
        .bind(subscribers[0].id.as_uuid())
        .execute(&world.database.admin_pool)
        .await
        .unwrap();
    world.advance(TimeDelta::days(28)).await;
    assert_eq!(renewals(&world).await.len(), 2);
    let page = store::Page { before: None, limit: 10 };
    let tasks = world.billing.tasks(world.brand, page).await.unwrap();
    assert_eq!(tasks.iter().map(|task| task.kind.as_str()).collect::<Vec<_>>(), ["renewal_failed"]);
    world.assert_sound().await;
}
