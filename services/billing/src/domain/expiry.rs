//! Cards that expire: when their owner is told, and whether they need to be.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::subscription::{State, Subscription};

/// How long a look that found nothing to say rests: somebody may begin to be charged by the card until it expires.
const LOOK_AGAIN: TimeDelta = TimeDelta::days(1);

/// What is to be done about a card now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its owner hears of it.
    Tell,
    /// It is looked at again then.
    Later(DateTime<Utc>),
    /// There is nothing to say about this expiry (any more).
    Never,
}

/// The first instant at which a card cannot be charged any more whose last day this is; none beyond the calendar.
#[must_use]
pub fn ends_at(last_day: NaiveDate) -> Option<DateTime<Utc>> {
    Some(last_day.checked_add_days(Days::new(1))?.and_time(NaiveTime::MIN).and_utc())
}

/// When a card is looked at first, `notice` before it ends; none when it never ends.
#[must_use]
pub fn first_look(last_day: NaiveDate, notice: TimeDelta) -> Option<DateTime<Utc>> {
    ends_at(last_day)?.checked_sub_signed(notice)
}

/// Decides about a card. `is_charged`: something will be charged to it after it ends.
#[must_use]
pub fn decide(last_day: NaiveDate, is_told: bool, is_charged: bool, notice: TimeDelta, now: DateTime<Utc>) -> Verdict {
    let (Some(first), Some(end)) = (first_look(last_day, notice), ends_at(last_day)) else { return Verdict::Never };
    if is_told || now >= end {
        // Whoever learns of it afterwards hears that a charge was refused, from dunning.
        Verdict::Never
    } else if now < first {
        Verdict::Later(first)
    } else if is_charged {
        Verdict::Tell
    } else {
        Verdict::Later((now + LOOK_AGAIN).min(end))
    }
}

/// Whether a subscription goes on being charged: then some renewal comes after the end of any card. What is cancelled or a pass ends
/// with what is paid, and what is not served is asked for by dunning.
#[must_use]
pub fn renews(subscription: &Subscription) -> bool {
    let runs = match subscription.state {
        State::Trialing | State::Active | State::PastDue { .. } => true,
        State::Pending | State::Suspended { .. } | State::Paused | State::Ended { .. } => false,
    };
    runs && subscription.cancel_at.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE: TimeDelta = TimeDelta::days(14);

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2027, 2, day).unwrap()
    }

    fn at(of: NaiveDate) -> DateTime<Utc> {
        of.and_time(NaiveTime::MIN).and_utc()
    }

    #[test]
    fn case_061_a_card_is_announced_within_the_notice_and_not_when_it_is_over() {
        let march = NaiveDate::from_ymd_opt(2027, 3, 1).unwrap();
        assert_eq!(ends_at(day(28)), Some(at(march)), "its last day counts");
        for (now, is_told, is_charged, expected) in [
            (at(day(1)), false, true, Verdict::Later(at(day(15)))),
            (at(day(15)), false, true, Verdict::Tell),
            (at(day(28)), false, true, Verdict::Tell),
            (at(march), false, true, Verdict::Never),
            (at(day(20)), true, true, Verdict::Never),
            // Nobody renews by it yet.
            (at(day(15)), false, false, Verdict::Later(at(day(16)))),
            (at(day(28)) + TimeDelta::hours(5), false, false, Verdict::Later(at(march))),
        ] {
            assert_eq!(decide(day(28), is_told, is_charged, NOTICE, now), expected, "{now} {is_told} {is_charged}");
        }
    }

    #[test]
    fn a_card_that_never_ends_is_never_announced() {
        assert_eq!(decide(NaiveDate::MAX, false, true, NOTICE, at(day(1))), Verdict::Never);
    }
}
