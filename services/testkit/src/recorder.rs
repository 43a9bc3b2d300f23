//! Events: what was published, and publishing some as a neighbour would.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ottery_kit::broker::{Broker, ConsumerGroup, Incoming, Sink, Verdict};
use ottery_kit::outbox::Event;
use ottery_proto::common::v1::Envelope;
use prost::Message;
use prost_types::Timestamp;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::services::unique;

/// How long a test waits for an event before it gives up.
const PATIENCE: Duration = Duration::from_secs(15);

/// Keeps every event it hears, in the order in which they came.
#[derive(Debug)]
pub struct Recorder {
    heard: watch::Receiver<Vec<Envelope>>,
    _ends_with_the_value: DropGuard,
}

impl Recorder {
    pub(crate) async fn start(broker: Arc<dyn Broker>, patterns: &[&str]) -> Self {
        let group = ConsumerGroup::new(unique("test.recorder"), patterns);
        broker.declare(std::slice::from_ref(&group)).await.expect("the broker takes a group for the recorder");
        let (say, heard) = watch::channel(Vec::new());
        let shutdown = CancellationToken::new();
        let ended = shutdown.clone();
        tokio::spawn(async move {
            if let Err(error) = broker.consume(group, Arc::new(Tape(say)), ended).await {
                eprintln!("the recorder heard no more: {error}");
            }
        });
        Self { heard, _ends_with_the_value: shutdown.drop_guard() }
    }

    /// Everything heard so far.
    pub fn all(&self) -> Vec<Envelope> {
        self.heard.borrow().clone()
    }

    /// Everything of this type heard so far.
    pub fn of(&self, kind: &str) -> Vec<Envelope> {
        self.heard.borrow().iter().filter(|event| event.r#type == kind).cloned().collect()
    }

    /// Waits until `count` events of this type have been heard, and gives them.
    ///
    /// # Panics
    /// When they do not come; the message lists what came instead.
    pub async fn wait_for(&self, kind: &str, count: usize) -> Vec<Envelope> {
        let enough = |heard: &Vec<Envelope>| heard.iter().filter(|event| event.r#type == kind).count() >= count;
        let mut heard = self.heard.clone();
        if timeout(PATIENCE, heard.wait_for(enough)).await.is_err() {
            let kinds: Vec<_> = self.all().into_iter().map(|event| event.r#type).collect();
            panic!("{count} of {kind} did not come within {} s; heard {kinds:?}", PATIENCE.as_secs());
        }
        self.of(kind)
    }

    /// Waits for the first event of this type and decodes what it says.
    ///
    /// # Panics
    /// When it does not come or says something else.
    pub async fn first<M: Message + Default>(&self, kind: &str) -> M {
        let events = self.wait_for(kind, 1).await;
        payload(&events[0])
    }
}

struct Tape(watch::Sender<Vec<Envelope>>);

#[async_trait]
impl Sink for Tape {
    async fn deliver(&self, message: Incoming) -> Verdict {
        if let Ok(event) = message.envelope {
            self.0.send_modify(|heard| heard.push(event));
        }
        Verdict::Done
    }
}

/// What an event says.
///
/// # Panics
/// When its payload is no such message.
pub fn payload<M: Message + Default>(event: &Envelope) -> M {
    M::decode(event.payload.as_slice()).expect("the payload is the message its type names")
}

/// The events in the outbox of a service, sent or not, in the order they were appended. Needs the administrator's pool
/// only where the service's own may not look.
///
/// # Panics
/// When the outbox cannot be read.
pub async fn outbox(pool: &PgPool) -> Vec<Envelope> {
    let rows: Vec<OutboxRow> = sqlx::query_as(
        "SELECT event_id, kind, aggregate_id, aggregate_version, brand_id, occurred_at, causation_id, correlation_id, \
                traceparent, payload \
         FROM outbox ORDER BY seq",
    )
    .fetch_all(pool)
    .await
    .expect("the outbox can be read");
    rows.into_iter().map(OutboxRow::into_envelope).collect()
}

/// An event as it arrives from a neighbour, with an id of its own.
pub fn envelope(event: Event) -> Envelope {
    Envelope {
        event_id: uuid::Uuid::now_v7().to_string(),
        r#type: event.kind,
        aggregate_id: event.aggregate_id,
        aggregate_version: event.aggregate_version,
        brand_id: event.brand.map(|brand| brand.to_string()).unwrap_or_default(),
        occurred_at: Some(timestamp(event.occurred_at)),
        causation_id: event.causation_id,
        correlation_id: event.correlation_id,
        traceparent: String::new(),
        payload: event.payload,
    }
}

/// Publishes an event as a neighbour would, and gives its envelope, to publish it again for instance.
///
/// # Panics
/// When nobody listens or the broker is away.
pub async fn publish(broker: &dyn Broker, event: Event) -> Envelope {
    let envelope = envelope(event);
    for answer in broker.publish(vec![envelope.clone()]).await {
        answer.expect("the event is taken");
    }
    envelope
}

#[derive(sqlx::FromRow)]
struct OutboxRow {
    event_id: uuid::Uuid,
    kind: String,
    aggregate_id: String,
    aggregate_version: i64,
    brand_id: Option<uuid::Uuid>,
    occurred_at: chrono::DateTime<chrono::Utc>,
    causation_id: String,
    correlation_id: String,
    traceparent: String,
    payload: Vec<u8>,
}

impl OutboxRow {
    fn into_envelope(self) -> Envelope {
        Envelope {
            event_id: self.event_id.to_string(),
            r#type: self.kind,
            aggregate_id: self.aggregate_id,
            aggregate_version: self.aggregate_version,
            brand_id: self.brand_id.map(|id| ottery_kernel::BrandId::from_uuid(id).to_string()).unwrap_or_default(),
            occurred_at: Some(timestamp(self.occurred_at)),
            causation_id: self.causation_id,
            correlation_id: self.correlation_id,
            traceparent: self.traceparent,
            payload: self.payload,
        }
    }
}

/// An instant as contracts write it.
///
/// # Panics
/// Never: the part below a second always fits.
pub fn timestamp(instant: chrono::DateTime<chrono::Utc>) -> Timestamp {
    Timestamp {
        seconds: instant.timestamp(),
        nanos: i32::try_from(instant.timestamp_subsec_nanos()).expect("less than a thousand million"),
    }
}
