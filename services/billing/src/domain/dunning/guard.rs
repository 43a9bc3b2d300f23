//! A mass suspension is more likely a defect (a clock that jumped, a provider that is down) than the truth: past a threshold
//! nobody is suspended until a person has looked.

use super::campaign::HaltLimit;

/// How the hour stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour {
    /// Subscriptions that were live when it began.
    pub live: u64,
    /// Suspended and ended in it.
    pub suspended: u64,
    /// Stopped, and nobody has decided yet.
    pub is_halted: bool,
}

/// What becomes of suspensions that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They happen.
    Believed,
    /// They wait for a person.
    Halted,
}

impl HaltLimit {
    /// How many suspensions of an hour are believed among so many live subscriptions.
    #[must_use]
    pub fn of(self, live: u64) -> u64 {
        u64::from(self.count).max(live.saturating_mul(self.share_percent.into()) / 100)
    }
}

/// Decides before anybody is suspended: `due` are all that wait, not only those of one batch.
#[must_use]
pub fn decide(hour: Hour, due: u64, limit: HaltLimit) -> Verdict {
    if hour.is_halted || hour.suspended.saturating_add(due) > limit.of(hour.live) {
        Verdict::Halted
    } else {
        Verdict::Believed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_009_more_than_count_and_share_is_not_believed() {
        let limit = HaltLimit { count: 50, share_percent: 5 };
        let hour = |live, suspended| Hour { live, suspended, is_halted: false };
        for (live, suspended, due, verdict) in [
            (10, 0, 10, Verdict::Believed),
            (10, 0, 51, Verdict::Halted),
            (10_000, 0, 500, Verdict::Believed),
            (10_000, 0, 501, Verdict::Halted),
            (10_000, 400, 100, Verdict::Believed),
            (10_000, 400, 101, Verdict::Halted),
        ] {
            assert_eq!(decide(hour(live, suspended), due, limit), verdict, "{live} {suspended} {due}");
        }
        let halted = Hour { is_halted: true, ..hour(10_000, 0) };
        assert_eq!(decide(halted, 1, limit), Verdict::Halted, "until somebody decides");
    }
}
