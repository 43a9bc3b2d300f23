//! Exports of a day.

use chrono::NaiveDate;
use ottery_kit::grpc::{Actor, Problem};
use ottery_proto::billing::v1 as proto;
use uuid::Uuid;

use super::Caller;
use crate::app::Billing;
use crate::app::export::{Cursor, Span};
use crate::store::export::After;

pub(super) async fn export_day(
    app: &Billing,
    actor: Actor,
    request: proto::ExportDayRequest,
) -> Result<proto::ExportDayReply, Problem> {
    let (permission, name, first) = match request.book() {
        proto::export_day_request::Book::Invoices => ("invoice.read", "invoices", Cursor::Invoices(After::default())),
        proto::export_day_request::Book::Journal => ("ledger.read", "journal", Cursor::Journal(None)),
        proto::export_day_request::Book::Deferred => return deferred(app, actor, request).await,
        proto::export_day_request::Book::Unspecified => {
            let message = "book: say which one: invoices, journal or deferred revenue";
            return Err(Problem::invalid("book", "BOOK_INVALID", message));
        }
    };
    let caller = Caller::staff(actor, permission)?;
    if !request.month.is_empty() {
        let message = format!("month: {name} are exported day by day; name a day");
        return Err(Problem::invalid("month", "MONTH_UNSUPPORTED", message));
    }
    let day = day_of(&request.day)?;
    let cursor = match request.cursor.as_str() {
        "" => first,
        text => cursor_of(text).filter(|cursor| is_of(cursor, &first)).ok_or_else(|| {
            Problem::invalid("cursor", "CURSOR_INVALID", "cursor is none of this export; start from the first page")
        })?,
    };
    let sheet = app.export_day(caller.brand, day, cursor).await?;
    Ok(proto::ExportDayReply {
        csv: sheet.csv,
        next_cursor: sheet.next.map(|cursor| text_of(&cursor)).unwrap_or_default(),
        file_name: format!("{name}-{day}.csv"),
    })
}

fn day_of(text: &str) -> Result<NaiveDate, Problem> {
    text.parse().map_err(|_| {
        let message = format!("day `{text}` is no date; expected one such as 2026-11-26");
        Problem::invalid("day", "DAY_INVALID", message)
    })
}

/// A row per day and currency: a month is one page.
async fn deferred(
    app: &Billing,
    actor: Actor,
    request: proto::ExportDayRequest,
) -> Result<proto::ExportDayReply, Problem> {
    let caller = Caller::staff(actor, "ledger.read")?;
    let (span, named) = match (request.day.as_str(), request.month.as_str()) {
        (day, "") => (Span::Day(day_of(day)?), day),
        ("", month) => (Span::Month(month.to_owned()), month),
        (_, _) => {
            let message = "month: name either a day or a month, not both";
            return Err(Problem::invalid("month", "SPAN_AMBIGUOUS", message));
        }
    };
    Ok(proto::ExportDayReply {
        csv: app.export_deferred(caller.brand, &span).await?,
        next_cursor: String::new(),
        file_name: format!("deferred-revenue-{named}.csv"),
    })
}

/// `i.<year>.<sequence>-<part>.<series>`, `c.…` alike, `j.<id>`.
fn text_of(cursor: &Cursor) -> String {
    let number =
        |letter, after: &After| format!("{letter}.{}.{}-{}.{}", after.year, after.sequence, after.part, after.series);
    match cursor {
        Cursor::Invoices(after) => number('i', after),
        Cursor::CreditNotes(after) => number('c', after),
        Cursor::Journal(after) => format!("j.{}", after.unwrap_or_default().simple()),
    }
}

fn cursor_of(text: &str) -> Option<Cursor> {
    let (letter, rest) = text.split_once('.')?;
    if letter == "j" {
        return Uuid::try_parse(rest).ok().map(|id| Cursor::Journal(Some(id)));
    }
    let mut fields = rest.splitn(3, '.');
    let (year, number, series) = (fields.next()?, fields.next()?, fields.next()?);
    let (sequence, part) = number.split_once('-')?;
    let after = After {
        year: year.parse().ok()?,
        sequence: sequence.parse().ok()?,
        part: part.parse().ok()?,
        series: series.to_owned(),
    };
    match letter {
        "i" => Some(Cursor::Invoices(after)),
        "c" => Some(Cursor::CreditNotes(after)),
        _ => None,
    }
}

/// Whether a cursor belongs to the book that begins with `first`.
const fn is_of(cursor: &Cursor, first: &Cursor) -> bool {
    matches!(cursor, Cursor::Journal(_)) == matches!(first, Cursor::Journal(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_way_to_the_caller_and_back() {
        let after = After { series: "INV.A-1".into(), year: 2026, sequence: 12, part: 3 };
        for cursor in [
            Cursor::Invoices(after.clone()),
            Cursor::CreditNotes(after),
            Cursor::CreditNotes(After::default()),
            Cursor::Journal(Some(Uuid::from_u128(7))),
        ] {
            assert_eq!(cursor_of(&text_of(&cursor)), Some(cursor));
        }
        for text in ["", "x", "i.2026", "q.1.2-1.A", "j.zz", "i.a.b-1.c", "i.2026.12.A"] {
            assert_eq!(cursor_of(text), None);
        }
    }
}
