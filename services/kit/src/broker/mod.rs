//! Carrying events between services: one trait, two implementations with the same promises.
//!
//! [`rabbitmq`] is for the distributed topology, [`in_process`] for everything in one process. Both keep a message
//! until it was acknowledged, survive a restart, hand a group the messages of one aggregate in the order they came
//! and up to [`ConsumerGroup::concurrency`] aggregates at a time, and let no consumer hold up another.
//!
//! Every group must be declared before the first event is published, or the event passes it by: `ottery migrate`
//! (and `ottery up` at its start) declares the groups of all services.

pub mod in_process;
mod lanes;
pub mod rabbitmq;
mod silent;
pub mod testing;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ottery_kernel::BrandId;
use ottery_proto::common::v1::Envelope;
use prost::Message;
use tokio_util::sync::CancellationToken;

pub use silent::Silent;

/// Who listens to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroup {
    /// Unique over the system, `<service>.<purpose>`; the queue is called so.
    pub name: String,
    /// Event types; `*` stands for one word and `#` for any number, but not in the first word (the owning service).
    pub bindings: Vec<String>,
    /// Messages handed out and not acknowledged yet, per replica.
    pub prefetch: u16,
    /// Handlers at work at the same time, per replica; messages of one aggregate are never handled side by side.
    pub concurrency: usize,
    /// One queue per replica that vanishes with it: hints only, nothing is kept.
    pub transient: bool,
    /// Whether a newer event of an aggregate waits while an older one is being retried (the default). Off for
    /// consumers of state, where the newest message says everything.
    pub ordered: bool,
    /// Whether messages wait for company while many come (off unless asked for).
    pub gathers: bool,
}

impl ConsumerGroup {
    /// A durable group: 32 messages ahead, 16 aggregates side by side (a busy group applies them in few transactions), order
    /// kept across retries.
    pub fn new(name: impl Into<String>, bindings: &[&str]) -> Self {
        Self {
            name: name.into(),
            bindings: bindings.iter().map(|&binding| binding.to_owned()).collect(),
            prefetch: 32,
            concurrency: 16,
            transient: false,
            ordered: true,
            gathers: false,
        }
    }

    /// Messages handed out ahead.
    #[must_use]
    pub fn prefetch(self, prefetch: u16) -> Self {
        Self { prefetch: prefetch.max(1), ..self }
    }

    /// Handlers at a time.
    #[must_use]
    pub fn concurrency(self, concurrency: usize) -> Self {
        Self { concurrency: concurrency.max(1), ..self }
    }

    /// Hints only: a queue of this replica that vanishes with it.
    #[must_use]
    pub fn transient(self) -> Self {
        Self { transient: true, ..self }
    }

    /// The newest message of an aggregate says everything; it does not wait for older ones that are being retried.
    #[must_use]
    pub fn newest_wins(self) -> Self {
        Self { ordered: false, ..self }
    }

    /// Effects may come a tenth of a second later while many messages come: those that gather meanwhile share a transaction.
    /// For what nobody waits for in front of a screen; with room for all that come in that time.
    #[must_use]
    pub fn gathers(self) -> Self {
        Self { gathers: true, prefetch: 64, concurrency: 64, ..self }
    }

    /// Whether a message of this type is for this group.
    #[must_use]
    pub fn wants(&self, kind: &str) -> bool {
        self.bindings.iter().any(|pattern| matches(pattern, kind))
    }
}

/// A message as it came from the broker.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Serialised [`Envelope`].
    pub body: Bytes,
    /// The decoded body, or why it is none.
    pub envelope: Result<Envelope, String>,
    /// Type as the broker knows it; says what an undecodable body wanted to be.
    pub kind: String,
}

impl Incoming {
    /// Decodes a body.
    #[must_use]
    pub fn new(body: Bytes, kind: impl Into<String>) -> Self {
        let envelope = Envelope::decode(body.clone()).map_err(|error| error.to_string());
        Self { body, envelope, kind: kind.into() }
    }

    /// What decides which messages stay in order; empty when the body cannot be read.
    #[must_use]
    pub fn aggregate_id(&self) -> &str {
        self.envelope.as_ref().map_or("", |envelope| envelope.aggregate_id.as_str())
    }
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Dealt with (handled, scheduled for retry or parked): acknowledge it.
    Done,
    /// A dependency of the consumer is away: hand it out again, in the same place, once [`Sink::ready`] says so.
    Unavailable,
}

/// Takes a group's messages.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Deals with one message. For one aggregate the calls come one after the other.
    async fn deliver(&self, message: Incoming) -> Verdict;

    /// Takes a message the broker gave up on after too many deliveries (its consumer kept crashing).
    async fn dead(&self, message: Incoming) -> Verdict {
        self.deliver(message).await
    }

    /// Whether deliveries make sense now; asked while a dependency is away.
    async fn ready(&self) -> bool {
        true
    }
}

/// Why an event was not taken by the broker. It stays in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No queue listens to this type: a deployment mistake.
    #[error("no consumer is declared for `{kind}`: run `ottery migrate` of the version that consumes it")]
    Unroutable {
        /// Type of the event.
        kind: String,
    },
    /// The broker took it and refused it (queue full).
    #[error("the broker refused the event: a queue is full; its consumer is behind or stopped")]
    Rejected,
    /// No answer in time, or no connection; whether it arrived is unknown.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
}

/// Why the broker could not be set up or asked.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No connection, or it broke.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// A group cannot be declared as asked.
    #[error("consumer group `{group}`: {reason}")]
    Group {
        /// Name of the group.
        group: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The database of the in-process broker.
    #[error("the broker's database failed")]
    Database(#[from] sqlx::Error),
}

/// What is on its way to a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages nobody took yet.
    pub waiting: u64,
    /// Messages handed out by this process and not acknowledged. With RabbitMQ other replicas count their own.
    pub in_flight: u64,
}

impl Depth {
    /// Whether nothing is on its way.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.waiting == 0 && self.in_flight == 0
    }
}

/// Carries events.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Publishes each event and waits for its confirm; one answer per event, in the same places. Events of one
    /// batch may overtake each other, so a batch holds at most one event per aggregate.
    async fn publish(&self, batch: Vec<Envelope>) -> Vec<Result<(), PublishError>>;

    /// Makes the queues and bindings of these groups; repeating it changes nothing.
    async fn declare(&self, groups: &[ConsumerGroup]) -> Result<(), BrokerError>;

    /// Hands the group's messages to `sink` until `shutdown`; survives loss of the broker by itself. Returns after
    /// the deliveries at work have finished.
    async fn consume(
        &self,
        group: ConsumerGroup,
        sink: Arc<dyn Sink>,
        shutdown: CancellationToken,
    ) -> Result<(), BrokerError>;

    /// What is on its way to this group.
    async fn depth(&self, group: &str) -> Result<Depth, BrokerError>;

    /// What is on its way to this group and concerns this brand: its own messages and those of no brand. A broker that
    /// cannot look into its queues answers with everything, which is more and never less.
    async fn depth_of_brand(&self, group: &str, brand: BrandId) -> Result<Depth, BrokerError> {
        let _ = brand;
        self.depth(group).await
    }
}

/// Topic matching as RabbitMQ does it: `*` is exactly one word, `#` any number of words.
fn matches(pattern: &str, kind: &str) -> bool {
    fn words(pattern: &[&str], kind: &[&str]) -> bool {
        match (pattern.split_first(), kind.split_first()) {
            (None, None) => true,
            (Some((&"#", rest)), _) => {
                words(rest, kind) || kind.split_first().is_some_and(|(_, tail)| words(pattern, tail))
            }
            (Some((word, rest)), Some((head, tail))) => (*word == "*" || word == head) && words(rest, tail),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
    words(&pattern.split('.').collect::<Vec<_>>(), &kind.split('.').collect::<Vec<_>>())
}

/// The service that owns events of this type (or the pattern's first word).
fn owner_of(kind: &str) -> &str {
    kind.split('.').next().unwrap_or_default()
}

fn check(group: &ConsumerGroup) -> Result<(), BrokerError> {
    let refuse = |reason: String| Err(BrokerError::Group { group: group.name.clone(), reason });
    if group.bindings.is_empty() {
        return refuse("listens to nothing; give it at least one event type".to_owned());
    }
    match group.bindings.iter().find(|pattern| matches!(owner_of(pattern), "" | "*" | "#")) {
        Some(pattern) => refuse(format!("`{pattern}` must name the owning service in its first word")),
        None => Ok(()),
    }
}

/// Waits 1 s, 2 s, then up to `limit` with jitter, so that a thousand clients do not come back in one instant.
pub(crate) fn backoff(attempt: u32, first: Duration, limit: Duration) -> Duration {
    let base = first.saturating_mul(1_u32 << attempt.min(10)).min(limit);
    base.mul_f64(rand::random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_rabbitmq() {
        for (pattern, kind, expected) in [
            ("billing.invoice.paid.v1", "billing.invoice.paid.v1", true),
            ("billing.invoice.paid.v1", "billing.invoice.paid.v2", false),
            ("billing.*.paid.v1", "billing.invoice.paid.v1", true),
            ("billing.*", "billing.invoice.paid.v1", false),
            ("billing.#", "billing.invoice.paid.v1", true),
            ("billing.#.v1", "billing.v1", true),
            ("billing.#", "catalog.plan.changed.v1", false),
        ] {
            assert_eq!(matches(pattern, kind), expected, "{pattern} against {kind}");
        }
    }

    #[test]
    fn a_group_must_name_the_owning_service() {
        assert!(check(&ConsumerGroup::new("identity.audit", &["*.audit.recorded.v1"])).is_err());
        assert!(check(&ConsumerGroup::new("identity.audit", &["billing.audit.recorded.v1"])).is_ok());
    }
}
