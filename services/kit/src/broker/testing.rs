//! A broker that misbehaves as brokers may: a test aid, never configured in production.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ottery_kernel::BrandId;
use ottery_proto::common::v1::Envelope;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tokio_util::sync::CancellationToken;

use super::{Broker, BrokerError, ConsumerGroup, Depth, PublishError, Sink};

/// Delivers every event several times and in another order, the same way for the same seed.
///
/// Events are held back until `window` of them have come (or [`Shuffled::flush`] is called), multiplied, permuted and
/// handed to the broker inside. Consumers must arrive at the same state as with an orderly broker.
pub struct Shuffled {
    inner: Arc<dyn Broker>,
    duplicates: usize,
    window: usize,
    state: Mutex<State>,
}

struct State {
    held: Vec<Envelope>,
    random: StdRng,
    dropping: Vec<String>,
}

impl Shuffled {
    /// Every event `duplicates` times (at least once), shuffled among `window` events.
    pub fn new(inner: Arc<dyn Broker>, seed: u64, duplicates: usize, window: usize) -> Self {
        let state = State { held: Vec::new(), random: StdRng::seed_from_u64(seed), dropping: Vec::new() };
        Self { inner, duplicates: duplicates.max(1), window: window.max(1), state: Mutex::new(state) }
    }

    /// Loses the next event of this aggregate, and only that one.
    pub fn drop_next_of(&self, aggregate_id: impl Into<String>) {
        self.state().dropping.push(aggregate_id.into());
    }

    /// Sends what is still held back.
    pub async fn flush(&self) -> Vec<Result<(), PublishError>> {
        let held = std::mem::take(&mut self.state().held);
        self.scatter(held).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn scatter(&self, events: Vec<Envelope>) -> Vec<Result<(), PublishError>> {
        let mut copies = Vec::with_capacity(events.len() * self.duplicates);
        {
            let mut state = self.state();
            for event in events {
                copies.extend(std::iter::repeat_n(event, self.duplicates));
            }
            copies.shuffle(&mut state.random);
        }
        let mut answers = Vec::with_capacity(copies.len());
        while !copies.is_empty() {
            // Pieces of random size, one after the other: the permutation is what the queues see.
            let size = self.state().random.random_range(1..=copies.len().min(7));
            for copy in copies.drain(..size) {
                answers.extend(self.inner.publish(vec![copy]).await);
            }
        }
        answers
    }
}

#[async_trait]
impl Broker for Shuffled {
    async fn publish(&self, batch: Vec<Envelope>) -> Vec<Result<(), PublishError>> {
        let answers = vec![Ok(()); batch.len()];
        let full = {
            let mut state = self.state();
            for event in batch {
                match state.dropping.iter().position(|aggregate| *aggregate == event.aggregate_id) {
                    Some(place) => {
                        state.dropping.swap_remove(place);
                    }
                    None => state.held.push(event),
                }
            }
            (state.held.len() >= self.window).then(|| std::mem::take(&mut state.held))
        };
        if let Some(events) = full {
            self.scatter(events).await;
        }
        answers
    }

    async fn declare(&self, groups: &[ConsumerGroup]) -> Result<(), BrokerError> {
        self.inner.declare(groups).await
    }

    async fn consume(
        &self,
        group: ConsumerGroup,
        sink: Arc<dyn Sink>,
        shutdown: CancellationToken,
    ) -> Result<(), BrokerError> {
        self.inner.consume(group, sink, shutdown).await
    }

    async fn depth(&self, group: &str) -> Result<Depth, BrokerError> {
        self.inner.depth(group).await
    }

    async fn depth_of_brand(&self, group: &str, brand: BrandId) -> Result<Depth, BrokerError> {
        self.inner.depth_of_brand(group, brand).await
    }
}
