//! The trial balance of the legal entity, and months of its books that are closed.

use axum::extract::{Path, State};
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::invoices::file;
use super::view::{List, Money, Time, view};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// What an account received and gave.
    TrialBalanceRow from billing::TrialBalanceRow {
        /// `receivable`, `wallet`, `credit`, `unapplied`, `provider:…`, `provider_fees:…`, `revenue`, `deferred`, `refunds`, `tax`,
        /// `bad_debt`, `promotions`; customers' accounts of a kind are one.
        account: String,
        debits: Option<Money>,
        credits: Option<Money>,
        /// Debits less credits.
        balance: Option<Money>,
    }
}

view! {
    /// The accounts of the brand's legal entity at the end of a day.
    EntityTrialBalance from billing::EntityTrialBalance {
        entity_id: String,
        /// The last day that is in it.
        through: String,
        /// Whose days.
        time_zone: String,
        /// By currency and account.
        rows: Vec<TrialBalanceRow>,
        /// Debits equal credits in every currency.
        balanced: bool,
        /// Nothing can change it any more.
        closed: bool,
    }
}

view! {
    /// A closing of a month.
    ClosedMonth from billing::ClosedMonth {
        /// Such as `2026-11`.
        month: String,
        time_zone: String,
        /// Of the trial balance as CSV.
        sha256: String,
        closed_by: String,
        closed_at: Option<Time>,
        /// Null while it is closed.
        reopened_at: Option<Time>,
        reopen_reason: Option<String>,
    }
}

/// Which day.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ThroughQuery {
    /// The last day that is in it, in the legal entity's zone, such as `2026-11-30`; today when not given.
    through: Option<String>,
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReopenInput {
    /// Stays in the audit chain.
    pub reason: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(balance))
        .routes(routes!(balance_csv))
        .routes(routes!(months))
        .routes(routes!(close))
        .routes(routes!(reopen))
}

async fn ask(state: &AppState, caller: &Caller, query: ThroughQuery) -> Reply<billing::EntityTrialBalance> {
    let request = billing::GetEntityTrialBalanceRequest { through: query.through.unwrap_or_default() };
    Ok(state.clients.billing(&caller.call()).get_entity_trial_balance(request).await?.into_inner())
}

/// Get the trial balance of a day.
#[utoipa::path(get, path = "/ledger/trial-balance", tag = "ledger", operation_id = "get_entity_trial_balance", params(ThroughQuery), responses((status = 200, body = EntityTrialBalance)))]
async fn balance(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ThroughQuery>,
) -> Reply<Json<EntityTrialBalance>> {
    Ok(Json(ask(&state, &caller, query).await?.into()))
}

/// Get the trial balance of a day as CSV.
///
/// Of the last day of a closed month these are the bytes that were kept when it was closed, for ever.
#[utoipa::path(get, path = "/ledger/trial-balance.csv", tag = "ledger", operation_id = "get_entity_trial_balance_csv", params(ThroughQuery), responses((status = 200, content_type = "text/csv", body = String)))]
async fn balance_csv(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ThroughQuery>,
) -> Reply<Response> {
    let found = ask(&state, &caller, query).await?;
    file(&found.file_name, "text/csv; charset=utf-8; header=present", found.csv)
}

/// List closed months.
#[utoipa::path(get, path = "/ledger/months", tag = "ledger", operation_id = "list_closed_months", responses((status = 200, body = List<ClosedMonth>)))]
async fn months(State(state): State<AppState>, caller: Caller) -> Reply<Json<List<ClosedMonth>>> {
    let request = billing::ListClosedMonthsRequest {};
    let reply = state.clients.billing(&caller.call()).list_closed_months(request).await?.into_inner();
    Ok(Json(List::of(reply.months)))
}

/// Close a month.
///
/// Nothing is booked into it any more: what belongs to it is booked in the open month and names what it corrects. Months are
/// closed one after the other; closing one again is answered with the closing there is.
#[utoipa::path(post, path = "/ledger/months/{month}/close", tag = "ledger", operation_id = "close_month", params(("month" = String, Path, description = "Such as `2026-11`.")), responses((status = 200, body = ClosedMonth)))]
async fn close(State(state): State<AppState>, caller: Caller, Path(month): Path<String>) -> Reply<Json<ClosedMonth>> {
    let request = billing::CloseMonthRequest { month };
    Ok(Json(state.clients.billing(&caller.call()).close_month(request).await?.into_inner().into()))
}

/// Open the latest closed month again.
#[utoipa::path(post, path = "/ledger/months/{month}/reopen", tag = "ledger", operation_id = "reopen_month", params(("month" = String, Path, description = "Such as `2026-11`.")), request_body = ReopenInput, responses((status = 200, body = ClosedMonth)))]
async fn reopen(
    State(state): State<AppState>,
    caller: Caller,
    Path(month): Path<String>,
    Json(input): Json<ReopenInput>,
) -> Reply<Json<ClosedMonth>> {
    let request = billing::ReopenMonthRequest { month, reason: input.reason };
    Ok(Json(state.clients.billing(&caller.call()).reopen_month(request).await?.into_inner().into()))
}
