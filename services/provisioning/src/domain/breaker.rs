//! One breaker per API key: keeps a panel in trouble from being hammered, and orders from spending attempts on it.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

/// When a breaker opens and how it closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRules {
    /// Calls looked back at are younger than this, in seconds.
    pub window_s: i64,
    /// Fewer calls than this say nothing.
    pub calls_min: usize,
    /// Opens when this many of a hundred calls failed.
    pub failed_percent: usize,
    /// An open breaker lets one probe through every so many milliseconds.
    pub probe_every_ms: i64,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self { window_s: 30, calls_min: 10, failed_percent: 50, probe_every_ms: 15_000 }
    }
}

/// Why a breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trip {
    /// Too many calls failed.
    Failures,
    /// One call was refused in a way that every other would be: stable code of the refusal.
    WholeKey(&'static str),
}

impl Trip {
    /// Stable code for the customer's status.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Failures => "panel_down",
            Self::WholeKey(code) => code,
        }
    }
}

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Go,
    /// The key is paused; ask again then.
    Paused {
        /// When the next probe is due.
        until: DateTime<Utc>,
        /// Why.
        trip: Trip,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        trip: Trip,
        probe_at: DateTime<Utc>,
    },
    /// A probe succeeded; one call goes first, the rest waits for it.
    HalfOpen {
        trip: Trip,
        trial_until: Option<DateTime<Utc>>,
    },
}

/// The breaker of one API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    rules: BreakerRules,
    state: State,
    recent: VecDeque<(DateTime<Utc>, bool)>,
}

impl Breaker {
    /// A closed one.
    #[must_use]
    pub const fn new(rules: BreakerRules) -> Self {
        Self { rules, state: State::Closed, recent: VecDeque::new() }
    }

    /// Whether a call may be made now. In the half-open state the first one that asks is the trial.
    pub fn admit(&mut self, now: DateTime<Utc>) -> Admission {
        let pause = TimeDelta::milliseconds(self.rules.probe_every_ms);
        match self.state {
            State::Closed => Admission::Go,
            State::Open { trip, probe_at } => Admission::Paused { until: probe_at.max(now + pause / 4), trip },
            State::HalfOpen { trip, trial_until } => match trial_until {
                Some(until) if now < until => Admission::Paused { until, trip },
                Some(_) | None => {
                    self.state = State::HalfOpen { trip, trial_until: Some(now + pause) };
                    Admission::Go
                }
            },
        }
    }

    /// A call was answered: by the panel's API (`failed` = false, whatever it said about the order) or not.
    /// Returns whether the breaker changed.
    pub fn record(&mut self, now: DateTime<Utc>, failed: bool) -> bool {
        let oldest = now - TimeDelta::seconds(self.rules.window_s);
        match self.state {
            State::Closed => {
                self.recent.push_back((now, failed));
                while self.recent.front().is_some_and(|(at, _)| *at < oldest) {
                    self.recent.pop_front();
                }
                let failures = self.recent.iter().filter(|(_, failed)| *failed).count();
                let calls = self.recent.len();
                if calls >= self.rules.calls_min && failures * 100 >= calls * self.rules.failed_percent {
                    self.open(now, Trip::Failures);
                    return true;
                }
                false
            }
            State::HalfOpen { trip, .. } if failed => {
                self.open(now, trip);
                true
            }
            State::HalfOpen { .. } => {
                self.close();
                true
            }
            // Answers of calls that were under way when it opened.
            State::Open { .. } => false,
        }
    }

    /// A refusal that concerns every call of the key.
    pub fn trip(&mut self, now: DateTime<Utc>, code: &'static str) {
        self.open(now, Trip::WholeKey(code));
    }

    /// Whether the connection should be tested now; says so once per interval.
    pub fn wants_probe(&mut self, now: DateTime<Utc>) -> Option<Trip> {
        match self.state {
            State::Open { trip, probe_at } if probe_at <= now => {
                self.state = State::Open { trip, probe_at: now + TimeDelta::milliseconds(self.rules.probe_every_ms) };
                Some(trip)
            }
            State::Open { .. } | State::Closed | State::HalfOpen { .. } => None,
        }
    }

    /// The connection test succeeded: one call may be tried. Returns whether this opened the way.
    pub fn probed_well(&mut self) -> bool {
        match self.state {
            State::Open { trip, .. } => {
                self.state = State::HalfOpen { trip, trial_until: None };
                true
            }
            State::Closed | State::HalfOpen { .. } => false,
        }
    }

    /// Why it is not closed.
    #[must_use]
    pub const fn tripped(&self) -> Option<Trip> {
        match self.state {
            State::Closed => None,
            State::Open { trip, .. } | State::HalfOpen { trip, .. } => Some(trip),
        }
    }

    /// Closes it, for a panel whose settings were corrected.
    pub fn close(&mut self) {
        self.state = State::Closed;
        self.recent.clear();
    }

    fn open(&mut self, now: DateTime<Utc>, trip: Trip) {
        self.state = State::Open { trip, probe_at: now + TimeDelta::milliseconds(self.rules.probe_every_ms) };
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_772_366_400 + seconds, 0).unwrap()
    }

    #[test]
    fn half_of_ten_calls_failing_within_half_a_minute_opens_it() {
        let mut breaker = Breaker::new(BreakerRules::default());
        for n in 0..9 {
            assert!(!breaker.record(at(n), n % 2 == 0));
        }
        assert_eq!(breaker.admit(at(9)), Admission::Go);
        assert!(breaker.record(at(9), true));
        assert_eq!(breaker.admit(at(9)), Admission::Paused { until: at(24), trip: Trip::Failures });
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut breaker = Breaker::new(BreakerRules::default());
        for n in 0..9 {
            breaker.record(at(n), true);
        }
        assert!(!breaker.record(at(60), true));
        assert_eq!(breaker.admit(at(60)), Admission::Go);
    }

    #[test]
    fn a_refusal_of_the_whole_key_opens_it_at_once_and_a_good_probe_lets_one_call_through() {
        let mut breaker = Breaker::new(BreakerRules::default());
        breaker.trip(at(0), "insufficient_credits");
        assert!(matches!(breaker.admit(at(1)), Admission::Paused { trip: Trip::WholeKey("insufficient_credits"), .. }));
        assert_eq!(breaker.wants_probe(at(14)), None);
        assert!(breaker.wants_probe(at(15)).is_some());
        assert_eq!(breaker.wants_probe(at(15)), None, "one probe per interval");
        assert!(breaker.probed_well());
        assert_eq!(breaker.admit(at(16)), Admission::Go);
        assert!(matches!(breaker.admit(at(16)), Admission::Paused { .. }), "the second waits for the first");
        assert!(breaker.record(at(17), false));
        assert_eq!(breaker.admit(at(17)), Admission::Go);
        assert_eq!(breaker.tripped(), None);
    }

    #[test]
    fn a_failed_trial_opens_it_again_for_the_same_reason() {
        let mut breaker = Breaker::new(BreakerRules::default());
        breaker.trip(at(0), "ip_banned");
        breaker.probed_well();
        assert_eq!(breaker.admit(at(1)), Admission::Go);
        breaker.record(at(2), true);
        assert_eq!(breaker.tripped(), Some(Trip::WholeKey("ip_banned")));
        assert!(matches!(breaker.admit(at(3)), Admission::Paused { .. }));
    }

    #[test]
    fn a_trial_that_never_reports_does_not_block_for_ever() {
        let mut breaker = Breaker::new(BreakerRules::default());
        breaker.trip(at(0), "ip_banned");
        breaker.probed_well();
        assert_eq!(breaker.admit(at(1)), Admission::Go);
        assert_eq!(breaker.admit(at(16)), Admission::Go);
    }
}
