//! Exchanges, queues and bindings.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::link::unavailable;
use crate::broker::{BrokerError, ConsumerGroup, owner_of};

/// Deliveries before the broker takes a message for deadly. RabbitMQ 3 has no limit of its own, 4 has 20.
const DELIVERY_LIMIT: i64 = 20;
/// Messages a group may be behind before publishers are refused.
const LENGTH_MAX: i64 = 200_000;
/// Where dead messages pass through on their way to `<group>.dead`.
const DEAD_EXCHANGE: &str = "ottery.dead";

/// Exchange on which a service's events appear.
pub(super) fn exchange_of(kind: &str) -> String {
    format!("ottery.{}", owner_of(kind))
}

pub(super) fn dead_queue(group: &str) -> String {
    format!("{group}.dead")
}

pub(super) async fn declare_exchange(channel: &Channel, name: &str) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(name.into(), ExchangeKind::Topic, options, FieldTable::default()).await
}

/// A durable group: its queue, the queue of its dead messages, its bindings.
pub(super) async fn declare(channel: &Channel, group: &ConsumerGroup) -> Result<(), BrokerError> {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel
        .exchange_declare(DEAD_EXCHANGE.into(), ExchangeKind::Direct, durable, FieldTable::default())
        .await
        .map_err(unavailable)?;
    let dead = dead_queue(&group.name);
    let mut arguments = FieldTable::default();
    text(&mut arguments, "x-queue-type", "quorum");
    // Nowhere to go from here: practically without limit.
    number(&mut arguments, "x-delivery-limit", 1_000_000);
    queue(channel, &dead, arguments, group).await?;
    channel
        .queue_bind(
            dead.as_str().into(),
            DEAD_EXCHANGE.into(),
            group.name.as_str().into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .map_err(unavailable)?;

    let mut arguments = FieldTable::default();
    text(&mut arguments, "x-queue-type", "quorum");
    number(&mut arguments, "x-delivery-limit", DELIVERY_LIMIT);
    number(&mut arguments, "x-max-length", LENGTH_MAX);
    text(&mut arguments, "x-overflow", "reject-publish");
    text(&mut arguments, "x-dead-letter-exchange", DEAD_EXCHANGE);
    text(&mut arguments, "x-dead-letter-routing-key", &group.name);
    text(&mut arguments, "x-dead-letter-strategy", "at-least-once");
    queue(channel, &group.name, arguments, group).await?;
    bind(channel, &group.name, group).await
}

/// A queue of this connection that vanishes with it; returns its name.
pub(super) async fn declare_transient(channel: &Channel, group: &ConsumerGroup) -> Result<String, BrokerError> {
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.map_err(unavailable)?;
    let name = queue.name().as_str().to_owned();
    bind(channel, &name, group).await?;
    Ok(name)
}

async fn queue(channel: &Channel, name: &str, arguments: FieldTable, group: &ConsumerGroup) -> Result<(), BrokerError> {
    match channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await {
        Ok(_) => Ok(()),
        Err(error) if error.to_string().contains("PRECONDITION") => Err(BrokerError::Group {
            group: group.name.clone(),
            reason: format!("queue `{name}` exists with other settings; drain it, delete it and start again ({error})"),
        }),
        Err(error) => Err(unavailable(error)),
    }
}

async fn bind(channel: &Channel, queue: &str, group: &ConsumerGroup) -> Result<(), BrokerError> {
    for pattern in &group.bindings {
        let exchange = exchange_of(pattern);
        declare_exchange(channel, &exchange).await.map_err(unavailable)?;
        channel
            .queue_bind(
                queue.into(),
                exchange.into(),
                pattern.as_str().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .map_err(unavailable)?;
    }
    Ok(())
}

fn text(arguments: &mut FieldTable, key: &str, value: &str) {
    arguments.insert(key.into(), AMQPValue::LongString(value.into()));
}

fn number(arguments: &mut FieldTable, key: &str, value: i64) {
    arguments.insert(key.into(), AMQPValue::LongLongInt(value));
}
