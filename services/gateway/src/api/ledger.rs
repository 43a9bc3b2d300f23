//! The double-entry ledger.

use axum::extract::State;
use ottery_proto::billing::v1 as billing;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{Money, Page, Show as _, Time, page, view};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// One row: from one account to another.
    Transfer from billing::Transfer {
        id: String,
        /// For example `receivable:acc_…`, `revenue`, `tax`.
        debit: String,
        credit: String,
        amount: Option<Money>,
        /// `posted`, `pending`, `voided`
        state: String,
        kind: String,
        reference_id: Option<String>,
        booked_at: Option<Time>,
    }
}

view! {
    /// The sums of one account.
    Balance from billing::LedgerBalance {
        account: String,
        debits: Option<Money>,
        credits: Option<Money>,
    }
}

/// Every account, and whether they balance.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrialBalance {
    /// One per account and currency.
    pub balances: Vec<Balance>,
    /// Debits equal credits in every currency.
    pub balanced: bool,
}

/// Which transfers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TransferQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Caused by this invoice, payment, refund, …
    reference_id: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(transfers)).routes(routes!(balance))
}

/// List transfers.
#[utoipa::path(get, path = "/ledger/transfers", tag = "ledger", operation_id = "list_transfers", params(TransferQuery), responses((status = 200, body = Page<Transfer>)))]
async fn transfers(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<TransferQuery>,
) -> Reply<Json<Page<Transfer>>> {
    let request = billing::ListTransfersRequest {
        page: page(query.cursor, query.limit)?,
        reference_id: query.reference_id.unwrap_or_default(),
    };
    let reply = state.clients.billing(&caller.call()).list_transfers(request).await?.into_inner();
    Ok(Json(Page::of(reply.transfers, reply.page)))
}

/// Get the trial balance.
#[utoipa::path(get, path = "/ledger/balance", tag = "ledger", operation_id = "get_trial_balance", responses((status = 200, body = TrialBalance)))]
async fn balance(State(state): State<AppState>, caller: Caller) -> Reply<Json<TrialBalance>> {
    let reply =
        state.clients.billing(&caller.call()).get_trial_balance(billing::GetTrialBalanceRequest {}).await?.into_inner();
    Ok(Json(TrialBalance { balances: reply.balances.show(), balanced: reply.balanced }))
}
