//! Whether messages come so fast that waiting for company pays.

use std::time::Duration;

use tokio::time::Instant;

/// Messages of a second from which on a group is busy.
const BUSY_FROM: u32 = 40;
const WINDOW: Duration = Duration::from_secs(1);
/// Pause between two transactions of a busy group.
const GATHER: Duration = Duration::from_millis(100);

/// How many messages come to a group.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    window: Option<Instant>,
    came: u32,
    is_busy: bool,
    gathered_at: Option<Instant>,
}

impl Crowd {
    /// A message came.
    pub(super) fn grows(&mut self, now: Instant) {
        match self.window {
            Some(window) if now < window + WINDOW => self.came += 1,
            window => {
                self.is_busy = self.came >= BUSY_FROM && window.is_some_and(|window| now < window + 2 * WINDOW);
                (self.window, self.came) = (Some(now), 1);
            }
        }
    }

    /// A transaction took what had gathered.
    pub(super) fn gathered(&mut self, now: Instant) {
        self.gathered_at = Some(now);
    }

    /// Until when others may still come; none when there is nothing to wait for.
    pub(super) fn gathers_until(&self, now: Instant) -> Option<Instant> {
        let until = self.gathered_at? + GATHER;
        (self.is_busy && now < until).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_quiet_group_waits_for_nobody_and_a_busy_one_for_a_tenth_of_a_second_after_its_last_transaction() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut crowd = Crowd::default();
        for _ in 1..BUSY_FROM {
            crowd.grows(at(0));
        }
        crowd.gathered(at(0));
        crowd.grows(at(1_000));
        assert_eq!(crowd.gathers_until(at(1_000)), None, "one message too few");

        for _ in 1..BUSY_FROM {
            crowd.grows(at(1_500));
        }
        assert_eq!(crowd.gathers_until(at(1_510)), None, "nobody knows yet that this second is a busy one");
        crowd.grows(at(2_000));
        assert_eq!(crowd.gathers_until(at(2_000)), None, "the last transaction was long ago");
        crowd.gathered(at(2_000));
        assert_eq!(crowd.gathers_until(at(2_030)), Some(at(2_100)));
        assert_eq!(crowd.gathers_until(at(2_100)), None);

        crowd.grows(at(3_000));
        crowd.gathered(at(3_000));
        assert_eq!(crowd.gathers_until(at(3_001)), None, "it has become quiet");
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_of_long_ago_makes_nobody_wait() {
        let start = Instant::now();
        let mut crowd = Crowd::default();
        for _ in 0..1_000 {
            crowd.grows(start);
        }
        crowd.grows(start + 2 * WINDOW);
        crowd.gathered(start + 2 * WINDOW);
        assert_eq!(crowd.gathers_until(start + 2 * WINDOW), None);
    }
}
