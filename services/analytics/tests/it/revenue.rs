use std::sync::Arc;

use analytics::app::{self, App};
use analytics::domain::SubscriptionState::{self, Active, Ended, PastDue, Suspended};
use analytics::store::log::Entry;
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, Currency, ManualClock, Money, SubscriptionId, Term, TermUnit};
use ottery_kit::db::{Scope, begin};
use ottery_testkit::TestDatabase;
use uuid::Uuid;

struct World {
    app: App,
    clock: Arc<ManualClock>,
    brand: BrandId,
    database: TestDatabase,
}

fn day(n: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + n)
}

fn eur(minor: i64) -> Money {
    Money { minor, currency: Currency::EUR }
}

async fn world() -> World {
    let database = ottery_testkit::database(analytics::NAME, &analytics::MIGRATIONS).await;
    let clock = Arc::new(ManualClock::new(day(0)));
    World { app: App::new(database.pool.clone(), clock.clone()), clock, brand: BrandId::new(day(0)), database }
}

impl World {
    async fn record(&self, entry: &Entry) {
        let mut tx = begin(&self.database.pool, Scope::Brand(self.brand)).await.unwrap();
        app::record(&mut tx, self.brand, entry).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn mrr(&self) -> Vec<Money> {
        self.app.revenue(self.brand, None).await.unwrap().mrr
    }
}

struct Life {
    account: AccountId,
    subscription: SubscriptionId,
}

impl Life {
    fn new() -> Self {
        Self { account: AccountId::new(day(0)), subscription: SubscriptionId::new(day(0)) }
    }

    fn entry(&self, version: i64, state: SubscriptionState, minor: i64, at: i64) -> Entry {
        Entry {
            event_id: Uuid::now_v7(),
            account: self.account,
            subscription: self.subscription,
            version,
            state,
            recurring: eur(minor),
            term: Term::try_new(1, TermUnit::Month).unwrap(),
            effective_at: day(at),
        }
    }
}

#[tokio::test]
async fn revenue_is_the_sum_of_movements_in_whatever_order_events_come() {
    let world = world().await;
    let (ada, bob) = (Life::new(), Life::new());
    let events = [
        ada.entry(1, Active, 1000, 0),
        ada.entry(2, Active, 1600, 3),
        bob.entry(1, Active, 2000, 1),
        bob.entry(2, Ended, 0, 4),
    ];
    for n in [3, 1, 0, 2, 1, 3] {
        world.record(&events[n]).await;
    }
    world.clock.advance(TimeDelta::days(2));
    assert_eq!(world.mrr().await, [eur(3000)]);
    world.clock.advance(TimeDelta::days(5));
    assert_eq!(world.mrr().await, [eur(1600)]);
    let revenue = world.app.revenue(world.brand, None).await.unwrap();
    assert_eq!(revenue.paying_customers, 1);
    let deltas: i64 = world.app.movements(world.brand, None, 100).await.unwrap().iter().map(|m| m.delta.minor).sum();
    assert_eq!(deltas, 1600);
    assert_eq!(analytics::invariants(&world.database.admin_pool).await.unwrap(), []);
}

#[tokio::test]
async fn involuntary_churn_comes_by_itself_and_vanishes_when_the_payment_does() {
    let world = world().await;
    let ada = Life::new();
    world.record(&ada.entry(1, Active, 1000, 0)).await;
    world.record(&ada.entry(2, PastDue, 0, 30)).await;
    world.record(&ada.entry(3, Suspended, 0, 33)).await;
    world.clock.set(day(59));
    assert_eq!(world.mrr().await, [eur(1000)]);
    world.clock.set(day(60));
    assert_eq!(world.mrr().await, []);
    world.record(&ada.entry(4, Active, 1000, 45)).await;
    assert_eq!(world.mrr().await, [eur(1000)]);
    assert_eq!(world.app.movements(world.brand, None, 100).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_rebuild_repairs_what_was_tampered_with_and_says_so() {
    let world = world().await;
    let ada = Life::new();
    world.record(&ada.entry(1, Active, 1000, 0)).await;
    let clean = world.app.rebuild(world.brand).await.unwrap();
    assert_eq!((clean.events, clean.movements, clean.different), (1, 1, 0));
    sqlx::query("UPDATE movement SET delta_minor = 999999").execute(&world.database.admin_pool).await.unwrap();
    assert_eq!(analytics::invariants(&world.database.admin_pool).await.unwrap().len(), 1);
    assert_eq!(world.app.rebuild(world.brand).await.unwrap().different, 1);
    assert_eq!(world.mrr().await, [eur(1000)]);
    let refused = sqlx::query("DELETE FROM subscription_event").execute(&world.database.admin_pool).await.unwrap_err();
    assert!(refused.to_string().contains("never change"));
}

#[tokio::test]
async fn movements_are_read_page_by_page_without_those_still_ahead() {
    let world = world().await;
    let ada = Life::new();
    for (version, minor) in (1..).zip([1000, 1100, 1200, 1300]) {
        world.record(&ada.entry(version, Active, minor, version)).await;
    }
    world.record(&ada.entry(5, PastDue, 0, 6)).await;
    world.clock.set(day(10));
    let first = world.app.movements(world.brand, None, 2).await.unwrap();
    let last = first[1];
    let second = world.app.movements(world.brand, Some((last.effective_at, last.id)), 2).await.unwrap();
    let deltas: Vec<i64> = first[..2].iter().chain(&second).map(|movement| movement.delta.minor).collect();
    assert_eq!(deltas, [100, 100, 100, 1000]);
}

#[tokio::test]
async fn secure_s14_without_a_brand_nothing_is_seen() {
    let world = world().await;
    world.record(&Life::new().entry(1, Active, 1000, 0)).await;
    let mut tx = begin(&world.database.pool, Scope::Platform).await.unwrap();
    for table in ["subscription_event", "movement"] {
        let count = format!("SELECT count(*) FROM {table}");
        let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(seen, 0, "{table}");
    }
}
