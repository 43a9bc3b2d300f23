//! Settings; `config.default.toml` explains each.

use std::time::Duration;

use ottery_kit::http::GuardSettings;
use serde::{Deserialize, Serialize};

use crate::domain::{Backoff, BreakerRules};

/// Settings of the service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Our address as panels see it.
    pub egress_address: String,
    /// Requests to panels.
    pub http: GuardSettings,
    /// The reconciler.
    pub reconcile: Reconcile,
    /// Breakers.
    pub breaker: Breaker,
    /// Looking after panels.
    pub health: Health,
}

/// The reconciler.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Reconcile {
    /// Services worked on at the same time.
    pub workers: usize,
    /// Lease of a claim.
    pub lease_ms: u64,
    /// Pace without wake-ups.
    pub poll_ms: u64,
    /// Longest time a lost call may still be applied.
    pub settle_s: i64,
    /// When a lost call becomes a task.
    pub unknown_deadline_s: i64,
    /// First back-off.
    pub backoff_first_ms: i64,
    /// Longest back-off.
    pub backoff_max_ms: i64,
}

impl Reconcile {
    /// Lease of a claim.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// Waits after failures.
    #[must_use]
    pub const fn backoff(&self) -> Backoff {
        Backoff { first_ms: self.backoff_first_ms, max_ms: self.backoff_max_ms }
    }
}

/// Breakers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// Calls looked back at.
    pub window_s: i64,
    /// Fewer say nothing.
    pub calls_min: usize,
    /// Share that opens.
    pub failed_percent: usize,
    /// Pace of probes.
    pub probe_every_ms: i64,
}

impl Breaker {
    /// As the domain wants them.
    #[must_use]
    pub const fn rules(&self) -> BreakerRules {
        BreakerRules {
            window_s: self.window_s,
            calls_min: self.calls_min,
            failed_percent: self.failed_percent,
            probe_every_ms: self.probe_every_ms,
        }
    }
}

/// Looking after panels.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Pace of connection tests.
    pub probe_every_s: u64,
    /// Skew that is worth a warning.
    pub skew_warn_ms: i64,
    /// Pace of comparisons.
    pub drift_every_s: u64,
}

impl Health {
    /// Pace of comparisons.
    #[must_use]
    pub const fn drift_every(&self) -> Duration {
        Duration::from_secs(self.drift_every_s)
    }
}
