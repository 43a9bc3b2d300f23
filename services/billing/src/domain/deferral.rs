//! Money for time that has not passed: what was paid for a term becomes revenue day by day.
//!
//! A term of so many days is cut as [`Money::split`] cuts it, so the days add up to the whole: every day has the same
//! share, and the first ones one minor unit more when it does not go evenly. A day counts when it begins, in the zone of
//! the legal entity, so that the last day of a month is in that month's books.

use chrono::{DateTime, Datelike as _, Months, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use ottery_kernel::{Currency, EntityId, InvoiceId, Money, MoneyError, Period, SubscriptionId};
use uuid::Uuid;

use super::line::Line;

/// What is spread over which days, and how far that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// What is spread.
    pub amount: Money,
    /// Its first day.
    pub first: NaiveDate,
    /// Over how many days; at least one.
    pub days: u32,
    /// How many of them have begun and are recognised.
    pub done: u32,
}

impl Spread {
    /// An amount over the days of a period: from the day it starts on to the day before it ends on. A period within one
    /// day is that day.
    #[must_use]
    pub fn over(amount: Money, period: Period, zone: Tz) -> Self {
        let (first, end) = (local(period.start(), zone), local(period.end(), zone));
        let days = u32::try_from((end - first).num_days()).unwrap_or(0).max(1);
        Self { amount, first, days, done: 0 }
    }

    /// What the first `count` days come to.
    #[must_use]
    pub fn through(&self, count: u32) -> Money {
        let (days, count) = (i64::from(self.days.max(1)), i64::from(count.min(self.days)));
        let (each, more) = (self.amount.minor / days, self.amount.minor % days);
        Money::new(each * count + more.min(count), self.amount.currency)
    }

    /// What is recognised.
    #[must_use]
    pub fn recognised(&self) -> Money {
        self.through(self.done)
    }

    /// What is left to recognise.
    #[must_use]
    pub fn left(&self) -> Money {
        Money::new(self.amount.minor - self.recognised().minor, self.amount.currency)
    }

    /// The day that is recognised next; none when all are.
    #[must_use]
    pub fn next_day(&self) -> Option<NaiveDate> {
        (self.done < self.days).then(|| self.first + TimeDelta::days(i64::from(self.done)))
    }

    /// Recognises the days that have begun on `today`: each with what it comes to.
    pub fn recognise(&mut self, today: NaiveDate) -> Vec<(NaiveDate, Money)> {
        let mut recognised = Vec::new();
        while let Some(day) = self.next_day().filter(|day| *day <= today) {
            let share = self.through(self.done + 1).minor - self.through(self.done).minor;
            self.done += 1;
            recognised.push((day, Money::new(share, self.amount.currency)));
        }
        recognised
    }

    /// What is left to recognise, by the first days of months.
    #[must_use]
    pub fn left_by_month(&self) -> Vec<(NaiveDate, Money)> {
        let mut months = Vec::new();
        let mut done = self.done;
        while done < self.days {
            let month = month_of(self.first + TimeDelta::days(i64::from(done)));
            let next = month.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX);
            let end = u32::try_from((next - self.first).num_days()).unwrap_or(u32::MAX).min(self.days).max(done + 1);
            let share = self.through(end).minor - self.through(done).minor;
            months.push((month, Money::new(share, self.amount.currency)));
            done = end;
        }
        months
    }

    /// Takes up to `off` out of what is left, and spreads the rest over the days that are left. Returns what was taken.
    pub fn cut(&mut self, off: Money) -> Money {
        let left = self.left();
        let taken = Money::new(off.minor.clamp(0, left.minor), left.currency);
        if let (Some(first), true) = (self.next_day(), taken.is_positive()) {
            let rest = Money::new(left.minor - taken.minor, left.currency);
            *self = Self { amount: rest, first, days: self.days - self.done, done: 0 };
        }
        taken
    }

    /// Begins so many days later: time stood still.
    pub fn shift(&mut self, days: i64) {
        self.first += TimeDelta::days(days);
    }
}

/// The day an instant belongs to.
#[must_use]
pub fn local(at: DateTime<Utc>, zone: Tz) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// The first day of its month.
#[must_use]
pub fn month_of(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

/// What was paid for a period of a subscription, without tax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferral {
    /// Its row.
    pub id: Uuid,
    /// In whose books.
    pub entity: EntityId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The invoice that was paid.
    pub invoice: InvoiceId,
    /// What was deferred.
    pub amount: Money,
    /// What became revenue by the passing of days.
    pub recognised: Money,
    /// What was taken out before its time.
    pub taken: Money,
    /// How the rest is spread.
    pub spread: Spread,
    /// Since when time stands still.
    pub paused_on: Option<NaiveDate>,
}

impl Deferral {
    /// A new one, spread over `spread`.
    #[must_use]
    pub fn new(entity: EntityId, subscription: SubscriptionId, invoice: InvoiceId, spread: Spread) -> Self {
        let nothing = Money::zero(spread.amount.currency);
        Self {
            id: Uuid::now_v7(),
            entity,
            subscription,
            invoice,
            amount: spread.amount,
            recognised: nothing,
            taken: nothing,
            spread,
            paused_on: None,
        }
    }

    /// The day it waits for; none when nothing is left or time stands still.
    #[must_use]
    pub fn next_day(&self) -> Option<NaiveDate> {
        self.spread.next_day().filter(|_| self.paused_on.is_none() && self.spread.left().is_positive())
    }

    /// Recognises the days that have begun on `today`.
    pub fn recognise(&mut self, today: NaiveDate) -> Vec<(NaiveDate, Money)> {
        if self.paused_on.is_some() {
            return Vec::new();
        }
        let days = self.spread.recognise(today);
        self.recognised.minor += days.iter().map(|(_, share)| share.minor).sum::<i64>();
        days
    }

    /// Takes up to `off` out before its time; returns what was taken.
    pub fn take(&mut self, off: Money) -> Money {
        let taken = self.spread.cut(off);
        self.taken.minor += taken.minor;
        taken
    }

    /// Takes everything out that is left.
    pub fn take_all(&mut self) -> Money {
        self.take(self.spread.left())
    }

    /// Time stands still from `today` on.
    pub fn pause(&mut self, today: NaiveDate) {
        self.paused_on = self.paused_on.or(Some(today));
    }

    /// Time goes on from `today` on: what was left is left from then.
    pub fn take_up(&mut self, today: NaiveDate) {
        if let Some(since) = self.paused_on.take() {
            self.spread.shift((today - since).num_days());
        }
    }
}

/// What these lines charge for time, without tax: everything but one-time fees. Credits for unused time are in it.
///
/// # Errors
/// When an amount does not fit or has another currency.
pub fn net_of_time(currency: Currency, lines: &[Line]) -> Result<Money, MoneyError> {
    let mut net = lines.iter().filter(|line| !line.how.is_once()).map(|line| line.amount.checked_sub(line.tax));
    net.try_fold(Money::zero(currency), |sum, net| sum.checked_add(net?))
}

/// What these lines give back for time that was not used, without tax; never below zero.
///
/// # Errors
/// When an amount does not fit or has another currency.
pub fn net_unused(currency: Currency, lines: &[Line]) -> Result<Money, MoneyError> {
    let net = lines.iter().filter(|line| !line.how.is_once() && line.how.gives_back());
    let mut net = net.map(|line| line.tax.checked_sub(line.amount));
    net.try_fold(Money::zero(currency), |sum, net| sum.checked_add(net?))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;
    use ottery_kernel::Term;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::calendar::Stretch;
    use crate::domain::option::tests::{quantity, with_options};
    use crate::domain::proration::tests::offer;
    use crate::domain::quote::stretch_lines;
    use crate::domain::tax::Tax;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() + TimeDelta::days(i64::from(number))
    }

    fn spread(minor: i64, days: u32) -> Spread {
        Spread { amount: eur(minor), first: day(0), days, done: 0 }
    }

    #[test]
    fn a_day_counts_when_it_begins_where_the_entity_is() {
        let at = |month, day, hour| Utc.with_ymd_and_hms(2026, month, day, hour, 30, 0).unwrap();
        // 23:30 UTC is the next day in Berlin.
        let january = Period::try_new(at(1, 14, 23), at(2, 14, 23)).unwrap();
        let mut month = Spread::over(eur(3100), january, Tz::Europe__Berlin);
        assert_eq!((month.first, month.days), (day(14), 31));
        assert!(month.recognise(day(13)).is_empty());
        assert_eq!(month.recognise(day(14)), [(day(14), eur(100))]);
        assert!(month.recognise(day(14)).is_empty(), "a day counts once");
        let caught_up = month.recognise(day(16));
        assert_eq!(caught_up, [(day(15), eur(100)), (day(16), eur(100))]);
        let hour = Period::try_new(at(1, 14, 1), at(1, 14, 2)).unwrap();
        assert_eq!(Spread::over(eur(1), hour, Tz::UTC).days, 1);
    }

    #[test]
    fn what_is_taken_out_is_taken_from_what_is_left_and_the_rest_goes_on() {
        let mut month = spread(3000, 30);
        month.recognise(day(9));
        assert_eq!((month.recognised(), month.left()), (eur(1000), eur(2000)));
        assert_eq!(month.cut(eur(500)), eur(500));
        assert_eq!((month.first, month.days, month.left()), (day(10), 20, eur(1500)));
        assert_eq!(month.cut(eur(9000)), eur(1500), "no more than is left");
        assert!(month.left().is_zero());
        let mut paused = spread(3000, 30);
        paused.recognise(day(9));
        paused.shift(7);
        assert_eq!(paused.next_day(), Some(day(17)));
        assert_eq!(paused.left(), eur(2000));
    }

    #[test]
    fn what_is_left_is_planned_by_months() {
        let mut term = spread(5900, 59);
        term.recognise(day(9));
        let month = |number| NaiveDate::from_ymd_opt(2026, number, 1).unwrap();
        assert_eq!(term.left_by_month(), [(month(1), eur(2100)), (month(2), eur(2800))]);
    }

    #[test]
    fn one_time_fees_are_not_for_time() {
        let mut sold = offer(1190, Term::MONTH);
        sold.setup_fee = Some(eur(595));
        let at = |month| Utc.with_ymd_and_hms(2026, month, 1, 0, 0, 0).unwrap();
        let june = Stretch::term(Period::try_new(at(6), at(7)).unwrap());
        let lines = stretch_lines(&sold, &june, &Tax::contained(1900), true, None).unwrap().lines;
        assert_eq!(net_of_time(Currency::EUR, &lines), Ok(eur(1000)));
        // Two more streams are paid for a month like the plan; connecting them is paid once.
        let mut more = with_options(1190, Term::MONTH).choose(&[quantity("streams", 4)]).unwrap();
        (more.options[0].unit_price, more.options[0].setup_fee) = (eur(119), eur(238));
        let lines = stretch_lines(&more, &june, &Tax::contained(1900), true, None).unwrap().lines;
        assert_eq!(lines.iter().map(|line| line.amount.minor).collect::<Vec<_>>(), [1190, 238, 476]);
        assert_eq!(net_of_time(Currency::EUR, &lines), Ok(eur(1200)));
    }

    proptest! {
        #[test]
        fn the_days_are_the_largest_remainder_parts_of_the_whole(minor in 1_i64..1_000_000, days in 1_u32..400) {
            let mut term = spread(minor, days);
            let planned: i64 = term.left_by_month().iter().map(|(_, share)| share.minor).sum();
            prop_assert_eq!(planned, minor);
            let shares: Vec<_> = term.recognise(day(days)).into_iter().map(|(_, share)| share).collect();
            prop_assert_eq!(&shares, &eur(minor).split(days).unwrap());
            prop_assert!(term.left().is_zero() && term.next_day().is_none());
            prop_assert!(term.left_by_month().is_empty());
        }

        #[test]
        fn whatever_happens_in_between_nothing_is_made_or_lost(
            minor in 1_i64..100_000, days in 1_u32..60,
            steps in proptest::collection::vec((0_u32..20, 0_i64..5_000, 0_i64..9), 0..8),
        ) {
            let mut term = spread(minor, days);
            let (mut recognised, mut taken, mut today) = (0, 0, day(0));
            for (wait, off, pause) in steps {
                today += TimeDelta::days(wait.into());
                recognised += term.recognise(today).iter().map(|(_, share)| share.minor).sum::<i64>();
                taken += term.cut(eur(off)).minor;
                term.shift(pause);
                prop_assert_eq!(recognised + taken + term.left().minor, minor);
            }
            recognised += term.recognise(day(1000)).iter().map(|(_, share)| share.minor).sum::<i64>();
            prop_assert_eq!(recognised + taken, minor);
            prop_assert!(term.left().is_zero());
        }
    }
}
