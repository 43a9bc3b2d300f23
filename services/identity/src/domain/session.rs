//! How long a session lives.

use chrono::{DateTime, TimeDelta, Utc};

use super::Realm;

/// What a session may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// Everything its account may.
    Full,
    /// Enrolling a second factor, which staff must have, and nothing else.
    Enrolment,
}

impl SessionKind {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Enrolment => "enrolment",
        }
    }

    /// As read; anything unknown may only enrol.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        if text == "full" { Self::Full } else { Self::Enrolment }
    }
}

/// The two ends of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Ends when it was not used for so long.
    pub idle: TimeDelta,
    /// Ends then, used or not.
    pub absolute: TimeDelta,
}

/// A session's idle deadline is moved at most this often, so that reading a page does not write a row each time.
pub const TOUCH_INTERVAL: TimeDelta = TimeDelta::seconds(60);

impl Lifetimes {
    /// Staff 30 minutes and 12 hours (one hour for enrolling), customers 14 and 90 days.
    #[must_use]
    pub fn of(realm: Realm, kind: SessionKind) -> Self {
        match (realm, kind) {
            (_, SessionKind::Enrolment) => Self { idle: TimeDelta::minutes(30), absolute: TimeDelta::hours(1) },
            (Realm::Staff, SessionKind::Full) => Self { idle: TimeDelta::minutes(30), absolute: TimeDelta::hours(12) },
            (Realm::Customer(_), SessionKind::Full) => {
                Self { idle: TimeDelta::days(14), absolute: TimeDelta::days(90) }
            }
        }
    }

    /// The idle deadline of a session used now.
    #[must_use]
    pub fn idle_deadline(self, now: DateTime<Utc>, absolute_deadline: DateTime<Utc>) -> DateTime<Utc> {
        (now + self.idle).min(absolute_deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_s02_use_never_outlives_the_absolute_end() {
        let now = DateTime::UNIX_EPOCH;
        let staff = Lifetimes::of(Realm::Staff, SessionKind::Full);
        let end = now + staff.absolute;
        assert_eq!(staff.idle_deadline(now, end), now + TimeDelta::minutes(30));
        assert_eq!(staff.idle_deadline(end - TimeDelta::minutes(1), end), end);
    }
}
