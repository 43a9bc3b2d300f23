//! The account of deferred revenue day by day as CSV: what it opened with, what moved it, what it closed with.
//!
//! By the days on which things were booked, as in the journal; so a day that is over gives the same bytes whenever it is
//! asked for, and its closing balance is the opening one of the next.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use ottery_kernel::{Currency, Money, MoneyError};

use super::export::Csv;

/// Columns; one row per day and currency.
const HEAD: [&str; 8] = ["day", "currency", "opening", "deferred", "recognised", "credited", "released", "closing"];

/// Why deferred revenue moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Movement {
    /// A term was paid.
    Deferred,
    /// Days passed.
    Recognised,
    /// A credit note took it back.
    Credited,
    /// Nothing more will be served for it.
    Released,
}

impl Movement {
    /// What a booking of this kind is to deferred revenue; none when it never moves any.
    #[must_use]
    pub fn of_kind(kind: &str) -> Option<Self> {
        match kind {
            "revenue.deferred" => Some(Self::Deferred),
            "revenue.recognised" => Some(Self::Recognised),
            "revenue.credited" => Some(Self::Credited),
            "revenue.released" => Some(Self::Released),
            _ => None,
        }
    }
}

/// What moved, by day, currency and reason, in minor units; what leaves the account is below zero.
pub type Moved = BTreeMap<NaiveDate, BTreeMap<Currency, BTreeMap<Movement, i64>>>;

/// The days from `first` through `last`. A currency has a row on every one of them from the day on which it has a balance or
/// moves.
///
/// # Errors
/// When a balance does not fit.
pub fn sheet(
    (first, last): (NaiveDate, NaiveDate),
    opening: &BTreeMap<Currency, i64>,
    moved: &Moved,
) -> Result<String, MoneyError> {
    let mut page = Csv::new(Some(&HEAD));
    let mut balances = opening.clone();
    balances.retain(|_, minor| *minor != 0);
    for day in first.iter_days().take_while(|day| *day <= last) {
        let today = moved.get(&day);
        for currency in today.into_iter().flat_map(BTreeMap::keys) {
            balances.entry(*currency).or_default();
        }
        for (currency, balance) in &mut balances {
            let parts = today.and_then(|today| today.get(currency));
            let of =
                |movement| Money::new(parts.and_then(|parts| parts.get(&movement)).copied().unwrap_or(0), *currency);
            let opening = Money::new(*balance, *currency);
            let columns = [Movement::Deferred, Movement::Recognised, Movement::Credited, Movement::Released].map(of);
            let closing = columns.iter().try_fold(opening, |sum, part| sum.checked_add(*part))?;
            let [deferred, recognised, credited, released] = columns.map(|part| part.to_decimal());
            page.row([
                day.to_string(),
                currency.to_string(),
                opening.to_decimal(),
                deferred,
                recognised,
                credited,
                released,
                closing.to_decimal(),
            ]);
            *balance = closing.minor;
        }
    }
    Ok(page.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, number).unwrap()
    }

    #[test]
    fn each_day_opens_with_what_the_day_before_closed_with() {
        let opening = BTreeMap::from([(Currency::EUR, 1000), (Currency::USD, 0)]);
        let moved = Moved::from([
            (
                day(2),
                BTreeMap::from([(
                    Currency::EUR,
                    BTreeMap::from([(Movement::Recognised, -100), (Movement::Deferred, 2605)]),
                )]),
            ),
            (
                day(3),
                BTreeMap::from([
                    (Currency::EUR, BTreeMap::from([(Movement::Credited, -5), (Movement::Released, -3500)])),
                    (Currency::JPY, BTreeMap::from([(Movement::Deferred, 900)])),
                ]),
            ),
        ]);
        let csv = sheet((day(1), day(4)), &opening, &moved).unwrap();
        let rows: Vec<_> = csv.lines().collect();
        assert_eq!(
            rows,
            [
                "day,currency,opening,deferred,recognised,credited,released,closing",
                "2026-11-01,EUR,10.00,0.00,0.00,0.00,0.00,10.00",
                "2026-11-02,EUR,10.00,26.05,-1.00,0.00,0.00,35.05",
                "2026-11-03,EUR,35.05,0.00,0.00,-0.05,-35.00,0.00",
                "2026-11-03,JPY,0,900,0,0,0,900",
                "2026-11-04,EUR,0.00,0.00,0.00,0.00,0.00,0.00",
                "2026-11-04,JPY,900,0,0,0,0,900",
            ]
        );
    }

    #[test]
    fn days_without_anything_are_a_head() {
        assert_eq!(sheet((day(1), day(4)), &BTreeMap::new(), &Moved::new()).unwrap().lines().count(), 1);
    }
}
