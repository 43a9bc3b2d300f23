//! A broker that carries nothing: for work on a copy, of which nobody may hear.

use std::sync::Arc;

use async_trait::async_trait;
use ottery_proto::common::v1::Envelope;
use tokio_util::sync::CancellationToken;

use super::{Broker, BrokerError, ConsumerGroup, Depth, PublishError, Sink};

/// Refuses whatever it is given.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

const WHY: &str = "this work is cut off from the system; nothing of it is told";

#[async_trait]
impl Broker for Silent {
    async fn publish(&self, batch: Vec<Envelope>) -> Vec<Result<(), PublishError>> {
        batch.iter().map(|_| Err(PublishError::Unavailable(WHY.to_owned()))).collect()
    }

    async fn declare(&self, _: &[ConsumerGroup]) -> Result<(), BrokerError> {
        Err(BrokerError::Unavailable(WHY.to_owned()))
    }

    async fn consume(&self, _: ConsumerGroup, _: Arc<dyn Sink>, _: CancellationToken) -> Result<(), BrokerError> {
        Err(BrokerError::Unavailable(WHY.to_owned()))
    }

    async fn depth(&self, _: &str) -> Result<Depth, BrokerError> {
        Ok(Depth::default())
    }
}
