//! The trial balance of a legal entity at the end of a day, and months that are closed.

use chrono::{Datelike as _, Months, NaiveDate, TimeDelta};
use chrono_tz::Tz;
use ottery_kernel::{Currency, EntityId, Money};

use super::export::{Csv, Day, text};

/// What one account received and gave through a day. Customers' accounts of a kind are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `receivable`, `wallet`, `provider:sandbox`, …
    pub account: String,
    /// Everything it received.
    pub debits: Money,
    /// Everything it gave.
    pub credits: Money,
}

impl Row {
    /// Debits less credits.
    #[must_use]
    pub const fn balance(&self) -> Money {
        Money::new(self.debits.minor - self.credits.minor, self.debits.currency)
    }
}

/// All accounts of an entity, of the beginning through a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialBalance {
    /// Whose books.
    pub entity: EntityId,
    /// The last day that is in it.
    pub through: NaiveDate,
    /// Whose days.
    pub zone: Tz,
    /// By currency and account.
    pub rows: Vec<Row>,
}

/// Columns of the CSV.
const HEAD: [&str; 7] = ["entity_id", "through", "currency", "account", "debits", "credits", "balance"];

impl TrialBalance {
    /// The currencies in which debits and credits differ, and by how much; none in books that are right.
    #[must_use]
    pub fn differences(&self) -> Vec<(Currency, i128)> {
        let mut sums = std::collections::BTreeMap::<Currency, i128>::new();
        for row in &self.rows {
            *sums.entry(row.debits.currency).or_default() +=
                i128::from(row.debits.minor) - i128::from(row.credits.minor);
        }
        sums.into_iter().filter(|(_, difference)| *difference != 0).collect()
    }

    /// As CSV (RFC 4180, UTF-8). The same books give the same bytes.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut sheet = Csv::new(Some(HEAD.as_slice()));
        for row in &self.rows {
            sheet.row([
                self.entity.to_string(),
                self.through.to_string(),
                row.debits.currency.to_string(),
                text(&row.account),
                row.debits.to_decimal(),
                row.credits.to_decimal(),
                row.balance().to_decimal(),
            ]);
        }
        sheet.finish()
    }
}

/// A calendar month of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month {
    /// Its first day.
    pub first: NaiveDate,
    /// Whose days.
    pub zone: Tz,
}

/// Text that names no month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no month; expected one such as 2026-11")]
pub struct MonthError(String);

impl Month {
    /// Reads `2026-11`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(written: &str, zone: Tz) -> Result<Self, MonthError> {
        let first = format!("{written}-01").parse().map_err(|_| MonthError(written.chars().take(20).collect()))?;
        Ok(Self { first, zone })
    }

    /// The month a day is in.
    #[must_use]
    pub fn of(day: NaiveDate, zone: Tz) -> Self {
        Self { first: day.with_day(1).unwrap_or(day), zone }
    }

    /// Its first instant, and the first instant after it.
    #[must_use]
    pub fn bounds(self) -> (chrono::DateTime<chrono::Utc>, chrono::DateTime<chrono::Utc>) {
        let day = |date| Day { date, zone: self.zone };
        (day(self.first).bounds().0, day(self.last()).bounds().1)
    }

    /// Its last day.
    #[must_use]
    pub fn last(self) -> NaiveDate {
        self.first.checked_add_months(Months::new(1)).map_or(self.first, |next| next - TimeDelta::days(1))
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.first.format("%Y-%m"))
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    #[test]
    fn a_month_begins_and_ends_where_the_entity_is() {
        let month = Month::parse("2026-02", Tz::Europe__Berlin).unwrap();
        let (from, to) = month.bounds();
        assert_eq!(from.to_rfc3339(), "2026-01-31T23:00:00+00:00");
        assert_eq!(to.to_rfc3339(), "2026-02-28T23:00:00+00:00");
        assert_eq!((month.to_string(), month.last().to_string()), ("2026-02".to_owned(), "2026-02-28".to_owned()));
        assert_eq!(Month::of(month.last(), Tz::Europe__Berlin), month);
        for wrong in ["2026-13", "2026", "nonsense", ""] {
            assert!(Month::parse(wrong, Tz::UTC).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_sheet_says_what_does_not_balance() {
        let row = |account: &str, debits, credits| Row {
            account: account.into(),
            debits: eur(debits),
            credits: eur(credits),
        };
        let entity = EntityId::new(DateTime::UNIX_EPOCH);
        let through = NaiveDate::from_ymd_opt(2026, 2, 28).unwrap();
        let mut balance = TrialBalance {
            entity,
            through,
            zone: Tz::UTC,
            rows: vec![row("receivable", 1190, 1190), row("revenue", 0, 1190), row("provider:sandbox", 1190, 0)],
        };
        assert!(balance.differences().is_empty());
        let csv = balance.csv();
        assert!(csv.contains("2026-02-28,EUR,revenue,0.00,11.90,-11.90\r\n"), "{csv}");
        balance.rows.pop();
        assert_eq!(balance.differences(), [(Currency::EUR, -1190)]);
    }
}
