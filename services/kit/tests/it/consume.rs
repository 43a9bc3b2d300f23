use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ottery_kit::broker::testing::Shuffled;
use ottery_kit::broker::{Broker, Incoming, Sink, Verdict};
use ottery_kit::consume::{self, Delivery, HandleError, Handler, Schedule, Sequence, parked};
use ottery_kit::outbox::Relay;
use sqlx::postgres::PgTransaction;

use crate::stage::{Kind, Record, Stage, brand, message, until, write_effect};

const WAITING: &str = "SELECT count(*) FROM retry_delivery WHERE state = 'waiting'";
const INBOX: &str = "SELECT count(*) FROM inbox";

/// Fails the first attempts at one aggregate, after having written.
pub struct Fails {
    aggregate: &'static str,
    attempts: AtomicU32,
    with: fn() -> HandleError,
}

impl Fails {
    pub fn first(attempts: u32, aggregate: &'static str, with: fn() -> HandleError) -> Self {
        Self { aggregate, attempts: AtomicU32::new(attempts), with }
    }
}

#[async_trait]
impl Handler for Fails {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        write_effect(tx, delivery).await?;
        let fails = delivery.aggregate_id() == self.aggregate
            && self.attempts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { Err((self.with)()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_second_delivery_has_no_second_effect() {
    let stage = Stage::new().await;
    let consumer = stage.consumer("listener", Record);
    let envelope = stage.envelope(brand(), "a", 1);
    for _ in 0..3 {
        assert_eq!(consumer.deliver(message(&envelope)).await, Verdict::Done);
    }
    let (first, second) = tokio::join!(consumer.deliver(message(&envelope)), consumer.deliver(message(&envelope)));
    assert_eq!((first, second), (Verdict::Done, Verdict::Done));
    assert_eq!(stage.effects().await.len(), 1);
}

#[tokio::test]
async fn two_groups_each_have_their_effect() {
    let stage = Stage::new().await;
    let envelope = stage.envelope(brand(), "a", 1);
    for purpose in ["one", "other"] {
        stage.consumer(purpose, Record).deliver(message(&envelope)).await;
    }
    assert_eq!(stage.effects().await.len(), 2);
}

#[tokio::test]
async fn a_failed_attempt_leaves_no_trace_and_is_made_again() {
    let stage = Stage::new().await;
    let consumer =
        stage.start(stage.consumer("listener", Fails::first(2, "a", || HandleError::transient("away")))).await;
    consumer.deliver(message(&stage.envelope(brand(), "a", 1))).await;
    assert_eq!(stage.until_effects(1).await.len(), 1);
    until(|| async { (stage.count(WAITING).await == 0).then_some(()) }).await;
    assert_eq!(stage.count(INBOX).await, 1);
}

#[tokio::test]
async fn fault_f27_a_poisoned_event_is_parked_and_its_neighbours_are_delivered() {
    for kind in [Kind::InProcess, Kind::RabbitMq] {
        let stage = Stage::with(kind).await;
        let poison = Arc::new(Fails::first(u32::MAX, "poison", || HandleError::permanent("cannot be")));
        stage.start(stage.consumer("listener", Arc::clone(&poison))).await;
        let brand = brand();
        for aggregate in ["before", "poison", "after"] {
            stage.append(brand, aggregate, [1]).await;
        }
        stage.send().await;

        stage.until_effects(2).await;
        let parked = until(|| async {
            let parked = parked::list(&stage.pool(), &parked::Filter::default(), 10).await.unwrap();
            parked.into_iter().next()
        })
        .await;
        assert_eq!((parked.aggregate_id.as_str(), parked.reason.as_str()), ("poison", "permanent"), "{kind:?}");
        assert!(parked.error.contains("cannot be"), "{}", parked.error);
        assert_eq!(parked.brand_id, Some(brand.as_uuid()));
        assert_eq!(parked::count(&stage.pool()).await.unwrap(), 1);

        // Mended meanwhile: it is tried again and works.
        poison.attempts.store(0, Ordering::SeqCst);
        assert!(parked::retry_one(&stage.pool(), parked.id).await.unwrap());
        assert!(!parked::retry_one(&stage.pool(), parked.id).await.unwrap(), "it is not parked any more");
        stage.until_effects(3).await;
    }
}

#[tokio::test]
async fn attempts_run_out_and_a_person_decides() {
    let stage = Stage::new().await;
    let consumer =
        stage.start(stage.consumer("listener", Fails::first(100, "a", || HandleError::transient("away")))).await;
    consumer.deliver(message(&stage.envelope(brand(), "a", 1))).await;
    let parked = until(|| async {
        parked::list(&stage.pool(), &parked::Filter::default(), 10).await.unwrap().into_iter().next()
    })
    .await;
    assert_eq!((parked.attempts, parked.reason.as_str()), (5, "transient"));
    assert_eq!(parked::retry_all(&stage.pool(), "something.else.v1").await.unwrap(), 0);
    assert!(parked::discard(&stage.pool(), parked.id, "acc_1", "known and harmless").await.unwrap());
    assert_eq!(parked::count(&stage.pool()).await.unwrap(), 0);
    assert!(stage.effects().await.is_empty());
}

#[tokio::test]
async fn a_newer_event_waits_while_an_older_one_is_retried() {
    let stage = Stage::new().await;
    let consumer =
        stage.start(stage.consumer("listener", Fails::first(2, "a", || HandleError::transient("away")))).await;
    for version in 1..=3 {
        consumer.deliver(message(&stage.envelope(brand(), "a", version))).await;
    }
    consumer.deliver(message(&stage.envelope(brand(), "b", 1))).await;
    let effects = stage.until_effects(4).await;
    assert_eq!(effects[0], ("b".to_owned(), 1), "another aggregate does not wait");
    let versions: Vec<i64> = effects[1..].iter().map(|(_, version)| *version).collect();
    assert_eq!(versions, [1, 2, 3]);
}

#[tokio::test]
async fn where_the_newest_wins_nobody_waits() {
    let stage = Stage::new().await;
    let handler = Fails::first(1, "a", || HandleError::transient("away"));
    let consumer = ottery_kit::consume::Consumer::new(stage.pool(), stage.group("state").newest_wins(), handler)
        .with_schedule(Schedule::every(Duration::from_secs(3_600)));
    consumer.deliver(message(&stage.envelope(brand(), "a", 1))).await;
    consumer.deliver(message(&stage.envelope(brand(), "a", 2))).await;
    assert_eq!(stage.effects().await, [("a".to_owned(), 2)]);
}

struct Panics;

#[async_trait]
impl Handler for Panics {
    async fn handle(&self, _: &mut PgTransaction<'_>, _: &Delivery) -> Result<(), HandleError> {
        panic!("a mistake of ours")
    }
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_rubbish_is_parked() {
    let stage = Stage::new().await;
    let consumer = stage.consumer("listener", Panics);
    consumer.deliver(message(&stage.envelope(brand(), "a", 1))).await;
    let error: String =
        sqlx::query_scalar("SELECT error FROM retry_delivery").fetch_one(&stage.database.admin_pool).await.unwrap();
    assert!(error.contains("a mistake of ours"), "{error}");

    let mut no_brand = stage.envelope(brand(), "b", 1);
    no_brand.brand_id = "brd_nonsense".to_owned();
    for _ in 0..2 {
        consumer.deliver(Incoming::new(b"\xff\xff\xff".as_slice().into(), "x.y.v1")).await;
        consumer.deliver(message(&no_brand)).await;
    }
    let rubbish = parked::list(&stage.pool(), &parked::Filter::default(), 10).await.unwrap();
    assert_eq!(rubbish.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["undecodable"; 2]);

    // Asking for another try parks it again instead of turning round for ever.
    assert!(parked::retry_one(&stage.pool(), rubbish[0].id).await.unwrap());
    stage.start(stage.consumer("listener", Panics)).await;
    until(|| async { (parked::count(&stage.pool()).await.unwrap() >= 2).then_some(()) }).await;
}

/// Needs every version; when one is missing too long, fetches the state (which is at version 3).
#[derive(Default)]
struct Strict {
    fetches: AtomicU32,
}

#[async_trait]
impl Handler for Strict {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        match consume::advance(tx, delivery).await? {
            Sequence::Next => write_effect(tx, delivery).await,
            Sequence::Older => Ok(()),
        }
    }

    async fn gap_expired(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        if consume::accept_newer(tx, &delivery.consumer, delivery.aggregate_id(), 3).await? {
            write_effect(tx, delivery).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn fault_f13_a_gap_is_parked_healed_and_the_late_event_ignored() {
    let stage = Stage::new().await;
    let strict = Arc::new(Strict::default());
    let lossy = Arc::new(Shuffled::new(Arc::clone(&stage.broker), 1, 1, 1));
    stage.start(stage.consumer("strict", Arc::clone(&strict))).await;
    let brand = brand();

    stage.append(brand, "a", [1]).await;
    let mut relay = Relay::new(stage.pool(), lossy.clone());
    relay.drain().await.unwrap();
    stage.until_effects(1).await;

    lossy.drop_next_of("a");
    stage.append(brand, "a", [2, 3]).await;
    relay.drain().await.unwrap();
    // Version 3 waits for 2, which never comes; then the state is fetched.
    let effects = stage.until_effects(2).await;
    assert_eq!(effects, [("a".to_owned(), 1), ("a".to_owned(), 3)]);
    assert_eq!(strict.fetches.load(Ordering::SeqCst), 1);

    // The lost event turns up after all.
    let lost: uuid::Uuid = sqlx::query_scalar("SELECT event_id FROM outbox WHERE aggregate_version = 2")
        .fetch_one(&stage.database.admin_pool)
        .await
        .unwrap();
    let mut late = stage.envelope(brand, "a", 2);
    late.event_id = lost.to_string();
    assert!(stage.broker.publish(vec![late]).await[0].is_ok());
    stage.append(brand, "a", [4]).await;
    relay.drain().await.unwrap();
    let effects = stage.until_effects(3).await;
    assert_eq!(effects[2], ("a".to_owned(), 4), "2 had no effect");
    assert_eq!(stage.count("SELECT count(*) FROM retry_delivery").await, 0);
}

#[tokio::test]
async fn the_missing_event_closes_the_gap_at_once() {
    let stage = Stage::new().await;
    let strict = Arc::new(Strict::default());
    let patient = ottery_kit::consume::Consumer::new(stage.pool(), stage.group("strict"), Arc::clone(&strict))
        .with_schedule(Schedule::every(Duration::from_secs(3_600)));
    let consumer = stage.start(patient).await;
    for version in [3, 2, 1] {
        consumer.deliver(message(&stage.envelope(brand(), "a", version))).await;
    }
    let effects = stage.until_effects(3).await;
    assert_eq!(effects.iter().map(|(_, version)| *version).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(strict.fetches.load(Ordering::SeqCst), 0);
}

/// A state that depends on the order: each event multiplies and adds.
struct Fold;

#[async_trait]
impl Handler for Fold {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        if consume::advance(tx, delivery).await? == Sequence::Older {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO state AS s (brand_id, aggregate_id, version, total) VALUES ($1, $2, $3, $3) \
             ON CONFLICT (brand_id, aggregate_id) DO UPDATE SET version = $3, total = (s.total * 7 + $3) % 1000003",
        )
        .bind(delivery.brand()?.as_uuid())
        .bind(delivery.aggregate_id())
        .bind(delivery.aggregate_version())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

#[tokio::test]
async fn fault_f12_tripled_and_shuffled_deliveries_end_in_the_same_state() {
    const AGGREGATES: i64 = 5;
    const VERSIONS: i64 = 20;
    let mut outcomes = Vec::new();
    for shuffled in [false, true] {
        let stage = Stage::new().await;
        let chaos = Arc::new(Shuffled::new(Arc::clone(&stage.broker), 20_261_122, 3, 50));
        let broker: Arc<dyn Broker> = if shuffled { chaos.clone() } else { Arc::clone(&stage.broker) };
        let group = stage.group("fold").newest_wins();
        let consumer = ottery_kit::consume::Consumer::new(stage.pool(), group, Fold)
            .with_schedule(Schedule { transient: vec![], gap: vec![Duration::from_millis(200); 500] });
        stage.start(consumer).await;
        let brand = brand();
        for version in 1..=VERSIONS {
            for aggregate in 0..AGGREGATES {
                stage.append(brand, &format!("a{aggregate}"), [version]).await;
            }
        }
        let mut relay = Relay::new(stage.pool(), broker);
        relay.drain().await.unwrap();
        chaos.flush().await;
        let state: BTreeMap<String, i64> = until(|| async {
            let rows: Vec<(String, i64, i64)> = sqlx::query_as("SELECT aggregate_id, version, total FROM state")
                .fetch_all(&stage.database.admin_pool)
                .await
                .unwrap();
            let done = rows.len() == AGGREGATES as usize && rows.iter().all(|(_, version, _)| *version == VERSIONS);
            done.then(|| rows.into_iter().map(|(id, _, total)| (id, total)).collect())
        })
        .await;
        assert_eq!(parked::count(&stage.pool()).await.unwrap(), 0);
        outcomes.push(state);
    }
    assert_eq!(outcomes[0], outcomes[1]);
}
