//! Events leave with the transaction that caused them, or not at all.
//!
//! [`append`] writes into the `outbox` table of the caller's transaction; the [`Relay`] sends unsent rows, waits for
//! the broker's confirm and marks them. A crash in between sends twice, never zero times; consumers mark what they
//! have handled ([`crate::consume`]).
//!
//! Partitions: the table is partitioned by month of `appended_at`. The application role owns nothing and cannot make
//! or drop partitions, and a `SECURITY DEFINER` function would be a hole, so `ottery migrate` makes three months
//! ahead each time it runs and drops empty old ones; rows beyond that go to the DEFAULT partition, and the
//! [`prune`] worker removes sent rows after 30 days with ordinary deletes, wherever they lie.

mod append;
mod cause;
mod lease;
mod relay;
mod stats;
mod trace;

pub use append::{Event, append, append_all, shard_of};
pub use cause::{Cause, current_cause, with_cause};
pub use relay::{Relay, RelayCounters, RelayError, RelaySettings};
pub use stats::{OutboxStats, prune, stats, unsent_of_brand};
pub use trace::{current_traceparent, set_parent};

/// Shards of the outbox; an aggregate always falls into the same one.
pub const SHARDS: i16 = 16;

/// Channel on which a commit says that there is work.
pub const CHANNEL: &str = "ottery_outbox";
