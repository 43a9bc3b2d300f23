//! Which days periods change on: the day it began, or the same day of the month for everybody.

use chrono::{DateTime, Datelike, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{BillingAnchor, Period, PeriodError, Term, day_of_month, instant_of, months_after};

/// A day of the month, 1 to 31; months that are shorter use their last day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct AnchorDay(u8);

impl AnchorDay {
    /// That day.
    ///
    /// # Errors
    /// When no month has it.
    pub fn try_new(day: u32) -> Result<Self, PeriodError> {
        u8::try_from(day).ok().filter(|day| (1..=31).contains(day)).map(Self).ok_or(PeriodError::NoSuchDay(day))
    }

    /// As a number, 1 to 31.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0 as u32
    }
}

impl TryFrom<u32> for AnchorDay {
    type Error = PeriodError;

    fn try_from(day: u32) -> Result<Self, PeriodError> {
        Self::try_new(day)
    }
}

impl From<AnchorDay> for u32 {
    fn from(day: AnchorDay) -> Self {
        day.get()
    }
}

/// On which days periods change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnchorRule {
    /// On the day and at the time it began.
    #[default]
    Anniversary,
    /// At the first instant of this day of the month. Terms of days and weeks have no such day and follow the anniversary.
    Day(AnchorDay),
}

/// How counting begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Where the periods are counted from.
    pub anchor: BillingAnchor,
    /// The first stretch: period 0, or what bridges the time up to it.
    pub period: Period,
    /// The whole term that the stretch is a part of; itself when it is no bridge.
    pub whole: Period,
    /// The number of the period after the stretch: 0 after a bridge.
    pub next: u32,
}

impl AnchorRule {
    /// How terms are counted that begin at `start`. A calendar day that is not there yet is reached by a bridge.
    ///
    /// # Errors
    /// When a boundary lies beyond the calendar.
    pub fn begin(self, start: DateTime<Utc>, zone: Tz, term: Term) -> Result<Beginning, PeriodError> {
        let anchor = match self {
            Self::Day(day) if term.has_months() => BillingAnchor::on_day(day, zone, start)?,
            Self::Day(_) | Self::Anniversary => BillingAnchor::at(start, zone),
        };
        let first = anchor.boundary(term, 0)?;
        // What began within a gap of the clock or its repeated hour begins where it begins, not where its local time says.
        if matches!(self, Self::Anniversary) || !term.has_months() || first == start {
            let period = Period::try_new(start, anchor.boundary(term, 1)?)?;
            return Ok(Beginning { anchor, period, whole: period, next: 1 });
        }
        Ok(Beginning { anchor, period: Period::try_new(start, first)?, whole: anchor.term_before(term)?, next: 0 })
    }
}

impl BillingAnchor {
    /// The first beginning of `day` in `zone` that is not before `from`.
    ///
    /// # Errors
    /// When it lies beyond the calendar.
    pub fn on_day(day: AnchorDay, zone: Tz, from: DateTime<Utc>) -> Result<Self, PeriodError> {
        let local = from.with_timezone(&zone).date_naive();
        // The day may be over in this month, so the second candidate is in the next; a zone may skip a day.
        (0..=2)
            .filter_map(|months| day_of_month(months_after(local, months)?, day.get()))
            .find(|date| instant_of(zone, date.and_time(NaiveTime::MIN)).is_some_and(|instant| instant >= from))
            .map(|date| Self { date, zone, time: NaiveTime::MIN, day: (date.day() != day.get()).then_some(day) })
            .ok_or(PeriodError::OutOfRange)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;
    use crate::period::period_after;

    fn at(month: u32, day: u32, hour: u32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, month, day, hour, 0, 0).unwrap()
    }

    fn day(day: u32) -> AnchorRule {
        AnchorRule::Day(AnchorDay::try_new(day).unwrap())
    }

    #[test]
    fn a_day_that_is_not_there_yet_is_reached_by_a_bridge() {
        let begun = day(1).begin(at(1, 15, 12), Tz::UTC, Term::MONTH).unwrap();
        assert_eq!((begun.period.start(), begun.period.end(), begun.next), (at(1, 15, 12), at(2, 1, 0), 0));
        assert_eq!((begun.whole.start(), begun.whole.end()), (at(1, 1, 0), at(2, 1, 0)));
        assert_eq!(period_after(&begun.anchor, Term::MONTH, 0).unwrap().end(), at(3, 1, 0));
    }

    #[test]
    fn beginning_exactly_on_the_day_needs_no_bridge() {
        let begun = day(1).begin(at(2, 1, 0), Tz::UTC, Term::MONTH).unwrap();
        assert_eq!((begun.period, begun.next), (begun.whole, 1));
        assert_eq!(begun.period.end(), at(3, 1, 0));
    }

    #[test]
    fn the_31st_is_kept_though_counting_begins_in_a_month_without_it() {
        let begun = day(31).begin(at(2, 10, 9), Tz::UTC, Term::MONTH).unwrap();
        assert_eq!(begun.period.end(), at(2, 28, 0));
        let ends: Vec<_> = (1..4).map(|n| begun.anchor.boundary(Term::MONTH, n).unwrap()).collect();
        assert_eq!(ends, [at(3, 31, 0), at(4, 30, 0), at(5, 31, 0)]);
        assert_eq!(begun.whole.start(), at(1, 31, 0));
    }

    #[test]
    fn days_and_weeks_have_no_day_of_the_month() {
        let pass = Term::try_new(30, super::super::TermUnit::Day).unwrap();
        let begun = day(1).begin(at(1, 15, 12), Tz::UTC, pass).unwrap();
        assert_eq!((begun.period.end(), begun.next), (at(2, 14, 12), 1));
    }

    #[test]
    fn counting_anew_in_a_short_month_keeps_the_day() {
        let first = BillingAnchor::at(at(1, 31, 9), Tz::UTC);
        let anew = first.again_at(at(2, 28, 9));
        assert_eq!(anew.boundary(Term::MONTH, 0), Ok(at(2, 28, 9)));
        assert_eq!(anew.boundary(Term::MONTH, 1), Ok(at(3, 31, 9)));
        assert_eq!(first.again_at(at(3, 31, 9)).day, None);
    }

    #[test]
    fn days_that_no_month_has_are_refused() {
        for day in [0, 32, 300] {
            assert_eq!(AnchorDay::try_new(day), Err(PeriodError::NoSuchDay(day)));
        }
        assert!(serde_json::from_str::<AnchorDay>("0").is_err());
        assert_eq!(serde_json::to_string(&day(5)).unwrap(), r#"{"day":5}"#);
        assert_eq!(serde_json::from_str::<AnchorRule>(r#""anniversary""#).unwrap(), AnchorRule::Anniversary);
    }
}
