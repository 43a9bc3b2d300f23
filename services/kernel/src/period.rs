//! Billing periods: half-open, derived from an anchor that never drifts.
//!
//! The n-th boundary is always computed from the anchor and never from the boundary before it. A subscription that
//! began on the 31st therefore renews on the last day of short months and comes back to the 31st.

mod rule;

use std::fmt;

use chrono::{
    DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

pub use rule::{AnchorDay, AnchorRule, Beginning};

/// The unit of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TermUnit {
    /// Calendar days of the billing zone; 23 or 25 hours when the clocks change.
    Day,
    /// Seven calendar days.
    Week,
    /// Calendar months with the anchor's day.
    Month,
    /// Twelve months.
    Year,
}

/// How long a period lasts: at least one day, week, month or year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawTerm")]
pub struct Term {
    count: u16,
    unit: TermUnit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTerm {
    count: u16,
    unit: TermUnit,
}

impl TryFrom<RawTerm> for Term {
    type Error = PeriodError;

    fn try_from(raw: RawTerm) -> Result<Self, PeriodError> {
        Self::try_new(raw.count, raw.unit)
    }
}

/// Why a term or period could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// A term of nothing.
    #[error("a term lasts at least 1 {0}")]
    EmptyTerm(TermUnit),
    /// The end is not after the start.
    #[error("a period ends after it starts, got {start} to {end}")]
    Backwards {
        /// The start that was given.
        start: DateTime<Utc>,
        /// The end that was given.
        end: DateTime<Utc>,
    },
    /// The boundary lies beyond the calendar.
    #[error("the period lies beyond the calendar; use a smaller number of terms")]
    OutOfRange,
    /// A day no month has.
    #[error("a month has the days 1 to 31 (31 is the last day of shorter months), got {0}")]
    NoSuchDay(u32),
}

impl fmt::Display for TermUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        })
    }
}

impl Term {
    /// One calendar month.
    pub const MONTH: Self = Self { count: 1, unit: TermUnit::Month };
    /// One calendar year.
    pub const YEAR: Self = Self { count: 1, unit: TermUnit::Year };

    /// That many units.
    ///
    /// # Errors
    /// When the count is zero.
    pub const fn try_new(count: u16, unit: TermUnit) -> Result<Self, PeriodError> {
        if count == 0 { Err(PeriodError::EmptyTerm(unit)) } else { Ok(Self { count, unit }) }
    }

    /// How many units.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.count
    }

    /// Which unit.
    #[must_use]
    pub const fn unit(self) -> TermUnit {
        self.unit
    }

    /// Whether it is counted in months, so that a day of the month means something to it.
    #[must_use]
    pub const fn has_months(self) -> bool {
        matches!(self.unit, TermUnit::Month | TermUnit::Year)
    }

    /// The date `n` terms after `anchor` (before it when negative), on `day` wherever the month has it.
    fn date_after(self, anchor: NaiveDate, day: u32, n: i64) -> Option<NaiveDate> {
        let units = n.checked_mul(i64::from(self.count))?;
        match self.unit {
            TermUnit::Day => days_after(anchor, units),
            TermUnit::Week => days_after(anchor, units.checked_mul(7)?),
            TermUnit::Month => day_of_month(months_after(anchor, units)?, day),
            TermUnit::Year => day_of_month(months_after(anchor, units.checked_mul(12)?)?, day),
        }
    }
}

fn days_after(date: NaiveDate, days: i64) -> Option<NaiveDate> {
    let distance = Days::new(days.unsigned_abs());
    if days < 0 { date.checked_sub_days(distance) } else { date.checked_add_days(distance) }
}

/// The first of the month so many months later.
fn months_after(date: NaiveDate, months: i64) -> Option<NaiveDate> {
    let distance = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    let first = date.with_day(1)?;
    if months < 0 { first.checked_sub_months(distance) } else { first.checked_add_months(distance) }
}

/// That day of the month of `date`, or the last one of a shorter month.
fn day_of_month(date: NaiveDate, day: u32) -> Option<NaiveDate> {
    (28..=31).rev().find_map(|last| date.with_day(day.min(last)))
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.count, self.unit)
    }
}

/// Where a subscription's periods are counted from: a local date and time in the billing zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BillingAnchor {
    /// The local date of the first period's start.
    pub date: NaiveDate,
    /// The billing zone, which decides what a local date is.
    pub zone: Tz,
    /// The local time of day at which periods change.
    pub time: NaiveTime,
    /// The day of the month periods of months return to, where it is not that of `date`: counting may begin in a month
    /// that has no such day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<AnchorDay>,
}

impl BillingAnchor {
    /// An anchor at exactly this instant, seen in `zone`.
    #[must_use]
    pub fn at(instant: DateTime<Utc>, zone: Tz) -> Self {
        let local = instant.with_timezone(&zone).naive_local();
        Self { date: local.date(), zone, time: local.time(), day: None }
    }

    /// The day of the month periods return to.
    #[must_use]
    pub fn day_of_month(&self) -> u32 {
        self.day.map_or_else(|| self.date.day(), AnchorDay::get)
    }

    /// Counting anew from `instant`, one of this anchor's own boundaries: the day of the month is kept, though a short
    /// month may have brought the boundary forward.
    #[must_use]
    pub fn again_at(&self, instant: DateTime<Utc>) -> Self {
        let anew = Self::at(instant, self.zone);
        // In a gap of the clock the boundary is later than its time of day; the next one is not.
        let time = if anew.date.and_time(self.time) < instant.with_timezone(&self.zone).naive_local() {
            self.time
        } else {
            anew.time
        };
        let is_short =
            anew.date.day() < self.day_of_month() && anew.date.succ_opt().is_some_and(|next| next.day() == 1);
        let day = if is_short { AnchorDay::try_new(self.day_of_month()).ok() } else { None };
        Self { time, day, ..anew }
    }

    /// The same local dates and times in another zone.
    #[must_use]
    pub const fn in_zone(self, zone: Tz) -> Self {
        Self { zone, ..self }
    }

    /// The instant at which period `n` begins, which is also where period `n - 1` ends.
    ///
    /// # Errors
    /// When the boundary lies beyond the calendar.
    pub fn boundary(&self, term: Term, n: u32) -> Result<DateTime<Utc>, PeriodError> {
        self.boundary_at(term, i64::from(n))
    }

    /// The whole term that ends where counting begins: what a shorter stretch before the first period is a part of.
    ///
    /// # Errors
    /// When it begins before the calendar.
    pub fn term_before(&self, term: Term) -> Result<Period, PeriodError> {
        Period::try_new(self.boundary_at(term, -1)?, self.boundary_at(term, 0)?)
    }

    fn boundary_at(&self, term: Term, n: i64) -> Result<DateTime<Utc>, PeriodError> {
        let date = term.date_after(self.date, self.day_of_month(), n).ok_or(PeriodError::OutOfRange)?;
        instant_of(self.zone, date.and_time(self.time)).ok_or(PeriodError::OutOfRange)
    }

    /// The number of the period that contains `instant`; none when it lies before the anchor.
    ///
    /// # Errors
    /// When the calendar ends before the period does.
    pub fn index_at(&self, term: Term, instant: DateTime<Utc>) -> Result<Option<u32>, PeriodError> {
        if instant < self.boundary(term, 0)? {
            return Ok(None);
        }
        // Doubles until the boundary lies behind the instant, then halves the gap: cheap even for daily terms.
        let (mut low, mut high) = (0_u32, 1_u32);
        while self.boundary(term, high)? <= instant {
            low = high;
            high = high.checked_mul(2).ok_or(PeriodError::OutOfRange)?;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.boundary(term, middle)? <= instant {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(Some(low))
    }
}

/// Period number `n` (the first is 0) counted from the anchor.
///
/// # Errors
/// When the period lies beyond the calendar.
pub fn period_after(anchor: &BillingAnchor, term: Term, n: u32) -> Result<Period, PeriodError> {
    let end = n.checked_add(1).ok_or(PeriodError::OutOfRange)?;
    Period::try_new(anchor.boundary(term, n)?, anchor.boundary(term, end)?)
}

/// The instant of a local date and time. A time the zone skips becomes the next one it has, a time it repeats is the
/// first of the two.
#[must_use]
pub fn instant_of(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    if let Some(instant) = zone.from_local_datetime(&local).earliest() {
        return Some(instant.with_timezone(&Utc));
    }
    // Zones change at whole minutes and skip a day at most (Samoa 2011), so the search is short.
    const GAP_MINUTES_MAX: i64 = 26 * 60;
    let minute = local.with_second(0)?.with_nanosecond(0)?;
    (1..=GAP_MINUTES_MAX)
        .filter_map(|minutes| minute.checked_add_signed(TimeDelta::minutes(minutes)))
        .find_map(|candidate| zone.from_local_datetime(&candidate).earliest())
        .map(|instant| instant.with_timezone(&Utc))
}

/// A half-open stretch of time: the start belongs to it, the end to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawPeriod")]
pub struct Period {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPeriod {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl TryFrom<RawPeriod> for Period {
    type Error = PeriodError;

    fn try_from(raw: RawPeriod) -> Result<Self, PeriodError> {
        Self::try_new(raw.start, raw.end)
    }
}

impl Period {
    /// The stretch from `start` up to, not including, `end`.
    ///
    /// # Errors
    /// When the end is not after the start.
    pub fn try_new(start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Self, PeriodError> {
        if end > start { Ok(Self { start, end }) } else { Err(PeriodError::Backwards { start, end }) }
    }

    /// The first instant inside.
    #[must_use]
    pub const fn start(self) -> DateTime<Utc> {
        self.start
    }

    /// The first instant after.
    #[must_use]
    pub const fn end(self) -> DateTime<Utc> {
        self.end
    }

    /// How long it lasts.
    #[must_use]
    pub fn duration(self) -> TimeDelta {
        self.end - self.start
    }

    /// Whether the instant lies inside.
    #[must_use]
    pub fn contains(self, instant: DateTime<Utc>) -> bool {
        self.start <= instant && instant < self.end
    }

    /// How much is left at `now`: the whole before the start, nothing after the end.
    #[must_use]
    pub fn remaining(self, now: DateTime<Utc>) -> TimeDelta {
        self.end - now.clamp(self.start, self.end)
    }

    /// What is left at `now` as an exact ratio of whole seconds, for
    /// [`Money::mul_ratio`](crate::Money::mul_ratio): `(left, whole)`.
    #[must_use]
    pub fn remaining_ratio(self, now: DateTime<Utc>) -> (i64, i64) {
        // A period shorter than a second has no ratio of seconds; the denominator stays usable.
        (self.remaining(now).num_seconds(), self.duration().num_seconds().max(1))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.start.to_rfc3339(), self.end.to_rfc3339())
    }
}

#[cfg(test)]
mod tests;
