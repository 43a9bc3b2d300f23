//! Schedulers that compete, die and wake up late.

use std::collections::HashSet;
use std::sync::Arc;

use billing::app::Billing;
use billing::domain::invoice::State;
use billing::domain::subscription::Subscription;
use billing::store;
use chrono::TimeDelta;
use ottery_kernel::{BrandId, Term};
use ottery_kit::db::{self, Scope};
use ottery_testkit::actor::owner;

use crate::world::{World, config, eur, offer, world};

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
    let waits = world.billing.still_due(world.brand, world.now()).await.unwrap();
    assert_eq!(waits.as_deref(), Some("revenue to recognise"), "the first day has begun");
    world.recognise().await;
    assert_eq!(world.billing.still_due(world.brand, world.now()).await.unwrap(), None);
    assert_eq!(world.billing.still_due(world.brand, later).await.unwrap().as_deref(), Some("2 due subscriptions"));
    world.advance_to(later).await;
    world.recognise().await;
    assert_eq!(world.billing.still_due(world.brand, later).await.unwrap(), None);
}

/// The tasks of the brand about steps that failed, as the subscriptions they are about.
async fn set_aside(world: &World) -> Vec<String> {
    let page = store::Page { before: None, limit: 10 };
    let mut tasks = world.billing.tasks(world.brand, page).await.unwrap();
    tasks.retain(|task| task.kind == "renewal_failed");
    tasks.into_iter().map(|task| task.reference).collect()
}

/// Numbers of all invoices, in order.
async fn numbers(world: &World) -> Vec<i64> {
    let page = store::Page { before: None, limit: 100 };
    let (invoices, _) = world.billing.invoices(world.brand, None, None, page).await.unwrap();
    let mut numbers: Vec<_> =
        invoices.into_iter().filter_map(|invoice| invoice.number.map(|number| number.sequence)).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn a_subscription_that_cannot_be_decided_is_set_aside_in_the_batch_of_the_others() {
    let world = world().await;
    let subscribers = subscribers(&world, 5).await;
    for broken in [&subscribers[0], &subscribers[3]] {
        sqlx::query("UPDATE subscription SET anchor = NULL WHERE id = $1")
            .bind(broken.id.as_uuid())
            .execute(&world.database.admin_pool)
            .await
            .unwrap();
    }
    world.host.clock.advance(TimeDelta::days(28));
    // One batch: nobody is tried twice, and what failed has taken nothing with it.
    assert_eq!(world.billing.run_batch(world.brand).await.unwrap(), 5);
    assert_eq!(world.billing.run_batch(world.brand).await.unwrap(), 0);
    assert_eq!(renewals(&world).await.len(), 3);
    assert_eq!(numbers(&world).await, (1..=8).collect::<Vec<_>>());
    let mut aside = set_aside(&world).await;
    aside.sort_unstable();
    assert_eq!(aside, [subscribers[0].id.to_string(), subscribers[3].id.to_string()]);
    // An hour later it is tried again; the same matter stays one task.
    world.advance(TimeDelta::minutes(61)).await;
    assert_eq!(set_aside(&world).await.len(), 2);
    world.assert_sound().await;
}

#[tokio::test]
async fn what_the_database_refuses_or_cannot_be_read_stops_only_itself() {
    let world = world().await;
    let subscribers = subscribers(&world, 9).await;
    // A period that has an invoice already, of which the subscription knows nothing.
    let end = subscribers[2].paid_through.unwrap();
    sqlx::query(
        "UPDATE invoice SET period_start = $2, period_end = $2 + interval '1 month' WHERE subscription_id = $1",
    )
    .bind(subscribers[2].id.as_uuid())
    .bind(end)
    .execute(&world.database.admin_pool)
    .await
    .unwrap();
    // A row that says nothing this version understands.
    sqlx::query("UPDATE subscription SET offer = '{\"plan_id\": 7}' WHERE id = $1")
        .bind(subscribers[7].id.as_uuid())
        .execute(&world.database.admin_pool)
        .await
        .unwrap();
    world.host.clock.advance(TimeDelta::days(28));
    world.work_off().await;
    let renewed: Vec<_> = sqlx::query_scalar::<_, uuid::Uuid>(
        "SELECT subscription_id FROM invoice WHERE purpose = 'renewal' ORDER BY subscription_id",
    )
    .fetch_all(&world.database.admin_pool)
    .await
    .unwrap();
    let mut wanted: Vec<_> = subscribers.iter().map(|subscription| subscription.id.as_uuid()).collect();
    wanted.remove(7);
    wanted.remove(2);
    wanted.sort_unstable();
    assert_eq!(renewed, wanted);
    let mut aside = set_aside(&world).await;
    aside.sort_unstable();
    assert_eq!(aside, [subscribers[2].id.to_string(), subscribers[7].id.to_string()]);
    let gaps: Vec<i64> = sqlx::query_scalar("SELECT number_seq FROM invoice ORDER BY number_seq")
        .fetch_all(&world.database.admin_pool)
        .await
        .unwrap();
    assert_eq!(gaps, (1..=16).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_wallet_pays_what_it_can_for_two_subscriptions_of_a_batch() {
    let world = world().await;
    let account = world.account();
    let mut ends = Vec::new();
    for _ in 0..2 {
        let placed = world.order(account, offer(1000, Term::MONTH)).await;
        world.pay(&world.invoice_of(&placed).await).await;
        ends.push(world.subscription(placed.order.subscription).await.paid_through.unwrap());
    }
    // Too much by 15.00: the wallet covers one renewal and half of the other.
    let placed = world.order(account, offer(500, Term::MONTH)).await;
    let invoice = world.invoice_of(&placed).await;
    world.settle(&world.payment(&invoice, eur(2000), eur(2000))).await;
    world.billing.cancel(world.brand, placed.order.subscription, None, "", &owner(world.brand)).await.unwrap();
    world.host.clock.set(ends[0] - TimeDelta::hours(72));
    world.work_off().await;
    let mut paid: Vec<_> = renewals(&world).await.iter().map(|invoice| (invoice.state, invoice.paid.minor)).collect();
    paid.sort_by_key(|(_, paid)| *paid);
    assert_eq!(paid, [(State::Open, 500), (State::Closed, 1000)]);
    world.assert_sound().await;
}

#[tokio::test]
async fn brands_with_something_due_are_found_among_all_that_wait() {
    let world = world().await;
    let (now, admin) = (world.now(), &world.database.admin_pool);
    let [first, second, clocked, later, taken] = std::array::from_fn(|_| BrandId::new(now));
    let hours = TimeDelta::hours;
    sqlx::query("INSERT INTO brand_clock (brand_id, now) VALUES ($1, $2)")
        .bind(clocked.as_uuid())
        .bind(now + hours(48))
        .execute(admin)
        .await
        .unwrap();
    for (brand, due_in, lease) in [
        (second, -1, "-infinity"),
        (first, 400, "-infinity"),
        (first, -2, "-infinity"),
        (first, -3, "infinity"),
        (clocked, 30, "-infinity"),
        (later, 1, "-infinity"),
        (taken, -5, "infinity"),
    ] {
        sqlx::query(
            "INSERT INTO due (subscription_id, brand_id, due_at, lease_until) VALUES (gen_random_uuid(), $1, $2, $3::timestamptz)",
        )
        .bind(brand.as_uuid())
        .bind(now + hours(due_in))
        .bind(lease)
        .execute(admin)
        .await
        .unwrap();
    }
    let found = async |limit| -> Vec<_> {
        let found = store::due::brands(&world.database.pool, now, limit).await.unwrap();
        found.into_iter().map(|due| (due.brand, due.waiting_since)).collect()
    };
    let all = [(first, Some(now - hours(2))), (second, Some(now - hours(1))), (clocked, None)];
    assert_eq!(found(10).await, all);
    assert_eq!(found(1).await, all[..1]);
}
