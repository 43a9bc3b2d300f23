//! What providers report, compared daily with the books.

use axum::extract::{Path, State};
use ottery_proto::billing::v1 as billing;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{Money, Page, PageQuery, Time, page, view};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// Money that moved, of one kind and currency, on both sides.
    ReconciliationTotal from billing::ReconciliationTotal {
        /// `payment`, `refund`, `dispute`
        kind: String,
        provider_amount: Option<Money>,
        provider_count: u32,
        books_amount: Option<Money>,
        books_count: u32,
    }
}

view! {
    /// A comparison of a provider's report with the books, by real time.
    Reconciliation from billing::Reconciliation {
        /// `rcn_…`
        id: String,
        provider_account_id: String,
        provider: String,
        /// Null: it was due.
        asked_by: Option<String>,
        /// What was made at the provider from here on is compared.
        from: Option<Time>,
        until: Option<Time>,
        /// `payment`, `refund`, `dispute` while these are read, then `compare`.
        step: String,
        /// The provider lists no payments: ours were asked for one by one, and what we do not know of is not found.
        one_sided: bool,
        /// What could not be read and is not compared.
        left_out: Vec<String>,
        /// What the provider does not report, so that it is not compared.
        not_reported: Vec<String>,
        /// Why it does not go on, or what could not be read.
        problem: Option<String>,
        pages: u32,
        rows_read: u32,
        rows_in_books: u32,
        /// Differences that reading the object again made good.
        healed: u32,
        /// Differences that stayed.
        differences: u32,
        totals: Vec<ReconciliationTotal>,
        begun_at: Option<Time>,
        /// Null while it is under way.
        ended_at: Option<Time>,
    }
}

view! {
    /// Something that is not the same at the provider and in the books.
    ReconciliationDifference from billing::ReconciliationDifference {
        /// `rcd_…`
        id: String,
        provider_account_id: String,
        /// `payment`, `refund`, `dispute`
        kind: String,
        /// `only_there`, `only_here`, `currency`, `state`, `amount`, `fee`
        difference: String,
        provider_reference: Option<String>,
        /// Ours, or what the provider takes for it; null: it names nothing of ours.
        reference_id: Option<String>,
        provider_amount: Option<Money>,
        books_amount: Option<Money>,
        /// How much money it is about.
        value: Option<Money>,
        /// The comparison that saw it last.
        reconciliation_id: String,
        found_at: Option<Time>,
        seen_at: Option<Time>,
        /// Who says that it is right as it is.
        accepted_by: Option<String>,
        accepted_reason: Option<String>,
        /// Null while it is there.
        closed_at: Option<Time>,
    }
}

/// Which differences.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DifferenceQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Those that are none any more, too.
    all: Option<bool>,
}

/// Why a difference is right as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptDifferenceInput {
    /// 1 to 500 characters; stays in the audit chain.
    pub reason: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(run))
        .routes(routes!(differences))
        .routes(routes!(accept))
}

/// List comparisons with providers' reports.
#[utoipa::path(get, path = "/reconciliations", tag = "providers", operation_id = "list_reconciliations", params(PageQuery), responses((status = 200, body = Page<Reconciliation>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Page<Reconciliation>>> {
    let request = billing::ListReconciliationsRequest { page: page(query.cursor, query.limit)? };
    let reply = state.clients.billing(&caller.call()).list_reconciliations(request).await?.into_inner();
    Ok(Json(Page::of(reply.reconciliations, reply.page)))
}

/// Get a comparison with a provider's report.
#[utoipa::path(get, path = "/reconciliations/{id}", tag = "providers", operation_id = "get_reconciliation", params(("id" = String, Path)), responses((status = 200, body = Reconciliation)))]
async fn get(State(state): State<AppState>, caller: Caller, Path(id): Path<String>) -> Reply<Json<Reconciliation>> {
    let request = billing::GetReconciliationRequest { id };
    Ok(Json(state.clients.billing(&caller.call()).get_reconciliation(request).await?.into_inner().into()))
}

/// Compare a provider account with the books now.
///
/// It is done in the background; the one that is under way is returned when there is one.
#[utoipa::path(post, path = "/provider-accounts/{id}/reconcile", tag = "providers", operation_id = "run_reconciliation", params(("id" = String, Path)), responses((status = 200, body = Reconciliation)))]
async fn run(State(state): State<AppState>, caller: Caller, Path(id): Path<String>) -> Reply<Json<Reconciliation>> {
    let request = billing::RunReconciliationRequest { provider_account_id: id };
    Ok(Json(state.clients.billing(&caller.call()).run_reconciliation(request).await?.into_inner().into()))
}

/// List differences between providers' reports and the books.
#[utoipa::path(get, path = "/reconciliation-differences", tag = "providers", operation_id = "list_reconciliation_differences", params(DifferenceQuery), responses((status = 200, body = Page<ReconciliationDifference>)))]
async fn differences(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<DifferenceQuery>,
) -> Reply<Json<Page<ReconciliationDifference>>> {
    let request = billing::ListReconciliationDifferencesRequest {
        page: page(query.cursor, query.limit)?,
        all: query.all.unwrap_or(false),
    };
    let reply = state.clients.billing(&caller.call()).list_reconciliation_differences(request).await?.into_inner();
    Ok(Json(Page::of(reply.differences, reply.page)))
}

/// Say that a difference is right as it is.
///
/// It is no task any more, as long as its amounts stay; doing it twice changes nothing.
#[utoipa::path(post, path = "/reconciliation-differences/{id}/accept", tag = "providers", operation_id = "accept_reconciliation_difference", params(("id" = String, Path)), request_body = AcceptDifferenceInput, responses((status = 200, body = ReconciliationDifference)))]
async fn accept(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(input): Json<AcceptDifferenceInput>,
) -> Reply<Json<ReconciliationDifference>> {
    let request = billing::AcceptReconciliationDifferenceRequest { id, reason: input.reason };
    let accepted = state.clients.billing(&caller.call()).accept_reconciliation_difference(request).await?;
    Ok(Json(accepted.into_inner().into()))
}
