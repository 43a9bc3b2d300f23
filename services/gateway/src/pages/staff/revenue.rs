//! Deferred revenue as staff sees it.

use axum::extract::State;
use axum::response::Response;
use chrono::{Months, NaiveDate};
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::export_day_request::Book;

use super::desk::Desk;
use crate::api::invoices::file;
use crate::pages::block::{Block, Cell, Field, Form, Stat, Table, Tone};
use crate::pages::frame::{Page, Ui};
use crate::problem::Reply;
use crate::state::AppState;

/// `GET /staff/b/{brand}/ledger/deferred`
pub async fn deferred(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = billing::GetDeferredRevenueRequest { from: ui.query.text("from"), to: ui.query.text("to") };
    let found = state.clients.billing(&desk.call()).get_deferred_revenue(asked).await?.into_inner();
    let manner = desk.manner(&state);
    let here = desk.at("/ledger/deferred");
    let mut page = Page::new("Deferred revenue")
        .up("Ledger", desk.at("/ledger"))
        .intro("What was paid for a term becomes revenue day by day, in the zone of the legal entity.");
    let stats = found.outlooks.iter().map(|outlook| Stat {
        label: "Deferred".into(),
        value: manner.money(outlook.total.as_ref()),
        note: match &outlook.paused {
            Some(paused) if paused.minor > 0 => format!("{} of it is paused", manner.money(Some(paused))),
            _ => String::new(),
        },
        href: String::new(),
    });
    let stats: Vec<_> = stats.collect();
    if !stats.is_empty() {
        page = page.with(Block::Stats(stats));
    }
    let months = found.outlooks.iter().flat_map(|outlook| &outlook.months);
    let months = months.map(|one| vec![Cell::text(&one.month), Cell::number(manner.money(one.amount.as_ref()))]);
    let schedule = Table::new("Becomes revenue in", &["Month", "#Amount"], "Nothing is deferred.").rows(months);
    let days = found.days.iter();
    let days = days.map(|one| vec![Cell::text(&one.day), Cell::number(manner.money(one.amount.as_ref()))]);
    let title = format!("Became revenue from {} to {}", found.from, found.to);
    let past = Table::new(title, &["Day", "#Amount"], "Nothing became revenue in these days.").rows(days);
    let mut form = Form::new("Other days", here, "Show")
        .tone(Tone::Info)
        .field(Field::new("date", "from", "First day").half().value(&found.from).required())
        .field(Field::new("date", "to", "Last day").half().value(&found.to).required());
    form.is_get = true;
    let mut sheet = Form::new("For your accountants", desk.at("/ledger/deferred.csv"), "Download as CSV")
        .intro("What moved deferred revenue on each day of a month that is over. The same month gives the same file.")
        .tone(Tone::Info)
        .field(Field::new("month", "month", "Month").value(month_before(&found.to)).required());
    sheet.is_get = true;
    let page = page.with(Block::Table(schedule)).with(Block::Table(past)).with(Block::Form(form));
    desk.show(&ui, page.with(Block::Form(sheet)))
}

/// `GET /staff/b/{brand}/ledger/deferred.csv`
pub async fn deferred_csv(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = billing::ExportDayRequest {
        book: Book::Deferred.into(),
        day: ui.query.text("day"),
        month: ui.query.text("month"),
        cursor: String::new(),
    };
    let sheet = state.clients.billing(&desk.call()).export_day(asked).await?.into_inner();
    file(&sheet.file_name, "text/csv; charset=utf-8; header=present", sheet.csv)
}

/// The last month that is over on that day, as `2026-10`; empty when it is no day.
fn month_before(day: &str) -> String {
    let day = day.parse::<NaiveDate>().ok().and_then(|day| day.checked_sub_months(Months::new(1)));
    day.map(|day| day.format("%Y-%m").to_string()).unwrap_or_default()
}
