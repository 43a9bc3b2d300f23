//! Handling events: at least once delivered, once effective.
//!
//! For every delivery the kit opens a transaction in the event's brand, writes the inbox mark (a duplicate is
//! acknowledged without calling anyone), calls the [`Handler`], commits and only then acknowledges. Deliveries that wait at
//! the same time share a transaction as long as none of them fails. A handler that fails leaves no trace: the delivery goes to `retry_delivery` (5 s, 30 s, 5 min, 30 min, then parked for a person),
//! the message is acknowledged, and its neighbours go on.

mod company;
mod crowd;
mod inbox;
pub mod parked;
mod retry;
mod run;
mod version;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_proto::common::v1::Envelope;
use prost::Message;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

pub use crate::broker::ConsumerGroup;
pub use inbox::prune as prune_inbox;
pub use retry::{Schedule, run_retries, waiting, waiting_of_brand};
pub use run::{Consumer, run};
pub use version::{Sequence, accept_newer, advance, last_version};

/// One event, ready to be handled.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Group it was delivered to.
    pub consumer: String,
    /// Same for every redelivery.
    pub event_id: Uuid,
    /// Whose it is; `None` for platform events.
    pub brand: Option<BrandId>,
    /// When it happened, by the brand's clock.
    pub occurred_at: DateTime<Utc>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The message; the fields above are parsed from it.
    pub envelope: Envelope,
}

impl Delivery {
    /// `<service>.<aggregate>.<verb>.v1`
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.envelope.r#type
    }

    /// Prefixed id of what it happened to.
    #[must_use]
    pub fn aggregate_id(&self) -> &str {
        &self.envelope.aggregate_id
    }

    /// Place in the order of its aggregate; 0 = none.
    #[must_use]
    pub fn aggregate_version(&self) -> i64 {
        self.envelope.aggregate_version
    }

    /// Decodes the payload; a payload that is not a `T` will not become one by waiting, so that is permanent.
    pub fn payload<T: Message + Default>(&self) -> Result<T, HandleError> {
        T::decode(self.envelope.payload.as_slice()).map_err(|error| {
            HandleError::Permanent(anyhow::anyhow!("payload of `{}` cannot be decoded: {error}", self.kind()))
        })
    }

    /// The brand, or a permanent error for an event that must have one.
    pub fn brand(&self) -> Result<BrandId, HandleError> {
        self.brand.ok_or_else(|| HandleError::Permanent(anyhow::anyhow!("`{}` without a brand", self.kind())))
    }
}

/// Why an event was not handled. Its transaction is rolled back.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// May work later: retried on the schedule, then parked.
    #[error("transient: {0:#}")]
    Transient(anyhow::Error),
    /// Will never work: parked at once.
    #[error("permanent: {0:#}")]
    Permanent(anyhow::Error),
    /// An earlier version of the aggregate has not been seen: waits for it, then [`Handler::gap_expired`] is asked.
    #[error("version gap: {last} was applied last, {got} came")]
    Gap {
        /// Version applied last.
        last: i64,
        /// Version of this event.
        got: i64,
    },
}

impl HandleError {
    /// A permanent error from a message.
    pub fn permanent(reason: impl std::fmt::Display) -> Self {
        Self::Permanent(anyhow::anyhow!("{reason}"))
    }

    /// A transient error from a message.
    pub fn transient(reason: impl std::fmt::Display) -> Self {
        Self::Transient(anyhow::anyhow!("{reason}"))
    }
}

impl From<sqlx::Error> for HandleError {
    fn from(error: sqlx::Error) -> Self {
        Self::Transient(error.into())
    }
}

impl From<anyhow::Error> for HandleError {
    fn from(error: anyhow::Error) -> Self {
        Self::Transient(error)
    }
}

/// Applies events of one consumer group.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Applies one event inside `tx`. The inbox mark is already written there; commit and acknowledgement follow.
    /// Keep it short (30 s is the limit) and call nobody who may hang: record the job and work from the table. It is called
    /// again after a rollback that was the fault of another event, so it must leave no trace outside of `tx`.
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError>;

    /// Asked when the event before this one did not come in time. The default parks it for a person; a consumer that
    /// can fetch the aggregate's present state does so here and records its version, and whatever arrives late is
    /// then older and ignored.
    async fn gap_expired(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        let _ = tx;
        Err(HandleError::Permanent(anyhow::anyhow!(
            "an earlier event of {} never came before version {}",
            delivery.aggregate_id(),
            delivery.aggregate_version()
        )))
    }

    /// Called after what was handled has been committed, to wake workers of this process. Whoever dies before it wakes nobody, so
    /// the workers look by themselves as well.
    fn committed(&self) {}
}

#[async_trait]
impl<H: Handler + ?Sized> Handler for Arc<H> {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        (**self).handle(tx, delivery).await
    }

    async fn gap_expired(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        (**self).gap_expired(tx, delivery).await
    }

    fn committed(&self) {
        (**self).committed();
    }
}
