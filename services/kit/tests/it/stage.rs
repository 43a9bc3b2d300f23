//! Wiring of the tests: a service's database, a broker, handlers that write down what they did.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, Clock, SystemClock};
use ottery_kit::broker::in_process::{self, InProcess};
use ottery_kit::broker::rabbitmq::RabbitMq;
use ottery_kit::broker::{Broker, Incoming};
use ottery_kit::consume::{self, Consumer, ConsumerGroup, Delivery, HandleError, Handler, Schedule};
use ottery_kit::db::{Scope, begin};
use ottery_kit::outbox::{self, Event, Relay};
use ottery_proto::common::v1::{Envelope, PageRequest};
use ottery_testkit::TestDatabase;
use prost::Message as _;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgTransaction;
use tokio_util::sync::CancellationToken;

pub static MIGRATIONS: Migrator = sqlx::migrate!("./tests/it/migrations");

/// Long enough for a loaded machine; nothing is measured with it.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    InProcess,
    RabbitMq,
}

pub struct Stage {
    pub database: TestDatabase,
    pub broker: Arc<dyn Broker>,
    /// First word of this test's event types: tests share one RabbitMQ.
    pub owner: String,
    pub broker_database: Option<TestDatabase>,
    pub shutdown: CancellationToken,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(Kind::InProcess).await
    }

    pub async fn with(kind: Kind) -> Self {
        let database = ottery_testkit::database("kit", &MIGRATIONS).await;
        let owner = ottery_testkit::services::unique("t");
        let (broker, broker_database): (Arc<dyn Broker>, _) = match kind {
            Kind::InProcess => {
                let own = ottery_testkit::database(in_process::NAME, &in_process::MIGRATIONS).await;
                (Arc::new(InProcess::open(own.pool.clone()).await.unwrap()), Some(own))
            }
            Kind::RabbitMq => (Arc::new(RabbitMq::new(&ottery_testkit::amqp().await).unwrap()), None),
        };
        Self { database, broker, owner, broker_database, shutdown: CancellationToken::new() }
    }

    pub fn pool(&self) -> PgPool {
        self.database.pool.clone()
    }

    pub fn kind(&self) -> String {
        format!("{}.thing.changed.v1", self.owner)
    }

    pub fn group(&self, purpose: &str) -> ConsumerGroup {
        ConsumerGroup::new(format!("{}.{purpose}", self.owner), &[&self.kind()])
    }

    /// Events of an aggregate, committed one after the other.
    pub async fn append(&self, brand: BrandId, aggregate: &str, versions: impl IntoIterator<Item = i64>) {
        for version in versions {
            let mut tx = begin(&self.pool(), Scope::Brand(brand)).await.unwrap();
            outbox::append(&mut tx, self.event(brand, aggregate, version)).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    pub fn event(&self, brand: BrandId, aggregate: &str, version: i64) -> Event {
        Event::new(self.kind(), aggregate, version, brand, now(), &PageRequest::default())
    }

    /// The event as a broker hands it out.
    pub fn envelope(&self, brand: BrandId, aggregate: &str, version: i64) -> Envelope {
        let event = self.event(brand, aggregate, version);
        Envelope {
            event_id: uuid::Uuid::now_v7().to_string(),
            r#type: event.kind,
            aggregate_id: event.aggregate_id,
            aggregate_version: version,
            brand_id: brand.to_string(),
            occurred_at: Some(prost_types::Timestamp { seconds: event.occurred_at.timestamp(), nanos: 0 }),
            ..Envelope::default()
        }
    }

    pub fn relay(&self) -> Relay {
        Relay::new(self.pool(), Arc::clone(&self.broker))
    }

    /// Sends what is committed.
    pub async fn send(&self) -> u64 {
        self.relay().drain().await.unwrap()
    }

    /// Declares the consumer's group, starts consuming and retrying.
    pub async fn start(&self, consumer: Consumer) -> Arc<Consumer> {
        let consumer = Arc::new(consumer);
        self.broker.declare(std::slice::from_ref(consumer.group())).await.unwrap();
        tokio::spawn(consume::run(Arc::clone(&consumer), Arc::clone(&self.broker), self.shutdown.clone()));
        tokio::spawn(consume::run_retries(vec![Arc::clone(&consumer)], self.shutdown.clone()));
        consumer
    }

    pub fn consumer(&self, purpose: &str, handler: impl Handler) -> Consumer {
        self.consumer_of(self.group(purpose), handler)
    }

    pub fn consumer_of(&self, group: ConsumerGroup, handler: impl Handler) -> Consumer {
        let soon = Schedule::every(Duration::from_millis(200));
        Consumer::new(self.pool(), group, handler).with_schedule(soon)
    }

    /// (aggregate, version) of the effects, in the order they were made.
    pub async fn effects(&self) -> Vec<(String, i64)> {
        sqlx::query_as("SELECT aggregate_id, version FROM effect ORDER BY id")
            .fetch_all(&self.database.admin_pool)
            .await
            .unwrap()
    }

    pub async fn until_effects(&self, count: usize) -> Vec<(String, i64)> {
        until(|| async {
            let effects = self.effects().await;
            (effects.len() >= count).then_some(effects)
        })
        .await
    }

    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.database.admin_pool).await.unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub fn message(envelope: &Envelope) -> Incoming {
    Incoming::new(envelope.encode_to_vec().into(), envelope.r#type.clone())
}

pub fn now() -> DateTime<Utc> {
    SystemClock.now()
}

pub fn brand() -> BrandId {
    BrandId::new(now())
}

/// Waits for something to become true.
pub async fn until<T, F: Future<Output = Option<T>>>(mut check: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "it did not happen within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn write_effect(tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
    sqlx::query("INSERT INTO effect (brand_id, consumer, aggregate_id, version, event_id) VALUES ($1, $2, $3, $4, $5)")
        .bind(delivery.brand()?.as_uuid())
        .bind(&delivery.consumer)
        .bind(delivery.aggregate_id())
        .bind(delivery.aggregate_version())
        .bind(delivery.event_id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Writes an effect for every event.
pub struct Record;

#[async_trait]
impl Handler for Record {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        write_effect(tx, delivery).await
    }
}
