//! How long to wait after failed tries. Nobody is ever locked out for good: that would be a weapon against the owner.

use chrono::{DateTime, TimeDelta, Utc};

/// Failures that cost nothing.
pub const FREE_FAILURES: i32 = 5;
const FIRST_WAIT: TimeDelta = TimeDelta::seconds(30);
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(15);
/// After this time without a try the count starts anew.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::hours(24);

/// What was tried so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// In a row.
    pub failures: i32,
    /// The last one.
    pub last_at: DateTime<Utc>,
}

/// Whether one more try is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go ahead; until it succeeds it counts as a failure, which makes this the count.
    Go(i32),
    /// Not before this time has passed.
    Wait(TimeDelta),
}

/// Judges the next try. It is counted before it is made, so a hundred at once are not a hundred free ones.
#[must_use]
pub fn judge(tries: Tries, now: DateTime<Utc>) -> Verdict {
    let quiet = now - tries.last_at;
    if quiet >= FORGOTTEN_AFTER {
        return Verdict::Go(1);
    }
    let left = wait_after(tries.failures) - quiet;
    if left > TimeDelta::zero() { Verdict::Wait(left) } else { Verdict::Go(tries.failures.saturating_add(1)) }
}

fn wait_after(failures: i32) -> TimeDelta {
    let Ok(extra) = u32::try_from(failures - FREE_FAILURES) else { return TimeDelta::zero() };
    let doubled = 1_i32.checked_shl(extra.min(16)).unwrap_or(i32::MAX);
    (FIRST_WAIT * doubled).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_s08_the_sixth_try_waits_and_every_further_one_longer() {
        let at = DateTime::UNIX_EPOCH;
        let tries = |failures| Tries { failures, last_at: at };
        for failures in 0..5 {
            assert_eq!(judge(tries(failures), at), Verdict::Go(failures + 1));
        }
        assert_eq!(judge(tries(5), at), Verdict::Wait(TimeDelta::seconds(30)));
        assert_eq!(judge(tries(5), at + TimeDelta::seconds(10)), Verdict::Wait(TimeDelta::seconds(20)));
        assert_eq!(judge(tries(5), at + TimeDelta::seconds(30)), Verdict::Go(6));
        assert_eq!(judge(tries(6), at), Verdict::Wait(TimeDelta::seconds(60)));
        assert_eq!(judge(tries(12), at), Verdict::Wait(TimeDelta::minutes(15)));
        assert_eq!(judge(tries(i32::MAX), at), Verdict::Wait(TimeDelta::minutes(15)));
        assert_eq!(judge(tries(12), at + TimeDelta::hours(24)), Verdict::Go(1));
    }
}
