//! Objections of cardholders, and the evidence against them.

use axum::extract::{Path, State};
use ottery_proto::billing::v1 as billing;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::payments::PROVIDER_TIMEOUT;
use super::view::{Money, Page, Time, page, view, words};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// Where an objection stands. `warning`: the bank asks, and no money has moved.
    DisputeState from billing::dispute::State { Warning, NeedsResponse, UnderReview, Appealed, Won, Lost, Closed }
}

view! {
    /// An objection of a cardholder.
    Dispute from billing::Dispute {
        id: String,
        payment_id: String,
        account_id: String,
        provider_account_id: String,
        provider_reference: String,
        state: DisputeState,
        /// The cardholder's reason, for example `fraudulent`.
        reason: String,
        amount: Option<Money>,
        /// What the provider has taken and not given back.
        taken: Option<Money>,
        /// What it charges for it.
        fee: Option<Money>,
        /// Until when evidence is taken.
        evidence_until: Option<Time>,
        /// Evidence was handed in.
        answered: bool,
        created_at: Option<Time>,
        finished_at: Option<Time>,
    }
}

/// Which objections.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DisputeQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// To one payment.
    payment_id: Option<String>,
}

/// Evidence against an objection. It is final: the bank decides by it. At most 20,000 characters in all; fields that are left
/// out are not handed in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub struct EvidenceInput {
    /// Who bought.
    pub customer_name: String,
    /// Their address for mail.
    pub customer_email: String,
    /// What was sold.
    pub product: String,
    /// When it began to be served.
    pub served_from: String,
    /// Proof that it was used.
    pub access_log: String,
    /// What the seller's terms say about refunds.
    pub refund_policy: String,
    /// Whatever else.
    pub statement: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(answer)).routes(routes!(accept))
}

/// List disputes.
#[utoipa::path(get, path = "/disputes", tag = "payments", operation_id = "list_disputes", params(DisputeQuery), responses((status = 200, body = Page<Dispute>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<DisputeQuery>,
) -> Reply<Json<Page<Dispute>>> {
    let request = billing::ListDisputesRequest {
        page: page(query.cursor, query.limit)?,
        payment_id: query.payment_id.unwrap_or_default(),
    };
    let reply = state.clients.billing(&caller.call()).list_disputes(request).await?.into_inner();
    Ok(Json(Page::of(reply.disputes, reply.page)))
}

/// Get a dispute.
#[utoipa::path(get, path = "/disputes/{id}", tag = "payments", operation_id = "get_dispute", params(("id" = String, Path)), responses((status = 200, body = Dispute)))]
async fn get(State(state): State<AppState>, caller: Caller, Path(id): Path<String>) -> Reply<Json<Dispute>> {
    let request = billing::GetDisputeRequest { dispute_id: id };
    Ok(Json(state.clients.billing(&caller.call()).get_dispute(request).await?.into_inner().into()))
}

/// Give in to a dispute.
///
/// It is final: the money is lost.
#[utoipa::path(post, path = "/disputes/{id}/accept", tag = "payments", operation_id = "accept_dispute", params(("id" = String, Path)), responses((status = 200, body = Dispute)))]
async fn accept(State(state): State<AppState>, caller: Caller, Path(id): Path<String>) -> Reply<Json<Dispute>> {
    let request = billing::AcceptDisputeRequest { dispute_id: id };
    let call = caller.call().timeout(PROVIDER_TIMEOUT);
    Ok(Json(state.clients.billing(&call).accept_dispute(request).await?.into_inner().into()))
}

/// Hand in evidence.
#[utoipa::path(post, path = "/disputes/{id}/evidence", tag = "payments", operation_id = "submit_dispute_evidence", params(("id" = String, Path)), request_body = EvidenceInput, responses((status = 200, body = Dispute)))]
async fn answer(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(input): Json<EvidenceInput>,
) -> Reply<Json<Dispute>> {
    let request = billing::SubmitDisputeEvidenceRequest {
        dispute_id: id,
        customer_name: input.customer_name,
        customer_email: input.customer_email,
        product: input.product,
        served_from: input.served_from,
        access_log: input.access_log,
        refund_policy: input.refund_policy,
        statement: input.statement,
    };
    let call = caller.call().timeout(PROVIDER_TIMEOUT);
    Ok(Json(state.clients.billing(&call).submit_dispute_evidence(request).await?.into_inner().into()))
}
