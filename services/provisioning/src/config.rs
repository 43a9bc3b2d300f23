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
    /// Comparing panels with what is wanted.
    pub drift: Drift,
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
}

/// Comparing panels with what is wanted.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// Pace of scans.
    pub every_s: u64,
    /// Share of the panel's rate.
    pub pace_percent: u32,
    /// Whether lines are read one by one where the list leaves something out.
    pub read_whole: bool,
    /// Scans at the same time.
    pub workers: usize,
    /// Pace without work.
    pub poll_ms: u64,
    /// Lease of a scan.
    pub lease_ms: u64,
    /// Wait after a failure.
    pub retry_s: u64,
}

impl Drift {
    /// Pace of scans.
    #[must_use]
    pub const fn every(&self) -> Duration {
        Duration::from_secs(self.every_s)
    }

    /// Lease of a scan.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// Wait after a failure.
    #[must_use]
    pub const fn retry(&self) -> Duration {
        Duration::from_secs(self.retry_s)
    }

    /// Wait between two calls of a panel that takes so many a second.
    #[must_use]
    pub fn pause(&self, rate_per_second: f64) -> Duration {
        let share = f64::from(self.pace_percent.clamp(1, 100)) / 100.0;
        Duration::from_secs_f64((1.0 / (rate_per_second * share).clamp(0.001, 100_000.0)).min(60.0))
    }
}
