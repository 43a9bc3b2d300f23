//! One day of a brand for its accountants, page by page; deferred revenue of a month, too.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use ottery_kernel::BrandId;
use ottery_kit::grpc::Problem;
use uuid::Uuid;

use super::{Billing, broken, profile};
use crate::domain::deferred_sheet::sheet;
use crate::domain::export::{Day, Issued, invoices, journal};
use crate::domain::invoice::Number;
use crate::domain::trial_balance::Month;
use crate::store::export::{self, After};

/// Documents or transfers of a page: a few hundred kilobytes.
const PAGE_ROWS: i64 = 1_000;
/// How long after its end a day is closed: whatever began before midnight is committed by then.
const SETTLING: TimeDelta = TimeDelta::minutes(10);

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// Invoices after this number.
    Invoices(After),
    /// Credit notes, which follow the invoices, after this number.
    CreditNotes(After),
    /// Transfers after this one.
    Journal(Option<Uuid>),
}

/// What deferred revenue is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// A day.
    Day(NaiveDate),
    /// A month, such as `2026-11`.
    Month(String),
}

/// A page as CSV.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// Rows; the first page begins with the head.
    pub csv: String,
    /// Where the next page begins.
    pub next: Option<Cursor>,
}

impl Billing {
    /// A page of one day, which must be over in the legal entity's zone.
    ///
    /// # Errors
    /// When the day is not over, or the brand is unknown.
    pub async fn export_day(&self, brand: BrandId, date: NaiveDate, cursor: Cursor) -> Result<Sheet, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let day = Day { date, zone: profile(&mut tx, brand).await?.entity.zone };
        let bounds = day.bounds();
        is_over(day, "day", now)?;
        match cursor {
            Cursor::Invoices(after) => {
                let page = export::invoices(&mut tx, bounds, &after, PAGE_ROWS).await?;
                let next = match last_of(&page) {
                    Some(last) => Cursor::Invoices(last),
                    None => Cursor::CreditNotes(After::default()),
                };
                let csv = invoices(day, &page, after == After::default()).map_err(broken)?;
                Ok(Sheet { csv, next: Some(next) })
            }
            Cursor::CreditNotes(after) => {
                let page = export::credit_notes(&mut tx, bounds, &after, PAGE_ROWS).await?;
                let csv = invoices(day, &page, false).map_err(broken)?;
                Ok(Sheet { csv, next: last_of(&page).map(Cursor::CreditNotes) })
            }
            Cursor::Journal(after) => {
                let page = export::transfers(&mut tx, bounds, after, PAGE_ROWS).await?;
                let last = page.last().filter(|_| is_full(page.len()));
                let next = last.map(|transfer| Cursor::Journal(Some(transfer.id.as_uuid())));
                Ok(Sheet { csv: journal(day, &page, after.is_none()), next })
            }
        }
    }
}

impl Billing {
    /// What moved deferred revenue, day by day, as CSV; all of it must be over in the legal entity's zone.
    ///
    /// # Errors
    /// When its last day is not over, or the month is none.
    pub async fn export_deferred(&self, brand: BrandId, span: &Span) -> Result<String, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let zone = profile(&mut tx, brand).await?.entity.zone;
        let (field, first, last) = match span {
            Span::Day(day) => ("day", *day, *day),
            Span::Month(written) => {
                let month = Month::parse(written, zone)
                    .map_err(|error| Problem::invalid("month", "MONTH_INVALID", format!("month: {error}")))?;
                ("month", month.first, month.last())
            }
        };
        is_over(Day { date: last, zone }, field, now)?;
        let days: Vec<Day> =
            first.iter_days().take_while(|date| *date <= last).map(|date| Day { date, zone }).collect();
        let opening = export::deferred_before(&mut tx, Day { date: first, zone }.bounds().0).await?;
        let moved = export::deferred_moves(&mut tx, &days).await?;
        sheet((first, last), &opening, &moved).map_err(broken)
    }
}

/// Refuses a day that may still get bookings.
fn is_over(day: Day, field: &'static str, now: DateTime<Utc>) -> Result<(), Problem> {
    let end = day.bounds().1;
    if end + SETTLING <= now {
        return Ok(());
    }
    let message = format!(
        "{field}: {} ends at {} in {} and can be exported 10 minutes later; ask for an earlier one",
        day.date,
        end.to_rfc3339(),
        day.zone
    );
    Err(Problem::invalid(field, "DAY_NOT_OVER", message))
}

fn is_full(count: usize) -> bool {
    i64::try_from(count).is_ok_and(|count| count == PAGE_ROWS)
}

/// The number a full page ends with.
fn last_of(page: &[Issued]) -> Option<After> {
    let last = page.last().filter(|_| is_full(page.len()))?;
    let Number { series, year, sequence } = last.number.clone();
    Some(After { series, year, sequence, part: last.part })
}
