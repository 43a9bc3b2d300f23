//! The database goes away at the worst moments, and clocks jump.

use std::collections::HashSet;
use std::time::Duration;

use billing::app::Billing;
use billing::app::order::Idempotency;
use billing::domain::invoice::{Invoice, Purpose};
use billing::domain::subscription::{State, Subscription};
use billing::store;
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::Term;
use ottery_kit::db;
use ottery_kit::idempotency::KeyScope;
use ottery_kit::local::postgres::{Postgres, PostgresOptions};
use ottery_testkit::TestDatabase;
use ottery_testkit::proxy::{Proxy, Toxic};
use ottery_testkit::services::Scratch;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::world::{World, config, offer, placing, world, world_on};

async fn renewals(world: &World) -> Vec<Invoice> {
    let page = store::Page { before: None, limit: 100 };
    let (invoices, _) = world.billing.invoices(world.brand, None, None, page).await.unwrap();
    invoices.into_iter().filter(|invoice| invoice.purpose == Purpose::Renewal).collect()
}

/// One renewal invoice per subscription and period, and no period left out.
async fn assert_billed_once(world: &World, subscriptions: &[Subscription]) {
    let issued = renewals(world).await;
    let periods: HashSet<_> = issued.iter().map(|invoice| (invoice.subscription, invoice.period)).collect();
    assert_eq!(periods.len(), issued.len(), "no period twice");
    let of: HashSet<_> = issued.iter().filter_map(|invoice| invoice.subscription).collect();
    assert_eq!(of, subscriptions.iter().map(|subscription| subscription.id).collect());
    world.assert_sound().await;
}

async fn subscribers(world: &World, count: usize) -> Vec<Subscription> {
    let mut subscribers = Vec::new();
    for _ in 0..count {
        subscribers.push(world.subscriber(1190, Term::MONTH).await);
    }
    subscribers
}

fn small(world: &World, pool: PgPool) -> Billing {
    let mut config = config();
    config.renewals.batch_size = 2;
    Billing::new(config, &world.host.of(billing::NAME), pool).unwrap()
}

async fn leases_run_out(pool: &PgPool) {
    sqlx::query("UPDATE due SET lease_until = '-infinity'").execute(pool).await.unwrap();
}

const F09: &str = "billing_f09";

/// A database on a server of this test alone, which can be stopped.
async fn database_on(server: &Postgres) -> TestDatabase {
    let settings = ottery_testkit::database::settings(&server.admin_url()).with_database(billing::NAME, F09);
    db::provision(&settings, billing::NAME).await.unwrap();
    db::migrate(&settings, billing::NAME, &billing::MIGRATIONS).await.unwrap();
    connected(server).await
}

/// Fresh connections to it.
async fn connected(server: &Postgres) -> TestDatabase {
    let settings = ottery_testkit::database::settings(&server.admin_url()).with_database(billing::NAME, F09);
    let admin = settings.admin_options().unwrap().database(F09);
    let admin_pool = PgPoolOptions::new().max_connections(3).connect_with(admin).await.unwrap();
    let pool = settings.pool(billing::NAME).await.unwrap();
    TestDatabase { pool, admin_pool, settings, service: billing::NAME, name: F09.to_owned() }
}

#[tokio::test]
async fn fault_f09_postgresql_stops_at_once_in_the_middle_of_a_renewal_run() {
    let scratch = Scratch::new().unwrap();
    let options = PostgresOptions::new(scratch.path().join("postgres"));
    let mut server = Postgres::start(options.clone()).await.unwrap();
    let mut world = world_on(database_on(&server).await).await;
    let subscribers = subscribers(&world, 6).await;
    world.host.clock.advance(TimeDelta::days(28));
    let run = small(&world, world.database.pool.clone());
    assert_eq!(run.run_batch(world.brand).await.unwrap(), 2);
    // The next batch has decided and is writing: it waits for the outbox, its rows are not committed.
    let mut lock = world.database.admin_pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let (billing, brand) = (run.clone(), world.brand);
    let batch = tokio::spawn(async move { billing.run_batch(brand).await });
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    for _ in 0..200 {
        let waiting: i64 = sqlx::query_scalar(waits).fetch_one(&world.database.admin_pool).await.unwrap();
        if waiting > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // As `pg_ctl stop -m immediate` does: nothing is finished, everything is recovered at the next start.
    let pid = server.leash().pid().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-QUIT", &pid]).status().unwrap().success());
    server.leash().wait().await.unwrap();
    assert!(batch.await.unwrap().is_err(), "the batch failed with its database");
    drop(lock);
    drop(server);

    let server = Postgres::start(options).await.unwrap();
    world.database = connected(&server).await;
    let run = small(&world, world.database.pool.clone());
    world.billing = run.clone();
    assert_eq!(renewals(&world).await.len(), 2, "nothing of the second batch was written");
    // Its leases still stand: nobody touches them before they run out.
    while run.run_batch(brand).await.unwrap() > 0 {}
    assert_eq!(renewals(&world).await.len(), 4);
    leases_run_out(&world.database.admin_pool).await;
    while run.run_batch(brand).await.unwrap() > 0 {}
    assert_billed_once(&world, &subscribers).await;
}

/// The application's way to the database leads through a network that can fail.
async fn through_a_proxy(world: &World) -> (Proxy, PgPool) {
    let options = world.database.settings.options(billing::NAME).unwrap();
    let proxy = Proxy::start(format!("{}:{}", options.get_host(), options.get_port())).await.unwrap();
    let options = options.host("127.0.0.1").port(proxy.port());
    let pool = PgPoolOptions::new().max_connections(2).connect_with(options).await.unwrap();
    (proxy, pool)
}

#[tokio::test]
async fn fault_f10_an_order_whose_commit_has_no_answer_is_placed_once_and_answered_the_second_time() {
    let world = world().await;
    let (proxy, pool) = through_a_proxy(&world).await;
    let billing = Billing::new(config(), &world.host.of(billing::NAME), pool).unwrap();
    let account = world.account();
    let quote = world.quote(Some(account), offer(1190, Term::MONTH), false).await;
    let call = || {
        let scope = KeyScope { brand: Some(world.brand), actor: account.to_string(), route: "billing.PlaceOrder" };
        Some(Idempotency { scope, key: "form-1".into(), hash: [7; 32] })
    };
    // The connection is there before the weather turns.
    billing.campaign(world.brand).await.unwrap();
    proxy.set(Toxic::CutOnCommit);
    let lost = billing.place_order(world.brand, placing(quote, account), call()).await.unwrap_err();
    proxy.set(Toxic::None);
    assert!(lost.reason != "QUOTE_USED", "{lost:?}");
    let again = billing.place_order(world.brand, placing(quote, account), call()).await.expect("the same answer");
    let page = store::Page { before: None, limit: 10 };
    let mut tx = world.tx().await;
    let orders = store::order::list(&mut tx, Some(account), page).await.unwrap();
    assert_eq!(orders.iter().map(|order| order.id).collect::<Vec<_>>(), [again.order.id]);
    let invoices = store::invoice::list(&mut tx, Some(account), None, page).await.unwrap();
    assert_eq!(invoices.len(), 1);
    drop(tx);
    world.assert_sound().await;
}

#[tokio::test]
async fn fault_f10_a_renewal_batch_whose_commit_has_no_answer_is_never_repeated_blindly() {
    let world = world().await;
    let subscribers = subscribers(&world, 4).await;
    let (proxy, pool) = through_a_proxy(&world).await;
    let billing = small(&world, pool);
    world.host.clock.advance(TimeDelta::days(28));
    let claims = billing.claim_batch(world.brand).await.unwrap();
    assert_eq!(claims.len(), 2);
    proxy.set(Toxic::CutOnCommit);
    assert!(billing.work_off(world.brand, &claims).await.is_err());
    proxy.set(Toxic::None);
    for _ in 0..100 {
        // The server commits what it was told, whoever listens.
        if renewals(&world).await.len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Whoever tries the same claims again finds them done and writes nothing.
    billing.work_off(world.brand, &claims).await.unwrap();
    assert_eq!(renewals(&world).await.len(), 2);
    leases_run_out(&world.database.admin_pool).await;
    while billing.run_batch(world.brand).await.unwrap() > 0 {}
    assert_billed_once(&world, &subscribers).await;
}

#[tokio::test]
async fn fault_f20_a_clock_that_jumps_a_day_either_way_bills_no_period_twice_and_skips_none() {
    let world = world().await;
    // Over the night in which Berlin's clocks go forward (29 March 2026).
    world.host.clock.set("2026-02-28T23:30:00Z".parse::<DateTime<Utc>>().unwrap());
    let subscriptions = subscribers(&world, 3).await;
    let end = subscriptions[0].paid_through.unwrap();
    for jump in [-72, -48, -72, -24, -48, 0, -24, 1, -23, 2] {
        world.advance_to(end + TimeDelta::hours(jump)).await;
    }
    assert_billed_once(&world, &subscriptions).await;
    for subscription in &subscriptions {
        let invoice = world.open_invoice(subscription.id).await.unwrap();
        assert_eq!(invoice.due_at, Some(end));
        world.pay(&invoice).await;
        let renewed = world.subscription(subscription.id).await;
        assert_eq!((renewed.state, renewed.periods_paid), (State::Active, 2));
    }
    // The next period as well, a day too early and again.
    let next = world.subscription(subscriptions[0].id).await.paid_through.unwrap();
    for jump in [-80, -56, -80, -71, -95, -60] {
        world.advance_to(next + TimeDelta::hours(jump)).await;
    }
    assert_eq!(renewals(&world).await.len(), 6);
    assert_billed_once(&world, &subscriptions).await;
}

#[tokio::test]
async fn fault_f20_no_jump_of_the_clock_takes_a_lease_from_its_owner() {
    let world = world().await;
    subscribers(&world, 3).await;
    world.host.clock.advance(TimeDelta::days(28));
    let claims = world.billing.claim_batch(world.brand).await.unwrap();
    assert_eq!(claims.len(), 3);
    for jump in [TimeDelta::hours(24), -TimeDelta::hours(48), TimeDelta::hours(24)] {
        world.host.clock.advance(jump);
        assert!(world.billing.claim_batch(world.brand).await.unwrap().is_empty(), "leases are the database's time");
    }
    assert_eq!(world.billing.work_off(world.brand, &claims).await.unwrap(), 3);
    assert_eq!(renewals(&world).await.len(), 3);
}

#[tokio::test]
async fn fault_f21_four_schedulers_at_once_and_one_that_was_paused() {
    let world = world().await;
    let subscriptions = subscribers(&world, 12).await;
    world.host.clock.advance(TimeDelta::days(28));
    let paused = small(&world, world.database.pool.clone());
    let claims = paused.claim_batch(world.brand).await.unwrap();
    leases_run_out(&world.database.admin_pool).await;
    let workers = (0..4).map(|_| {
        let (billing, brand) = (small(&world, world.database.pool.clone()), world.brand);
        tokio::spawn(async move { while billing.run_batch(brand).await.unwrap() > 0 {} })
    });
    futures::future::join_all(workers).await.into_iter().for_each(|worker| worker.unwrap());
    assert_eq!(paused.work_off(world.brand, &claims).await.unwrap(), 0, "fenced off");
    assert_billed_once(&world, &subscriptions).await;
}
