//! Paying one invoice by the link in a mail, without signing in. The token is the right to it; it opens nothing else.

use axum::extract::{Path, State};
use ottery_proto::billing::v1 as billing;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::invoices::PayPage;
use super::view::{Money, Show as _, Time, view, words};
use crate::idempotency::IdempotencyKey;
use crate::limits::{self, Json};
use crate::links;
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// Where the invoice of a link stands.
    PayLinkState from billing::pay_link::State {
        Open,
        /// A payment is on its way.
        Processing,
        Paid,
        /// Taken back or given up.
        Closed,
    }
}

view! {
    /// What a link is for. Nothing personal.
    PayLink from billing::PayLink {
        invoice_number: String,
        /// What is left to pay.
        amount: Option<Money>,
        state: PayLinkState,
        due_at: Option<Time>,
    }
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read)).routes(routes!(pay))
}

/// See what a link to pay is for.
///
/// 404 `pay_link_invalid` for one that is forged, expired or another brand's.
#[utoipa::path(get, path = "/pay-links/{token}", tag = "invoices", operation_id = "read_pay_link", params(("token" = String, Path)), responses((status = 200, body = PayLink)))]
async fn read(State(state): State<AppState>, caller: Caller, Path(token): Path<String>) -> Reply<Json<PayLink>> {
    limits::pay_link(&state, &caller.request).await?;
    let request = billing::ReadPayLinkRequest { token };
    Ok(Json(state.clients.dunning(&caller.call()).read_pay_link(request).await?.into_inner().into()))
}

/// Pay by a link.
///
/// A new page of the provider replaces an older attempt that is still open.
#[utoipa::path(post, path = "/pay-links/{token}/pay", tag = "invoices", operation_id = "pay_by_link", params(("token" = String, Path)), responses((status = 200, body = PayPage)))]
async fn pay(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(token): Path<String>,
) -> Reply<Json<PayPage>> {
    limits::order(&state, &caller.request).await?;
    let url = links::absolute(&caller.request, &links::PAY.replace("{token}", &token));
    let request = billing::PayByLinkRequest { token, return_url: url.clone(), cancel_url: url };
    let context = caller.call().idempotency_key(key.0).timeout(super::payments::PROVIDER_TIMEOUT);
    let reply = state.clients.dunning(&context).pay_by_link(request).await?.into_inner();
    Ok(Json(PayPage { checkout_url: reply.checkout_url.show(), payment_id: reply.payment_id }))
}
