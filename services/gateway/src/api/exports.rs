//! One day as CSV: documents, journal and deferred revenue, the last one of a month, too.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures::stream;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::export_day_request::Book;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::invoices::file;
use crate::limits::Query;
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

/// Which day.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DayQuery {
    /// A day of the legal entity's zone that is over, such as `2026-11-26`.
    day: String,
}

/// Which day or month.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SpanQuery {
    /// A day of the legal entity's zone that is over, such as `2026-11-26`; either this or `month`.
    #[serde(default)]
    day: String,
    /// A month that is over, such as `2026-11`.
    #[serde(default)]
    month: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(invoices)).routes(routes!(journal)).routes(routes!(deferred))
}

/// Export the invoices of a day.
///
/// Invoices and credit notes issued that day, by number; one row per document and tax rate. What may change later (paid,
/// void) is not in it, so the same day gives the same bytes.
#[utoipa::path(get, path = "/exports/invoices.csv", tag = "exports", operation_id = "export_invoices", params(DayQuery), responses((status = 200, content_type = "text/csv", body = String)))]
async fn invoices(State(state): State<AppState>, caller: Caller, Query(query): Query<DayQuery>) -> Reply<Response> {
    export(state, caller, query.into(), Book::Invoices).await
}

/// Export the journal of a day.
///
/// Two rows per posted transfer, its debit and its credit; both columns have the same sum in every currency.
#[utoipa::path(get, path = "/exports/journal.csv", tag = "exports", operation_id = "export_journal", params(DayQuery), responses((status = 200, content_type = "text/csv", body = String)))]
async fn journal(State(state): State<AppState>, caller: Caller, Query(query): Query<DayQuery>) -> Reply<Response> {
    export(state, caller, query.into(), Book::Journal).await
}

/// Export the deferred revenue of a day or a month.
///
/// A row per day and currency: what was deferred when the day began, what was paid for terms, what became revenue by the
/// passing of days, what credit notes took back, what was released because nothing more will be served for it, and what was
/// deferred when the day ended. By the days on which it was booked, as in the journal, so the same day gives the same bytes.
#[utoipa::path(get, path = "/exports/deferred-revenue.csv", tag = "exports", operation_id = "export_deferred_revenue", params(SpanQuery), responses((status = 200, content_type = "text/csv", body = String)))]
async fn deferred(State(state): State<AppState>, caller: Caller, Query(query): Query<SpanQuery>) -> Reply<Response> {
    export(state, caller, query, Book::Deferred).await
}

impl From<DayQuery> for SpanQuery {
    fn from(query: DayQuery) -> Self {
        Self { day: query.day, month: String::new() }
    }
}

/// Sends page after page as they are asked for, one in memory at a time. What is wrong with the request shows in the first
/// page, which is fetched before the answer begins; when a later one fails the answer breaks off and is no complete file.
async fn export(state: AppState, caller: Caller, query: SpanQuery, book: Book) -> Reply<Response> {
    let first =
        billing::ExportDayRequest { book: book.into(), day: query.day, month: query.month, cursor: String::new() };
    let page = state.clients.billing(&caller.call()).export_day(first.clone()).await?.into_inner();
    let name = page.file_name.clone();
    let pages = stream::try_unfold((state, caller, first, Some(page)), async |(state, caller, mut asked, page)| {
        let page = match page {
            Some(page) => page,
            None if asked.cursor.is_empty() => return Ok(None),
            None => state.clients.billing(&caller.call()).export_day(asked.clone()).await?.into_inner(),
        };
        asked.cursor = page.next_cursor;
        Ok::<_, tonic::Status>(Some((Bytes::from(page.csv), (state, caller, asked, None))))
    });
    file(&name, "text/csv; charset=utf-8; header=present", Body::from_stream(pages))
}
