//! Whether a relay waits to be woken or looks by itself.
//!
//! Waking costs every commit a NOTIFY, and PostgreSQL serialises the commits that notify. So a busy relay promises to look every
//! few milliseconds for a while, and commits that see the promise wake nobody. A quiet one is woken, which is faster
//! and costs nothing in between.

use std::time::Duration;

use tokio::time::Instant;

/// Events of a second from which on looking is cheaper than being woken.
const BUSY_FROM: u64 = 60;
const WINDOW: Duration = Duration::from_secs(1);
/// How long a promise lasts.
pub(super) const PROMISE: Duration = Duration::from_secs(3);
/// Transactions that saw the promise and commit this long after its end are still found at once; later ones by the usual poll.
const GRACE: Duration = Duration::from_secs(1);

/// How busy a relay is.
pub(super) struct Pace {
    window: Instant,
    events: u64,
    promised_until: Option<Instant>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { window: now, events: 0, promised_until: None }
    }

    /// So many events went; whether a promise is to be made, for the first time or again.
    pub(super) fn sent(&mut self, events: u64, now: Instant) -> bool {
        self.events += events;
        if now < self.window + WINDOW {
            return false;
        }
        let is_busy = self.events >= BUSY_FROM && now < self.window + 2 * WINDOW;
        (self.window, self.events) = (now, 0);
        is_busy && self.promised_until.is_none_or(|until| until < now + PROMISE - WINDOW)
    }

    /// The promise was made; it lasts at most until [`PROMISE`] from now.
    pub(super) fn promised(&mut self, now: Instant) {
        self.promised_until = Some(now + PROMISE);
    }

    /// Whether it looks by itself.
    pub(super) fn is_awake(&self, now: Instant) -> bool {
        self.promised_until.is_some_and(|until| now < until + GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_busy_relay_promises_again_and_again_and_a_quiet_one_falls_asleep_after_its_promise() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut pace = Pace::new(start);
        assert!(!pace.sent(BUSY_FROM - 1, at(500)) && !pace.sent(0, at(1_000)), "not busy enough");
        assert!(!pace.is_awake(at(1_000)));
        assert!(!pace.sent(BUSY_FROM, at(1_500)) && pace.sent(0, at(2_000)));
        pace.promised(at(2_000));
        assert!(!pace.sent(BUSY_FROM, at(3_000)), "the promise lasts for another two seconds");
        assert!(pace.sent(BUSY_FROM, at(4_100)));
        pace.promised(at(4_100));
        for quiet in [5_200, 6_300, 7_400] {
            assert!(!pace.sent(1, at(quiet)) && pace.is_awake(at(quiet)));
        }
        assert!(pace.is_awake(at(8_000)), "commits that saw the promise may still come");
        assert!(!pace.is_awake(at(8_100)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_gathered_while_the_broker_was_away_does_not_count_as_a_busy_second() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert!(!pace.sent(10_000, start + Duration::from_secs(60)));
    }
}
