//! Publishing with confirms, and telling whose message came back.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use ottery_proto::common::v1::Envelope;
use prost::Message;

use super::link::{Link, unavailable};
use super::topology::{declare_exchange, exchange_of};
use crate::broker::{BrokerError, PublishError};

/// Without a confirm within this time an event counts as not sent.
const CONFIRM_LIMIT: Duration = Duration::from_secs(5);
const PERSISTENT: u8 = 2;
const CONTENT_TYPE: &str = "application/x-protobuf; messageType=ottery.common.v1.Envelope";

pub(super) struct Publisher {
    link: Link,
    /// Channels nobody uses. One batch has a channel to itself: the client hands a returned message to whichever
    /// confirm comes next on the channel, so returns can only be told apart within a batch, by message id.
    idle: Mutex<Vec<Prepared>>,
}

/// A channel in confirm mode, and the exchanges known to exist.
struct Prepared {
    channel: Channel,
    exchanges: HashSet<String>,
}

impl Publisher {
    pub(super) fn new(link: Link) -> Self {
        Self { link, idle: Mutex::default() }
    }

    pub(super) async fn publish(&self, batch: Vec<Envelope>) -> Vec<Result<(), PublishError>> {
        let failed = |reason: String| batch.iter().map(|_| Err(PublishError::Unavailable(reason.clone()))).collect();
        let mut prepared = match self.prepared().await {
            Ok(prepared) => prepared,
            Err(error) => return failed(error.to_string()),
        };
        let mut answers: Vec<Option<Result<(), PublishError>>> = vec![None; batch.len()];
        let sending = send(&mut prepared, &batch, &mut answers);
        let trouble = match tokio::time::timeout(CONFIRM_LIMIT, sending).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no confirm within {CONFIRM_LIMIT:?}")),
        };
        match &trouble {
            None => self.idle().push(prepared),
            // Nothing on this connection is to be trusted any more.
            Some(reason) => {
                tracing::warn!(reason, "publishing failed; the connection is made anew");
                self.idle().clear();
                self.link.reset().await;
            }
        }
        let reason = trouble.unwrap_or_default();
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(|| Err(PublishError::Unavailable(reason.clone()))))
            .collect()
    }

    async fn prepared(&self) -> Result<Prepared, BrokerError> {
        loop {
            let idle = self.idle().pop();
            match idle {
                Some(prepared) if prepared.channel.status().connected() => return Ok(prepared),
                Some(_) => {}
                None => break,
            }
        }
        let channel = self.link.channel().await?;
        tokio::time::timeout(CONFIRM_LIMIT, channel.confirm_select(ConfirmSelectOptions::default()))
            .await
            .map_err(|_| BrokerError::Unavailable(format!("no answer within {CONFIRM_LIMIT:?}")))?
            .map_err(unavailable)?;
        Ok(Prepared { channel, exchanges: HashSet::new() })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Prepared>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends the whole batch, then collects the confirms; answers that never came stay `None`.
async fn send(
    prepared: &mut Prepared,
    batch: &[Envelope],
    answers: &mut [Option<Result<(), PublishError>>],
) -> lapin::Result<()> {
    let mut confirms = Vec::with_capacity(batch.len());
    for envelope in batch {
        let exchange = exchange_of(&envelope.r#type);
        if !prepared.exchanges.contains(&exchange) {
            declare_exchange(&prepared.channel, &exchange).await?;
            prepared.exchanges.insert(exchange.clone());
        }
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = BasicProperties::default()
            .with_message_id(short(&envelope.event_id))
            .with_type(short(&envelope.r#type))
            .with_content_type(CONTENT_TYPE.into())
            .with_delivery_mode(PERSISTENT);
        let body = envelope.encode_to_vec();
        let confirm = prepared
            .channel
            .basic_publish(exchange.into(), short(&envelope.r#type), options, &body, properties)
            .await?;
        confirms.push(confirm);
    }
    let mut returned: HashSet<String> = HashSet::new();
    let mut taken = Vec::with_capacity(batch.len());
    for confirm in confirms {
        let (is_taken, message) = match confirm.await? {
            Confirmation::Ack(message) => (true, message),
            Confirmation::Nack(message) => (false, message),
            Confirmation::NotRequested => (false, None),
        };
        taken.push(is_taken);
        returned.extend(message.as_ref().and_then(message_id));
    }
    for ((envelope, is_taken), answer) in batch.iter().zip(taken).zip(answers.iter_mut()) {
        *answer = Some(if returned.contains(&envelope.event_id) {
            Err(PublishError::Unroutable { kind: envelope.r#type.clone() })
        } else if is_taken {
            Ok(())
        } else {
            Err(PublishError::Rejected)
        });
    }
    Ok(())
}

fn message_id(message: &BasicReturnMessage) -> Option<String> {
    message.delivery.properties.message_id().as_ref().map(|id| id.as_str().to_owned())
}

/// AMQP's short strings hold 255 bytes; ids and types are far below, and a longer one is cut instead of panicking.
fn short(text: &str) -> ShortString {
    ShortString::try_new(text).unwrap_or_else(|_| text.chars().take(60).collect::<String>().into())
}
