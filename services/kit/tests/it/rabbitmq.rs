//! RabbitMQ behind a network that fails.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicGetOptions, BasicNackOptions};
use lapin::{Connection, ConnectionProperties};
use ottery_kit::broker::Sink;
use ottery_kit::broker::rabbitmq::RabbitMq;
use ottery_kit::consume::parked;
use ottery_kit::outbox::{Relay, RelaySettings};
use ottery_testkit::proxy::{Proxy, Toxic};
use tokio::time::Instant;

use crate::stage::{Kind, Record, Stage, brand, until};

const UNSENT: &str = "SELECT count(*) FROM outbox WHERE sent_at IS NULL";

/// A stage whose broker is reached through a proxy.
async fn stage_behind_proxy() -> (Stage, Proxy) {
    let mut stage = Stage::with(Kind::RabbitMq).await;
    let url = url::Url::parse(&ottery_testkit::amqp().await).unwrap();
    let proxy = Proxy::start(format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5672))).await.unwrap();
    let mut through = url;
    through.set_host(Some("127.0.0.1")).unwrap();
    through.set_port(Some(proxy.port())).unwrap();
    stage.broker = Arc::new(RabbitMq::new(through.as_str()).unwrap());
    (stage, proxy)
}

#[tokio::test]
async fn fault_f05_while_the_broker_is_away_events_gather_and_drain_afterwards() {
    let (stage, proxy) = stage_behind_proxy().await;
    stage.start(stage.consumer("listener", Record)).await;
    let settings = RelaySettings { lease: Duration::from_secs(3), ..RelaySettings::default() };
    tokio::spawn(Relay::with_settings(stage.pool(), Arc::clone(&stage.broker), settings).run(stage.shutdown.clone()));
    let brand = brand();
    stage.append(brand, "a", [1]).await;
    stage.until_effects(1).await;

    proxy.set(Toxic::Refuse);
    proxy.cut();
    stage.append(brand, "a", 2..=6).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(stage.count(UNSENT).await > 0, "nothing can leave");

    proxy.set(Toxic::None);
    let effects = stage.until_effects(6).await;
    assert_eq!(effects.iter().map(|(_, version)| *version).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    until(|| async { (stage.count(UNSENT).await == 0).then_some(()) }).await;
}

#[tokio::test]
async fn fault_f06_a_broker_that_never_confirms_costs_five_seconds_and_the_connection() {
    let (stage, proxy) = stage_behind_proxy().await;
    stage.broker.declare(&[stage.group("listener")]).await.unwrap();
    stage.append(brand(), "a", [1]).await;
    // Warm up: the connection exists before the answers stop.
    assert_eq!(stage.send().await, 1);

    proxy.set(Toxic::DropResponses);
    stage.append(brand(), "b", [1]).await;
    let started = Instant::now();
    stage.relay().drain().await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(15), "no task hangs on it: {:?}", started.elapsed());
    assert_eq!(stage.count(UNSENT).await, 1, "unconfirmed is unsent");

    proxy.set(Toxic::None);
    until(|| async { stage.relay().drain().await.ok().filter(|&sent| sent == 1) }).await;
}

#[tokio::test]
async fn a_broken_connection_is_made_anew_and_consuming_goes_on() {
    let (stage, proxy) = stage_behind_proxy().await;
    stage.start(stage.consumer("listener", Record)).await;
    let brand = brand();
    stage.append(brand, "a", [1]).await;
    stage.send().await;
    stage.until_effects(1).await;
    for version in 2..=3 {
        proxy.cut();
        stage.append(brand, "a", [version]).await;
        until(|| async { stage.relay().drain().await.ok().filter(|&sent| sent == 1) }).await;
        stage.until_effects(usize::try_from(version).unwrap()).await;
    }
}

#[tokio::test]
async fn a_message_its_consumer_dies_on_again_and_again_is_parked() {
    let stage = Stage::with(Kind::RabbitMq).await;
    let group = stage.group("listener");
    stage.broker.declare(std::slice::from_ref(&group)).await.unwrap();
    stage.append(brand(), "deadly", [1]).await;
    assert_eq!(stage.send().await, 1);

    // What a consumer that crashes does to a message, quicker.
    let url = ottery_testkit::amqp().await;
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let mut deliveries = 0;
    while let Some(taken) = channel.basic_get(group.name.as_str().into(), BasicGetOptions::default()).await.unwrap() {
        deliveries += 1;
        assert!(deliveries < 100, "the delivery limit is not in force");
        taken.delivery.acker.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await.unwrap();
    }
    assert_eq!(deliveries, 21);

    let consumer = stage.start(stage.consumer("listener", Record)).await;
    assert!(consumer.ready().await);
    let parked = until(|| async {
        parked::list(&stage.pool(), &parked::Filter::default(), 1).await.unwrap().into_iter().next()
    })
    .await;
    assert_eq!((parked.aggregate_id.as_str(), parked.reason.as_str()), ("deadly", "crashed"));
    assert!(parked::retry_one(&stage.pool(), parked.id).await.unwrap());
    stage.until_effects(1).await;
}
