//! Events leave with the transaction that caused them, or not at all.
//!
//! [`append`] writes into the `outbox` table of the caller's transaction; the [`Relay`] sends unsent rows, waits for
//! the broker's confirm and marks them. A crash in between sends twice, never zero times; consumers mark what they
//! have handled ([`crate::consume`]).
//!
//! The table is partitioned by month of `appended_at` ([`crate::db::keep_partitions`]). A partition goes when all its
//! events were sent 30 days ago; what is left behind, wherever it lies, [`prune`] removes row by row.

mod append;
mod cause;
mod desk;
mod lease;
mod pace;
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
