//! Payments and refunds.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use ottery_proto::billing::v1 as billing;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{Money, Show as _, Time, page, view, words};
use crate::idempotency::IdempotencyKey;
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

/// Calls behind which a payment provider may be asked take longer than others; the request's own limit still holds.
pub const PROVIDER_TIMEOUT: Duration = Duration::from_secs(9);

words! {
    /// Where an attempt to pay stands. `unknown`: the answer was lost and is being read back.
    PaymentState from billing::payment::State { Pending, Succeeded, Failed, Unknown, Cancelled, ActionRequired }
}

words! {
    /// Where a refund stands.
    RefundState from billing::refund::State { Pending, Succeeded, Failed, Unknown }
}

words! {
    /// What becomes of the subscription after a refund.
    RefundPolicy from billing::refund_payment_request::Policy { Keep, EndNow }
}

view! {
    /// An attempt to pay.
    Payment from billing::Payment {
        id: String,
        invoice_id: String,
        account_id: String,
        state: PaymentState,
        amount: Option<Money>,
        provider: String,
        provider_reference: Option<String>,
        /// What the provider calls the last call that moved it: what its support asks for first.
        provider_request: Option<String>,
        /// Stable, for example `insufficient_funds`.
        failure_code: Option<String>,
        method_label: Option<String>,
        /// All the invoices it is for, when they are several.
        invoice_ids: Vec<String>,
        created_at: Option<Time>,
        finished_at: Option<Time>,
        refunded: Option<Money>,
    }
}

view! {
    /// Money on its way back.
    Refund from billing::Refund {
        id: String,
        payment_id: String,
        invoice_id: String,
        amount: Option<Money>,
        state: RefundState,
        reason: String,
        credit_note_id: Option<String>,
        created_at: Option<Time>,
    }
}

/// Payments, and the refunds of those on this page.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentPage {
    /// Newest first.
    pub items: Vec<Payment>,
    /// Of these payments.
    pub refunds: Vec<Refund>,
    /// Null on the last page.
    pub next_cursor: Option<String>,
}

/// Which payments.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PaymentQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// One account's, for staff.
    account_id: Option<String>,
    /// One invoice's.
    invoice_id: Option<String>,
}

/// What to give back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundInput {
    /// Which invoice's share, of a payment for several; only that invoice is credited.
    #[serde(default)]
    pub invoice_id: Option<String>,
    /// Everything that is left when left out.
    #[serde(default)]
    pub amount: Option<Money>,
    /// Shown on the credit note.
    pub reason: String,
    /// What becomes of the subscription.
    pub policy: RefundPolicy,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(refund))
}

/// List payments.
#[utoipa::path(get, path = "/payments", tag = "payments", operation_id = "list_payments", params(PaymentQuery), responses((status = 200, body = PaymentPage)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PaymentQuery>,
) -> Reply<Json<PaymentPage>> {
    let request = billing::ListPaymentsRequest {
        page: page(query.cursor, query.limit)?,
        account_id: query.account_id.unwrap_or_default(),
        invoice_id: query.invoice_id.unwrap_or_default(),
    };
    let reply = state.clients.billing(&caller.call()).list_payments(request).await?.into_inner();
    let next_cursor = reply.page.unwrap_or_default().next_cursor.show();
    Ok(Json(PaymentPage { items: reply.payments.show(), refunds: reply.refunds.show(), next_cursor }))
}

/// Give money back.
#[utoipa::path(post, path = "/payments/{id}/refunds", tag = "payments", operation_id = "refund_payment", params(("id" = String, Path)), request_body = RefundInput, responses((status = 201, body = Refund)))]
async fn refund(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(payment_id): Path<String>,
    Json(input): Json<RefundInput>,
) -> Reply<Response> {
    let request = billing::RefundPaymentRequest {
        payment_id,
        amount: input.amount.map(Into::into),
        reason: input.reason,
        policy: input.policy.into(),
        invoice_id: input.invoice_id.unwrap_or_default(),
    };
    let context = caller.call().idempotency_key(key.0).timeout(PROVIDER_TIMEOUT);
    let refund = state.clients.billing(&context).refund_payment(request).await?.into_inner();
    Ok((StatusCode::CREATED, Json(Refund::from(refund))).into_response())
}
