//! Where the time of a batch goes.

use std::time::Duration;

use ottery_kit::telemetry::Metrics;
use tokio::time::Instant;

/// The phases of one batch, one after the other.
#[derive(Debug)]
pub struct Phases {
    since: Instant,
    ended: Vec<(&'static str, Duration)>,
}

impl Phases {
    /// The first one begins.
    pub fn begin() -> Self {
        Self { since: Instant::now(), ended: Vec::with_capacity(5) }
    }

    /// The running one, with this name, is over; the next begins.
    pub fn end(&mut self, name: &'static str) {
        let now = Instant::now();
        self.ended.push((name, now - std::mem::replace(&mut self.since, now)));
    }

    /// Tells them.
    pub fn tell(&self, metrics: &Metrics) {
        let told = metrics
            .histogram("ottery_billing_renewal_phase_seconds", "Time of one renewal batch, by what it was spent on");
        for (phase, took) in &self.ended {
            told.observe_duration(&[("phase", phase)], *took);
        }
    }
}
