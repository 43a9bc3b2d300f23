//! The hours in which customers are bothered, by their own clock.

use chrono::{DateTime, Timelike as _, Utc};
use chrono_tz::Tz;
use ottery_kernel::instant_of;
use serde::{Deserialize, Serialize};

/// Local hours from `from_hour` until before `to_hour`, every day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// 0 to 23.
    pub from_hour: u32,
    /// 1 to 24, after `from_hour`.
    pub to_hour: u32,
}

impl Window {
    /// Whether the clock on the customer's wall shows one of the hours.
    #[must_use]
    pub fn is_open(self, at: DateTime<Utc>, zone: Tz) -> bool {
        (self.from_hour..self.to_hour).contains(&at.with_timezone(&zone).hour())
    }

    /// `at` when that is within the hours, else their next beginning. An hour the clocks skip begins with the next one there
    /// is, an hour they repeat with the first of the two: once a day, whatever the clocks do.
    #[must_use]
    pub fn next(self, at: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        if self.is_open(at, zone) {
            return at;
        }
        let local = at.with_timezone(&zone).naive_local();
        let day = if local.hour() < self.from_hour { Some(local.date()) } else { local.date().succ_opt() };
        let begins =
            day.and_then(|day| day.and_hms_opt(self.from_hour, 0, 0)).and_then(|local| instant_of(zone, local));
        // Only at the end of the calendar there is no next day.
        begins.unwrap_or(at)
    }
}

/// When something planned for `planned` happens, seen from `now`: within the hours, also when it is late.
#[must_use]
pub fn within(window: Option<Window>, planned: DateTime<Utc>, zone: Tz, now: DateTime<Utc>) -> DateTime<Utc> {
    let Some(window) = window else { return planned };
    let at = window.next(planned, zone);
    // Back from an outage in the middle of the night, it waits for the morning.
    if at <= now && !window.is_open(now, zone) { window.next(now, zone) } else { at }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    const DAY: Window = Window { from_hour: 9, to_hour: 20 };

    fn berlin(text: &str) -> DateTime<Utc> {
        let local = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
        Tz::Europe__Berlin.from_local_datetime(&local).earliest().unwrap().with_timezone(&Utc)
    }

    #[test]
    fn what_falls_into_the_night_waits_for_the_morning() {
        for (planned, expected) in [
            ("2026-06-01 12:30", "2026-06-01 12:30"),
            ("2026-06-01 09:00", "2026-06-01 09:00"),
            ("2026-06-01 20:00", "2026-06-02 09:00"),
            ("2026-06-01 03:15", "2026-06-01 09:00"),
            ("2026-12-31 23:59", "2027-01-01 09:00"),
        ] {
            assert_eq!(DAY.next(berlin(planned), Tz::Europe__Berlin), berlin(expected), "{planned}");
        }
    }

    #[test]
    fn the_customers_clock_decides() {
        // 22:00 in Berlin is 9:00 of the next day in Auckland.
        let late = berlin("2026-06-01 23:00");
        assert_eq!(DAY.next(late, Tz::Pacific__Auckland), late);
    }

    #[test]
    fn case_004_hours_that_begin_in_the_missing_hour_begin_with_the_next_one_once() {
        let early = Window { from_hour: 2, to_hour: 20 };
        // On 29 March 2026 Berlin's clocks go from 02:00 to 03:00.
        let planned = berlin("2026-03-29 01:10");
        let at = early.next(planned, Tz::Europe__Berlin);
        assert_eq!(at, berlin("2026-03-29 03:00"));
        assert_eq!(early.next(at, Tz::Europe__Berlin), at, "once: it is within the hours then");
    }

    #[test]
    fn case_005_hours_that_begin_in_the_repeated_hour_begin_with_the_first_of_the_two() {
        let early = Window { from_hour: 2, to_hour: 20 };
        // On 25 October 2026 Berlin has 02:00 to 03:00 twice: first at 00:00 UTC, then at 01:00 UTC.
        let planned = Utc.with_ymd_and_hms(2026, 10, 24, 22, 0, 0).unwrap();
        let at = early.next(planned, Tz::Europe__Berlin);
        assert_eq!(at, Utc.with_ymd_and_hms(2026, 10, 25, 0, 0, 0).unwrap());
        let second = Utc.with_ymd_and_hms(2026, 10, 25, 1, 0, 0).unwrap();
        assert_eq!(early.next(second, Tz::Europe__Berlin), second, "still the same day's hours, no second beginning");
    }

    #[test]
    fn what_is_late_at_night_waits_as_well() {
        let (planned, back) = (berlin("2026-06-01 12:00"), berlin("2026-06-03 23:00"));
        assert_eq!(within(Some(DAY), planned, Tz::Europe__Berlin, back), berlin("2026-06-04 09:00"));
        let noon = berlin("2026-06-04 12:00");
        assert_eq!(within(Some(DAY), planned, Tz::Europe__Berlin, noon), planned);
        assert_eq!(within(None, planned, Tz::Europe__Berlin, back), planned);
    }
}
