//! How often an address is looked at.

use chrono::{DateTime, TimeDelta, Utc};

use super::Standing;

/// How long an address is watched closely after its price ran out, and how long at all.
const CLOSELY: TimeDelta = TimeDelta::days(7);
const AT_ALL: TimeDelta = TimeDelta::days(90);

/// When an address is looked at next; none: not any more. `until` is when the last price ran out; `is_deep` says that everything that
/// was booked is deeper than a fork goes.
#[must_use]
pub fn next_look(standing: &Standing, until: DateTime<Utc>, is_deep: bool, now: DateTime<Utc>) -> Option<TimeDelta> {
    let since = now - until;
    let unsettled = match standing {
        Standing::Waiting { .. } => return Some(TimeDelta::seconds(15)),
        Standing::Seen { .. } => return Some(TimeDelta::seconds(20)),
        Standing::Short { .. } if since < TimeDelta::days(1) => return Some(TimeDelta::seconds(30)),
        Standing::Expired if since < TimeDelta::hours(1) => return Some(TimeDelta::seconds(30)),
        Standing::Short { .. } | Standing::Expired => true,
        Standing::Paid { .. } | Standing::Kept { .. } => false,
    };
    if !unsettled && !is_deep {
        return Some(TimeDelta::minutes(2));
    }
    // Wallets keep addresses: what is sent much later is somebody's money still.
    match since {
        since if since < CLOSELY => Some(TimeDelta::minutes(10)),
        since if since < AT_ALL => Some(TimeDelta::days(7)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ottery_kernel::{Currency, Money};

    use super::*;

    #[test]
    fn an_address_is_looked_at_ever_more_rarely_and_at_last_no_more() {
        let until = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let paid = Standing::Paid { over: Money::zero(Currency::EUR) };
        let look = |standing: &Standing, is_deep, after: TimeDelta| next_look(standing, until, is_deep, until + after);
        assert_eq!(look(&Standing::Waiting { until }, false, TimeDelta::minutes(-5)), Some(TimeDelta::seconds(15)));
        assert_eq!(look(&Standing::Expired, false, TimeDelta::minutes(5)), Some(TimeDelta::seconds(30)));
        assert_eq!(look(&Standing::Expired, false, TimeDelta::days(2)), Some(TimeDelta::minutes(10)));
        assert_eq!(look(&Standing::Expired, false, TimeDelta::days(8)), Some(TimeDelta::days(7)));
        assert_eq!(look(&Standing::Expired, false, TimeDelta::days(91)), None);
        assert_eq!(look(&paid, false, TimeDelta::days(91)), Some(TimeDelta::minutes(2)), "a fork could still undo it");
        assert_eq!(look(&paid, true, TimeDelta::days(1)), Some(TimeDelta::minutes(10)));
        assert_eq!(look(&paid, true, TimeDelta::days(91)), None);
    }
}
