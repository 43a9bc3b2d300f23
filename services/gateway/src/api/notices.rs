//! What customers read about debts in their account.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use ottery_proto::billing::v1 as billing;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{Money, Show as _, Time, view};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// A step of the brand's dunning that says it in the account.
    Notice from billing::Notice {
        invoice_id: String,
        invoice_number: String,
        /// What is left to pay.
        amount: Option<Money>,
        due_at: Option<Time>,
        overdue: bool,
        subscription_id: String,
        plan_name: String,
        /// Which of the campaign's contacts, counted from 1.
        step: u32,
        shown_from: Option<Time>,
        /// `GET /pay-links/{token}`, and `/pay/{token}` on the brand's host; null for staff.
        pay_token: Option<String>,
    }
}

/// What there is to read.
#[derive(Debug, Serialize, ToSchema)]
pub struct Notices {
    /// The newest of each open invoice, oldest first.
    pub items: Vec<Notice>,
}

/// Whose.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NoticeQuery {
    /// One account's, for staff; customers see their own.
    account_id: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(dismiss))
}

/// List notices about open invoices.
///
/// Each is there until its invoice is paid or it is dismissed.
#[utoipa::path(get, path = "/notices", tag = "dunning", operation_id = "list_notices", params(NoticeQuery), responses((status = 200, body = Notices)))]
async fn list(State(state): State<AppState>, caller: Caller, Query(query): Query<NoticeQuery>) -> Reply<Json<Notices>> {
    let request = billing::ListNoticesRequest { account_id: query.account_id.unwrap_or_default() };
    let reply = state.clients.dunning(&caller.call()).list_notices(request).await?.into_inner();
    Ok(Json(Notices { items: reply.notices.show() }))
}

/// Dismiss the notice about an invoice.
///
/// The next step of dunning says it again.
#[utoipa::path(post, path = "/notices/{invoice_id}/dismiss", tag = "dunning", operation_id = "dismiss_notice", params(("invoice_id" = String, Path)), responses((status = 204)))]
async fn dismiss(State(state): State<AppState>, caller: Caller, Path(invoice_id): Path<String>) -> Reply<StatusCode> {
    let request = billing::DismissNoticeRequest { invoice_id };
    state.clients.dunning(&caller.call()).dismiss_notice(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
