use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use ottery_kit::broker::{Broker, BrokerError, ConsumerGroup, Depth, PublishError, Sink};
use ottery_kit::db::{Scope, begin};
use ottery_kit::outbox::{self, Cause, Relay, RelaySettings, with_cause};
use ottery_proto::common::v1::Envelope;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::stage::{Record, Stage, brand, until};

const UNSENT: &str = "SELECT count(*) FROM outbox WHERE sent_at IS NULL";

#[tokio::test]
async fn an_event_leaves_with_its_transaction_or_not_at_all() {
    let stage = Stage::new().await;
    stage.broker.declare(&[stage.group("listener")]).await.unwrap();
    let brand = brand();

    let mut tx = begin(&stage.pool(), Scope::Brand(brand)).await.unwrap();
    outbox::append(&mut tx, stage.event(brand, "abandoned", 1)).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(stage.send().await, 0);

    stage.append(brand, "kept", [1]).await;
    assert_eq!(stage.send().await, 1);
    assert_eq!(stage.send().await, 0, "what is marked is not sent again");
}

#[tokio::test]
async fn the_cause_of_the_running_work_is_written_on_its_events() {
    let stage = Stage::new().await;
    let cause = Cause { causation_id: "evt".to_owned(), correlation_id: "req".to_owned() };
    with_cause(cause, stage.append(brand(), "a", [1])).await;
    let written: (String, String) = sqlx::query_as("SELECT causation_id, correlation_id FROM outbox")
        .fetch_one(&stage.database.admin_pool)
        .await
        .unwrap();
    assert_eq!(written, ("evt".to_owned(), "req".to_owned()));
}

#[tokio::test]
async fn a_late_commit_is_not_skipped() {
    let stage = Stage::new().await;
    stage.broker.declare(&[stage.group("listener")]).await.unwrap();
    let brand = brand();
    let mut late = begin(&stage.pool(), Scope::Brand(brand)).await.unwrap();
    outbox::append(&mut late, stage.event(brand, "late", 1)).await.unwrap();
    stage.append(brand, "early", [1]).await;

    assert_eq!(stage.send().await, 1, "the higher number is committed and goes");
    late.commit().await.unwrap();
    assert_eq!(stage.send().await, 1, "the lower number, committed later, goes too");
}

#[tokio::test]
async fn fault_f08_unroutable_events_are_kept_and_hold_up_nobody_else() {
    let stage = Stage::new().await;
    stage.broker.declare(&[stage.group("listener")]).await.unwrap();
    let brand = brand();
    let mut tx = begin(&stage.pool(), Scope::Brand(brand)).await.unwrap();
    for version in 1..=3 {
        let mut nobody = stage.event(brand, "unheard", version);
        nobody.kind = format!("{}.unheard.happened.v1", stage.owner);
        outbox::append(&mut tx, nobody).await.unwrap();
    }
    outbox::append(&mut tx, stage.event(brand, "heard", 1)).await.unwrap();
    let mut hint = stage.event(brand, "hint", 1).optional();
    hint.kind = format!("{}.hint.happened.v1", stage.owner);
    outbox::append(&mut tx, hint).await.unwrap();
    tx.commit().await.unwrap();

    let mut relay = stage.relay();
    let counters = relay.counters();
    assert_eq!(relay.drain().await.unwrap(), 2, "the neighbour and the hint");
    assert_eq!(stage.count(UNSENT).await, 3);
    assert_eq!(counters.unroutable.load(Ordering::Relaxed), 1, "the versions behind it were not tried");
    assert!(outbox::stats(&stage.pool()).await.unwrap().unsent == 3);

    let late = ConsumerGroup::new(format!("{}.late", stage.owner), &[&format!("{}.unheard.happened.v1", stage.owner)]);
    stage.broker.declare(&[late]).await.unwrap();
    assert_eq!(stage.send().await, 3, "with a consumer they go");
}

#[tokio::test]
async fn two_relays_share_the_shards_and_keep_the_order_of_every_aggregate() {
    let stage = Stage::new().await;
    stage.start(stage.consumer("listener", Record)).await;
    let settings = RelaySettings { lease: Duration::from_millis(1_500), poll: Duration::from_millis(50) };
    for _ in 0..2 {
        let relay = Relay::with_settings(stage.pool(), Arc::clone(&stage.broker), settings);
        tokio::spawn(relay.run(stage.shutdown.clone()));
    }
    let brand = brand();
    let aggregates: Vec<String> = (0..120).map(|number| format!("agg{number}")).collect();
    for version in 1..=6 {
        let mut tx = begin(&stage.pool(), Scope::Brand(brand)).await.unwrap();
        let events = aggregates.iter().map(|aggregate| stage.event(brand, aggregate, version)).collect();
        outbox::append_all(&mut tx, events).await.unwrap();
        tx.commit().await.unwrap();
        tokio::time::sleep(Duration::from_millis(150)).await;
    }

    let effects = stage.until_effects(120 * 6).await;
    assert_eq!(effects.len(), 120 * 6);
    for aggregate in &aggregates {
        let versions: Vec<i64> =
            effects.iter().filter(|(id, _)| id == aggregate).map(|(_, version)| *version).collect();
        assert_eq!(versions, [1, 2, 3, 4, 5, 6], "{aggregate}");
    }
    let shares: Vec<i64> = until(|| async {
        let shares: Vec<i64> =
            sqlx::query_scalar("SELECT count(*) FROM relay_lease WHERE owner IS NOT NULL GROUP BY owner")
                .fetch_all(&stage.database.admin_pool)
                .await
                .unwrap();
        (shares.len() == 2 && shares.iter().sum::<i64>() == 16).then_some(shares)
    })
    .await;
    assert_eq!(shares, [8, 8]);
}

#[tokio::test]
async fn a_relay_that_lost_its_lease_marks_nothing() {
    let stage = Stage::new().await;
    stage.broker.declare(&[stage.group("listener")]).await.unwrap();
    stage.append(brand(), "a", [1]).await;
    let thief = Arc::new(Thief { inner: Arc::clone(&stage.broker), pool: stage.database.admin_pool.clone() });
    let mut relay = Relay::new(stage.pool(), thief);
    assert_eq!(relay.drain().await.unwrap(), 0, "published, but the mark was fenced off");
    assert_eq!(stage.count(UNSENT).await, 1, "the new owner will send it");
}

/// Gives every lease to somebody else while an event is being published.
struct Thief {
    inner: Arc<dyn Broker>,
    pool: PgPool,
}

#[async_trait]
impl Broker for Thief {
    async fn publish(&self, batch: Vec<Envelope>) -> Vec<Result<(), PublishError>> {
        sqlx::query("UPDATE relay_lease SET owner = 'thief', token = token + 1").execute(&self.pool).await.unwrap();
        self.inner.publish(batch).await
    }
    async fn declare(&self, groups: &[ConsumerGroup]) -> Result<(), BrokerError> {
        self.inner.declare(groups).await
    }
    async fn consume(
        &self,
        group: ConsumerGroup,
        sink: Arc<dyn Sink>,
        stop: CancellationToken,
    ) -> Result<(), BrokerError> {
        self.inner.consume(group, sink, stop).await
    }
    async fn depth(&self, group: &str) -> Result<Depth, BrokerError> {
        self.inner.depth(group).await
    }
}

#[tokio::test]
async fn sent_events_are_pruned_after_their_time_and_unsent_ones_never() {
    let stage = Stage::new().await;
    stage.broker.declare(&[stage.group("listener")]).await.unwrap();
    stage.append(brand(), "sent", [1, 2]).await;
    stage.send().await;
    stage.append(brand(), "unsent", [1]).await;
    sqlx::query(
        "UPDATE outbox SET appended_at = appended_at - interval '31 days', sent_at = sent_at - interval '31 days' \
         WHERE aggregate_version = 1 AND aggregate_id = 'sent'",
    )
    .execute(&stage.database.admin_pool)
    .await
    .unwrap();
    let month = Duration::from_secs(30 * 86_400);
    assert_eq!(outbox::prune(&stage.pool(), month, 100).await.unwrap(), 1);
    assert_eq!(stage.count("SELECT count(*) FROM outbox").await, 2);
}
