//! RabbitMQ 3.10 and later.
//!
//! A topic exchange per owning service (`ottery.billing`), one quorum queue per consumer group with an explicit
//! delivery limit and length; a full queue refuses, so overload goes back to the outbox. What exceeds the delivery
//! limit (a consumer that dies on it) goes to `<group>.dead`, from where the group parks it. Events are published
//! mandatory and confirmed. Publishing and consuming use separate connections: an alarm that blocks publishers must
//! not stop those who make room.
//!
//! The client's own recovery is not relied on: any error drops the connection, and the next use makes a new one after
//! a pause with jitter and declares everything again.

mod consumer;
mod link;
mod publisher;
mod topology;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use ottery_proto::common::v1::Envelope;
use tokio_util::sync::CancellationToken;

use super::{Broker, BrokerError, ConsumerGroup, Depth, PublishError, Sink, check};
use link::Link;
use publisher::Publisher;

/// A broker behind an AMQP 0-9-1 address.
pub struct RabbitMq {
    publisher: Publisher,
    consuming: Link,
    /// Messages handed out and not acknowledged, per group, in this process.
    in_flight: Mutex<HashMap<String, Arc<AtomicU64>>>,
}

impl RabbitMq {
    /// A broker at `url` (`amqp://user:password@host:5672/vhost`, `amqps://` with TLS). Nothing is connected yet;
    /// a broker that is away now is used when it comes.
    pub fn new(url: &str) -> Result<Self, BrokerError> {
        Ok(Self {
            publisher: Publisher::new(Link::new(url, "ottery publish")?),
            consuming: Link::new(url, "ottery consume")?,
            in_flight: Mutex::default(),
        })
    }

    fn in_flight(&self, group: &str) -> Arc<AtomicU64> {
        let mut known = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(group.to_owned()).or_default())
    }
}

#[async_trait]
impl Broker for RabbitMq {
    async fn publish(&self, batch: Vec<Envelope>) -> Vec<Result<(), PublishError>> {
        self.publisher.publish(batch).await
    }

    async fn declare(&self, groups: &[ConsumerGroup]) -> Result<(), BrokerError> {
        let channel = self.consuming.channel().await?;
        for group in groups {
            check(group)?;
            if !group.transient {
                topology::declare(&channel, group).await?;
            }
        }
        link::close(channel).await;
        Ok(())
    }

    async fn consume(
        &self,
        group: ConsumerGroup,
        sink: Arc<dyn Sink>,
        shutdown: CancellationToken,
    ) -> Result<(), BrokerError> {
        check(&group)?;
        let in_flight = self.in_flight(&group.name);
        consumer::supervise(&self.consuming, &group, &sink, &in_flight, &shutdown).await;
        Ok(())
    }

    // `depth_of_brand` stays the whole queue: RabbitMQ counts messages and does not look into them.
    async fn depth(&self, group: &str) -> Result<Depth, BrokerError> {
        let channel = self.consuming.channel().await?;
        let asked = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue =
            channel.queue_declare(group.into(), asked, FieldTable::default()).await.map_err(link::unavailable)?;
        link::close(channel).await;
        Ok(Depth { waiting: u64::from(queue.message_count()), in_flight: self.in_flight(group).load(Ordering::SeqCst) })
    }
}
