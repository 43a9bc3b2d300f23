//! The same promises, kept by both implementations.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ottery_kit::broker::in_process::InProcess;
use ottery_kit::broker::{ConsumerGroup, Incoming, PublishError, Sink, Verdict};
use ottery_proto::common::v1::Envelope;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::stage::{Kind, Stage, brand, now, until};

macro_rules! on_both {
    ($($name:ident)*) => {
        mod in_process { $(#[tokio::test] async fn $name() { super::$name(super::Kind::InProcess).await; })* }
        mod rabbitmq { $(#[tokio::test] async fn $name() { super::$name(super::Kind::RabbitMq).await; })* }
    };
}

on_both! {
    every_group_gets_every_event_it_wants
    messages_of_a_brand_are_counted_where_they_can_be
    unroutable_events_are_told_apart_from_their_neighbours
    events_of_one_aggregate_come_in_order
    a_stuck_consumer_holds_up_nobody_else
    what_was_not_acknowledged_comes_again
    an_unavailable_consumer_gets_its_message_again_in_its_place
    transient_groups_get_hints
}

/// Writes down what comes; can be told to hang or to be unavailable.
#[derive(Default)]
struct Notebook {
    seen: Mutex<Vec<(String, i64)>>,
    refusals: Mutex<usize>,
    hangs: bool,
}

impl Notebook {
    fn seen(&self) -> Vec<(String, i64)> {
        self.seen.lock().unwrap().clone()
    }
}

#[async_trait]
impl Sink for Notebook {
    async fn deliver(&self, message: Incoming) -> Verdict {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        {
            let mut refusals = self.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                return Verdict::Unavailable;
            }
        }
        let envelope = message.envelope.unwrap();
        tokio::time::sleep(Duration::from_millis(u64::try_from(envelope.aggregate_version % 3).unwrap())).await;
        self.seen.lock().unwrap().push((envelope.aggregate_id, envelope.aggregate_version));
        Verdict::Done
    }
}

fn envelope(kind: &str, aggregate: &str, version: i64) -> Envelope {
    let at = now();
    Envelope {
        event_id: Uuid::now_v7().to_string(),
        r#type: kind.to_owned(),
        aggregate_id: aggregate.to_owned(),
        aggregate_version: version,
        occurred_at: Some(prost_types::Timestamp { seconds: at.timestamp(), nanos: 0 }),
        ..Envelope::default()
    }
}

fn consume(
    stage: &Stage,
    group: &ConsumerGroup,
    sink: &Arc<Notebook>,
    stop: &CancellationToken,
) -> tokio::task::JoinHandle<()> {
    let (broker, group, sink, stop) = (Arc::clone(&stage.broker), group.clone(), Arc::clone(sink), stop.clone());
    tokio::spawn(async move { broker.consume(group, sink, stop).await.unwrap() })
}

async fn until_seen(notebook: &Notebook, count: usize) -> Vec<(String, i64)> {
    until(|| async { Some(notebook.seen()).filter(|seen| seen.len() >= count) }).await
}

async fn every_group_gets_every_event_it_wants(kind: Kind) {
    let stage = Stage::with(kind).await;
    let all = ConsumerGroup::new(format!("{}.all", stage.owner), &[&format!("{}.#", stage.owner)]);
    let some = stage.group("some");
    stage.broker.declare(&[all.clone(), some.clone()]).await.unwrap();
    stage.broker.declare(&[all.clone(), some.clone()]).await.unwrap();

    let other = format!("{}.other.happened.v1", stage.owner);
    let batch = vec![envelope(&stage.kind(), "a", 1), envelope(&other, "b", 1)];
    assert_eq!(stage.broker.publish(batch).await, [Ok(()), Ok(())]);
    until(|| async {
        let waiting = (
            stage.broker.depth(&all.name).await.unwrap().waiting,
            stage.broker.depth(&some.name).await.unwrap().waiting,
        );
        (waiting == (2, 1)).then_some(())
    })
    .await;

    let (for_all, for_some) = (Arc::<Notebook>::default(), Arc::<Notebook>::default());
    let running =
        [consume(&stage, &all, &for_all, &stage.shutdown), consume(&stage, &some, &for_some, &stage.shutdown)];
    until_seen(&for_all, 2).await;
    assert_eq!(until_seen(&for_some, 1).await, [("a".to_owned(), 1)]);
    until(|| async { stage.broker.depth(&all.name).await.unwrap().is_empty().then_some(()) }).await;
    stage.shutdown.cancel();
    for task in running {
        task.await.unwrap();
    }
}

async fn messages_of_a_brand_are_counted_where_they_can_be(kind: Kind) {
    let stage = Stage::with(kind).await;
    let group = stage.group("listener");
    stage.broker.declare(std::slice::from_ref(&group)).await.unwrap();
    let (mine, other) = (brand(), brand());
    let of = |brand_id: String, aggregate: &str| Envelope { brand_id, ..envelope(&stage.kind(), aggregate, 1) };
    let batch = vec![
        of(mine.to_string(), "a"),
        of(mine.to_string(), "b"),
        of(other.to_string(), "c"),
        of(String::new(), "of the platform"),
    ];
    assert!(stage.broker.publish(batch).await.iter().all(Result::is_ok));
    until(|| async { (stage.broker.depth(&group.name).await.unwrap().waiting == 4).then_some(()) }).await;
    let mut counted = Vec::new();
    for brand in [mine, other, brand()] {
        counted.push(stage.broker.depth_of_brand(&group.name, brand).await.unwrap().waiting);
    }
    // RabbitMQ cannot look into a queue: everything in it, which is never too little.
    assert_eq!(counted, if matches!(kind, Kind::InProcess) { [3, 2, 1] } else { [4, 4, 4] });

    // At work is on its way too, and still its brand's.
    let stuck = Arc::new(Notebook { hangs: true, ..Notebook::default() });
    let running = consume(&stage, &group, &stuck, &stage.shutdown);
    until(|| async {
        let depth = stage.broker.depth_of_brand(&group.name, other).await.unwrap();
        (depth.in_flight > 0 && !depth.is_empty()).then_some(())
    })
    .await;
    running.abort();
}

async fn unroutable_events_are_told_apart_from_their_neighbours(kind: Kind) {
    let stage = Stage::with(kind).await;
    stage.broker.declare(&[stage.group("listener")]).await.unwrap();
    let nobody = format!("{}.unheard.happened.v1", stage.owner);
    let somebody = stage.kind();
    let batch = (0..30)
        .map(|number| envelope(if number % 3 == 1 { &nobody } else { &somebody }, &format!("a{number}"), 1))
        .collect();
    let answers = stage.broker.publish(batch).await;
    assert_eq!(answers.len(), 30);
    for (number, answer) in answers.into_iter().enumerate() {
        let expected = if number % 3 == 1 { Err(PublishError::Unroutable { kind: nobody.clone() }) } else { Ok(()) };
        assert_eq!(answer, expected, "event {number}");
    }
}

async fn events_of_one_aggregate_come_in_order(kind: Kind) {
    let stage = Stage::with(kind).await;
    let group = stage.group("listener").prefetch(10).concurrency(4);
    stage.broker.declare(std::slice::from_ref(&group)).await.unwrap();
    let notebook = Arc::<Notebook>::default();
    consume(&stage, &group, &notebook, &stage.shutdown);
    for version in 1..=20 {
        let batch = (0..6).map(|aggregate| envelope(&stage.kind(), &format!("a{aggregate}"), version)).collect();
        assert!(stage.broker.publish(batch).await.iter().all(Result::is_ok));
    }
    let mut last: HashMap<String, i64> = HashMap::new();
    for (aggregate, version) in until_seen(&notebook, 120).await {
        let before = last.insert(aggregate.clone(), version).unwrap_or(0);
        assert_eq!(version, before + 1, "{aggregate}");
    }
}

async fn a_stuck_consumer_holds_up_nobody_else(kind: Kind) {
    let stage = Stage::with(kind).await;
    let (stuck, healthy) = (stage.group("stuck").prefetch(2), stage.group("healthy").prefetch(2));
    stage.broker.declare(&[stuck.clone(), healthy.clone()]).await.unwrap();
    let never = Arc::new(Notebook { hangs: true, ..Notebook::default() });
    let notebook = Arc::<Notebook>::default();
    let stop = stage.shutdown.child_token();
    let hanging = consume(&stage, &stuck, &never, &stop);
    consume(&stage, &healthy, &notebook, &stage.shutdown);
    let batch = (0..40).map(|number| envelope(&stage.kind(), &format!("a{number}"), 1)).collect();
    assert!(stage.broker.publish(batch).await.iter().all(Result::is_ok));
    until_seen(&notebook, 40).await;
    hanging.abort();
}

async fn what_was_not_acknowledged_comes_again(kind: Kind) {
    let stage = Stage::with(kind).await;
    let group = stage.group("listener").prefetch(5);
    stage.broker.declare(std::slice::from_ref(&group)).await.unwrap();
    let batch = (0..10).map(|number| envelope(&stage.kind(), &format!("a{number}"), 1)).collect();
    assert!(stage.broker.publish(batch).await.iter().all(Result::is_ok));

    // The first consumer takes some and dies with them in its hands.
    let never = Arc::new(Notebook { hangs: true, ..Notebook::default() });
    let first = consume(&stage, &group, &never, &stage.shutdown);
    until(|| async { (stage.broker.depth(&group.name).await.unwrap().in_flight > 0).then_some(()) }).await;
    first.abort();
    let _ = first.await;
    // The process is gone: a new one opens the same broker.
    let mut stage = stage;
    if let Some(own) = &stage.broker_database {
        stage.broker = Arc::new(InProcess::open(own.pool.clone()).await.unwrap());
    }
    let notebook = Arc::<Notebook>::default();
    consume(&stage, &group, &notebook, &stage.shutdown);
    let mut seen = until_seen(&notebook, 10).await;
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 10, "none is lost");
}

async fn an_unavailable_consumer_gets_its_message_again_in_its_place(kind: Kind) {
    let stage = Stage::with(kind).await;
    let group = stage.group("listener");
    stage.broker.declare(std::slice::from_ref(&group)).await.unwrap();
    for version in 1..=3 {
        stage.broker.publish(vec![envelope(&stage.kind(), "a", version)]).await;
    }
    let notebook = Arc::new(Notebook { refusals: Mutex::new(2), ..Notebook::default() });
    consume(&stage, &group, &notebook, &stage.shutdown);
    let seen = until_seen(&notebook, 3).await;
    assert_eq!(seen.iter().map(|(_, version)| *version).collect::<Vec<_>>(), [1, 2, 3]);
}

async fn transient_groups_get_hints(kind: Kind) {
    let stage = Stage::with(kind).await;
    let group = stage.group("screen").transient();
    let notebook = Arc::<Notebook>::default();
    consume(&stage, &group, &notebook, &stage.shutdown);
    // Hints are for who listens at that moment, so they are repeated until one is heard.
    until(|| async {
        stage.broker.publish(vec![envelope(&stage.kind(), "a", 1)]).await;
        (!notebook.seen().is_empty()).then_some(())
    })
    .await;
}
