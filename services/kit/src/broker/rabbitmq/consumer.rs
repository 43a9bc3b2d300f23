//! Consuming: subscribe, hand out in lanes, acknowledge; and all over again when the connection breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel, Consumer};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::link::{self, Link, unavailable};
use super::topology;
use crate::broker::lanes::Lanes;
use crate::broker::{BrokerError, ConsumerGroup, Incoming, Sink, Verdict, backoff};

const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Setting a subscription up may not hang on a broker that accepts and never answers.
const SETUP_LIMIT: Duration = Duration::from_secs(15);

/// Keeps the group subscribed until `shutdown`.
pub(super) async fn supervise(
    link: &Link,
    group: &ConsumerGroup,
    sink: &Arc<dyn Sink>,
    in_flight: &Arc<AtomicU64>,
    shutdown: &CancellationToken,
) {
    let mut failures = 0_u32;
    while !shutdown.is_cancelled() {
        // A delivery nobody can handle now would only be counted against the message.
        if !sink.ready().await {
            pause(shutdown, backoff(failures.min(5), PAUSE_FIRST, PAUSE_MAX)).await;
            failures = failures.saturating_add(1);
            continue;
        }
        let subscribed = tokio::select! {
            () = shutdown.cancelled() => return,
            subscribed = tokio::time::timeout(SETUP_LIMIT, subscribe(link, group)) => subscribed
                .unwrap_or_else(|_| Err(BrokerError::Unavailable(format!("no subscription within {SETUP_LIMIT:?}")))),
        };
        let error = match subscribed {
            Ok(subscription) => {
                failures = 0;
                tracing::debug!(consumer = %group.name, "subscribed");
                match work(subscription, group, sink, in_flight, shutdown).await {
                    Ok(()) => return,
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        tracing::warn!(consumer = %group.name, error = %error, "the subscription ended; subscribing again");
        failures = failures.saturating_add(1);
        pause(shutdown, backoff(failures - 1, PAUSE_FIRST, PAUSE_MAX)).await;
    }
}

struct Subscription {
    channel: Channel,
    messages: Consumer,
    dead: Option<Consumer>,
}

async fn subscribe(link: &Link, group: &ConsumerGroup) -> Result<Subscription, BrokerError> {
    let channel = link.channel().await?;
    channel.basic_qos(group.prefetch.max(1), BasicQosOptions::default()).await.map_err(unavailable)?;
    if group.transient {
        let queue = topology::declare_transient(&channel, group).await?;
        let messages = listen(&channel, &queue).await?;
        return Ok(Subscription { channel, messages, dead: None });
    }
    topology::declare(&channel, group).await?;
    let messages = listen(&channel, &group.name).await?;
    let dead = listen(&channel, &topology::dead_queue(&group.name)).await?;
    Ok(Subscription { channel, messages, dead: Some(dead) })
}

async fn listen(channel: &Channel, queue: &str) -> Result<Consumer, BrokerError> {
    channel
        .basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await
        .map_err(unavailable)
}

/// Hands out until `shutdown` (`Ok`) or until the subscription breaks (`Err`).
async fn work(
    subscription: Subscription,
    group: &ConsumerGroup,
    sink: &Arc<dyn Sink>,
    in_flight: &Arc<AtomicU64>,
    shutdown: &CancellationToken,
) -> Result<(), BrokerError> {
    let Subscription { channel, mut messages, dead } = subscription;
    let room = usize::from(group.prefetch.max(1));
    let (done, mut finished) = mpsc::channel::<Acker>(room);
    let stop = shutdown.child_token();
    let lanes = Lanes::start(group.concurrency, room, sink, &done, &stop);
    drop(done);

    let feeding = async {
        let mut dead = dead_stream(dead);
        let ended = loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break Ok(()),
                next = messages.next() => match taken(next) {
                    Ok(delivery) => {
                        in_flight.fetch_add(1, Ordering::SeqCst);
                        let (message, acker) = split(delivery);
                        if !lanes.send(message, acker).await {
                            break Err(BrokerError::Unavailable("the lanes have stopped".to_owned()));
                        }
                    }
                    Err(error) => break Err(error),
                },
                next = dead.next() => match taken(next) {
                    Ok(delivery) => bury(delivery, sink).await,
                    Err(error) => break Err(error),
                },
            }
        };
        stop.cancel();
        lanes.finish().await;
        ended
    };
    let acknowledging = async {
        while let Some(acker) = finished.recv().await {
            // On a broken channel the message comes again, which the inbox knows.
            if let Err(error) = acker.ack(BasicAckOptions::default()).await {
                tracing::debug!(consumer = %group.name, error = %error, "a message was not acknowledged");
            }
            in_flight.fetch_sub(1, Ordering::SeqCst);
        }
    };
    let (ended, ()) = tokio::join!(feeding, acknowledging);
    // Handed out, never finished: they go back to the queue with the channel.
    in_flight.store(0, Ordering::SeqCst);
    link::close(channel).await;
    ended
}

fn taken(next: Option<lapin::Result<Delivery>>) -> Result<Delivery, BrokerError> {
    match next {
        Some(Ok(delivery)) => Ok(delivery),
        None => Err(BrokerError::Unavailable("the broker cancelled the subscription".to_owned())),
        Some(Err(error)) => Err(unavailable(error)),
    }
}

fn split(delivery: Delivery) -> (Incoming, Acker) {
    let kind = delivery.properties.kind().as_ref().map(|kind| kind.as_str().to_owned());
    let kind = kind.unwrap_or_else(|| delivery.routing_key.as_str().to_owned());
    (Incoming::new(delivery.data.into(), kind), delivery.acker)
}

/// Parks a message the broker gave up on. Rare, so it may be done in line.
async fn bury(delivery: Delivery, sink: &Arc<dyn Sink>) {
    let (message, acker) = split(delivery);
    let answered = match sink.dead(message).await {
        Verdict::Done => acker.ack(BasicAckOptions::default()).await,
        Verdict::Unavailable => {
            tokio::time::sleep(PAUSE_MAX).await;
            acker.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await
        }
    };
    if let Err(error) = answered {
        tracing::debug!(error = %error, "a dead message was not acknowledged and comes again");
    }
}

/// Without a dead queue there is a stream that never says anything.
fn dead_stream(dead: Option<Consumer>) -> impl Stream<Item = lapin::Result<Delivery>> + Unpin {
    match dead {
        Some(consumer) => consumer.left_stream(),
        None => futures::stream::pending().right_stream(),
    }
}

async fn pause(shutdown: &CancellationToken, pause: Duration) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(pause) => {}
    }
}
