//! A circuit breaker: stops asking a neighbour that mostly fails, and asks again gently.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When a breaker opens and how it tries again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerSettings {
    /// How far back calls count.
    pub window: Duration,
    /// Fewer calls than this in the window never open it.
    pub calls_min: u32,
    /// Opens when at least this share of the calls failed, 0 to 1.
    pub failure_ratio: f64,
    /// One probe is let through each time this has passed.
    pub probe_every: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            calls_min: 10,
            failure_ratio: 0.5,
            probe_every: Duration::from_secs(15),
        }
    }
}

/// The breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the breaker is open; next probe in {} ms", .retry_after.as_millis())]
pub struct Open {
    /// When the next probe may go.
    pub retry_after: Duration,
}

/// Counts outcomes and decides whether a call may go. Clones share the state.
#[derive(Clone, Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// One bucket per second, oldest first.
    buckets: VecDeque<Bucket>,
    /// While open: when the next probe may go.
    probe_at: Option<Instant>,
}

#[derive(Debug)]
struct Bucket {
    since: Instant,
    calls: u32,
    failures: u32,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Arc::default() }
    }

    /// Permission for one call; tell the permit how it went. A permit that is dropped untold counts as nothing.
    ///
    /// # Errors
    /// [`Open`] with the time until the next probe.
    pub fn acquire(&self) -> Result<Permit, Open> {
        self.acquire_at(Instant::now())
    }

    fn acquire_at(&self, now: Instant) -> Result<Permit, Open> {
        let mut state = self.lock();
        let is_probe = match state.probe_at {
            None => false,
            Some(at) if at <= now => {
                // The next probe goes later even if this one never comes back.
                state.probe_at = Some(now + self.settings.probe_every);
                true
            }
            Some(at) => return Err(Open { retry_after: at - now }),
        };
        drop(state);
        Ok(Permit { breaker: self.clone(), is_probe })
    }

    /// Whether calls are being refused.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lock().probe_at.is_some()
    }

    fn record(&self, is_failure: bool, is_probe: bool, now: Instant) {
        let mut state = self.lock();
        if is_probe {
            if !is_failure {
                // The neighbour is back: forget what it did while it was away.
                *state = State::default();
            }
            return;
        }
        if state.probe_at.is_some() {
            // An answer to a call from before it opened.
            return;
        }
        while state.buckets.front().is_some_and(|bucket| now - bucket.since >= self.settings.window) {
            state.buckets.pop_front();
        }
        if state.buckets.back().is_none_or(|bucket| now - bucket.since >= Duration::from_secs(1)) {
            state.buckets.push_back(Bucket { since: now, calls: 0, failures: 0 });
        }
        let bucket = state.buckets.back_mut().expect("a bucket was just pushed");
        bucket.calls += 1;
        bucket.failures += u32::from(is_failure);
        let (calls, failures) = state
            .buckets
            .iter()
            .fold((0, 0), |(calls, failures), bucket| (calls + bucket.calls, failures + bucket.failures));
        if calls >= self.settings.calls_min && f64::from(failures) >= f64::from(calls) * self.settings.failure_ratio {
            state.probe_at = Some(now + self.settings.probe_every);
            state.buckets.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters stay usable whatever happened to a holder.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Permission for one call.
#[derive(Debug)]
#[must_use = "tell the permit how the call went"]
pub struct Permit {
    breaker: Breaker,
    is_probe: bool,
}

impl Permit {
    /// The neighbour answered, whatever it said.
    pub fn success(self) {
        self.breaker.record(false, self.is_probe, Instant::now());
    }

    /// The neighbour did not answer or could not.
    pub fn failure(self) {
        self.breaker.record(true, self.is_probe, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(breaker: &Breaker, outcomes: &[bool], at: Instant) {
        for &is_success in outcomes {
            let permit = breaker.acquire_at(at).expect("closed");
            breaker.record(!is_success, permit.is_probe, at);
        }
    }

    #[test]
    fn it_opens_at_half_failures_of_ten_calls() {
        let (breaker, now) = (Breaker::new(BreakerSettings::default()), Instant::now());
        run(&breaker, &[false; 9], now);
        assert!(!breaker.is_open(), "nine calls say too little");
        run(&breaker, &[false], now);
        assert_eq!(breaker.acquire_at(now).unwrap_err().retry_after, Duration::from_secs(15));

        let healthy = Breaker::new(BreakerSettings::default());
        for _ in 0..20 {
            run(&healthy, &[true, true, false], now);
        }
        assert!(!healthy.is_open(), "a third failing is below the ratio");
    }

    #[test]
    fn old_failures_are_forgotten() {
        let (breaker, now) = (Breaker::new(BreakerSettings::default()), Instant::now());
        run(&breaker, &[false; 9], now);
        run(&breaker, &[false], now + Duration::from_secs(31));
        assert!(!breaker.is_open());
    }

    #[test]
    fn one_probe_each_fifteen_seconds_closes_it() {
        let (breaker, now) = (Breaker::new(BreakerSettings::default()), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        run(&breaker, &[false; 10], now);
        let probe = breaker.acquire_at(after(15)).expect("one probe");
        assert!(breaker.acquire_at(after(15)).is_err(), "only one");
        breaker.record(true, probe.is_probe, after(15));
        assert!(breaker.is_open());
        drop(breaker.acquire_at(after(30)).expect("the next probe, lost on its way"));
        assert!(breaker.acquire_at(after(31)).is_err());
        let probe = breaker.acquire_at(after(45)).expect("the one after");
        breaker.record(false, probe.is_probe, after(45));
        assert!(!breaker.is_open());
    }
}
