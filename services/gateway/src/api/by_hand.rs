//! Payments by bank and in cash: what waits, and what people recorded.

use axum::extract::{Path, State};
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::common::v1::Money as Sent;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{List, Money, Page, PageQuery, Time, page, view, words};
use crate::limits::{Json, Query};
use crate::pages::download;
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// How a payment stands that people record. `claimed`: the payer has sent a proof; `checking`: it has come and waits for a second
    /// person; `short`: less came than is due.
    ByHandState from billing::by_hand::State { Waiting, Claimed, Checking, Short, Paid, Closed }
}

words! {
    /// How a record stands. `unassigned`: nobody knows whose money it is; `waiting`: a second person has to agree; `confirmed`: in the
    /// books.
    ByHandRecordState from billing::by_hand_record::State { Unassigned, Waiting, Confirmed, TakenBack }
}

view! {
    /// A file a payer sent.
    ByHandProof from billing::ByHandProof {
        id: String,
        name: String,
        /// `application/pdf`, `image/png`, `image/jpeg`
        media_type: String,
        bytes: i64,
        sent_at: Option<Time>,
    }
}

view! {
    /// What somebody said has come, or was paid out for a refund.
    ByHandRecord from billing::ByHandRecord {
        id: String,
        state: ByHandRecordState,
        provider_account_id: String,
        /// By which it is in the books; null: not yet.
        payment_id: Option<String>,
        /// Of a refund that was paid out; null: money that came.
        refund_id: Option<String>,
        amount: Option<Money>,
        /// `2026-11-28`
        value_on: String,
        /// The bank's name of the transfer, or the number of the receipt.
        bank_reference: String,
        sender: Option<String>,
        note: Option<String>,
        recorded_by: String,
        recorded_at: Option<Time>,
        confirmed_by: Option<String>,
        confirmed_at: Option<Time>,
        taken_back_by: Option<String>,
        taken_back_at: Option<Time>,
        taken_back_reason: Option<String>,
    }
}

view! {
    /// A payment that waits to be recorded.
    ByHandPayment from billing::ByHandPayment {
        /// What the payer writes on it: ISO 11649, without spaces.
        reference: String,
        state: ByHandState,
        payment_id: String,
        invoice_id: String,
        account_id: String,
        /// `bank_transfer`, `cash`
        provider: String,
        provider_account_id: String,
        title: String,
        /// What was asked for.
        amount: Option<Money>,
        /// What is still to be paid.
        due: Option<Money>,
        created_at: Option<Time>,
        records: Vec<ByHandRecord>,
        proofs: Vec<ByHandProof>,
    }
}

view! {
    /// A refund somebody has to pay out.
    ByHandRefund from billing::ByHandRefund {
        refund_id: String,
        payment_id: String,
        account_id: String,
        provider: String,
        amount: Option<Money>,
        reason: String,
        /// From whom the money came; null when nobody wrote it down.
        sender: Option<String>,
        created_at: Option<Time>,
        /// What was recorded and waits for a second person.
        record: Option<ByHandRecord>,
    }
}

/// Which payments.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ByHandQuery {
    /// With this reference, or a text that holds one.
    reference: Option<String>,
    /// Of this amount.
    amount_minor: Option<i64>,
    /// Also those nothing is expected of any more.
    all: Option<bool>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// What came.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ByHandRecordInput {
    /// The payment's reference, or a text that holds it.
    #[serde(default)]
    pub payment_reference: String,
    /// The account at which it came, when nobody knows whose money it is.
    #[serde(default)]
    pub provider_account_id: String,
    /// In minor units.
    #[schema(minimum = 1)]
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// `2026-11-28`
    pub value_on: String,
    /// The bank's name of the transfer, or the number of the receipt; the same one is refused as `record_exists`.
    pub bank_reference: String,
    /// From whom, as the bank says it.
    #[serde(default)]
    pub sender: String,
    /// For colleagues.
    #[serde(default)]
    pub note: String,
}

/// A refund that was paid out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ByHandPayoutInput {
    /// In minor units: the refund's amount.
    #[schema(minimum = 1)]
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// `2026-11-28`
    pub value_on: String,
    /// The bank's name of the transfer, or the number of the receipt.
    pub bank_reference: String,
    /// For colleagues.
    #[serde(default)]
    pub note: String,
}

/// Whose money it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ByHandAssignInput {
    /// The payment's reference, or a text that holds it.
    pub payment_reference: String,
}

/// Why a record was none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ByHandTakeBackInput {
    /// 1 to 200 characters; stays in the audit chain.
    pub reason: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(payments))
        .routes(routes!(records, record))
        .routes(routes!(assign))
        .routes(routes!(confirm))
        .routes(routes!(take_back))
        .routes(routes!(refunds))
        .routes(routes!(payout))
        .routes(routes!(proof))
}

/// List payments that wait to be recorded.
#[utoipa::path(get, path = "/by-hand/payments", tag = "providers", operation_id = "list_by_hand_payments", params(ByHandQuery), responses((status = 200, body = Page<ByHandPayment>)))]
async fn payments(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ByHandQuery>,
) -> Reply<Json<Page<ByHandPayment>>> {
    let request = billing::ListByHandPaymentsRequest {
        reference: query.reference.unwrap_or_default(),
        amount_minor: query.amount_minor,
        all: query.all.unwrap_or(false),
        page: page(query.cursor, query.limit)?,
    };
    let reply = state.clients.billing(&caller.call()).list_by_hand_payments(request).await?.into_inner();
    Ok(Json(Page::of(reply.payments, reply.page)))
}

/// List what was recorded.
///
/// Everything, the newest first.
#[utoipa::path(get, path = "/by-hand/records", tag = "providers", operation_id = "list_by_hand_records", params(PageQuery), responses((status = 200, body = Page<ByHandRecord>)))]
async fn records(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Page<ByHandRecord>>> {
    let request = billing::ListByHandRecordsRequest { all: true, page: page(query.cursor, query.limit)? };
    let reply = state.clients.billing(&caller.call()).list_by_hand_records(request).await?.into_inner();
    Ok(Json(Page::of(reply.records, reply.page)))
}

/// List refunds somebody has to pay out.
#[utoipa::path(get, path = "/by-hand/refunds", tag = "providers", operation_id = "list_by_hand_refunds", responses((status = 200, body = List<ByHandRefund>)))]
async fn refunds(State(state): State<AppState>, caller: Caller) -> Reply<Json<List<ByHandRefund>>> {
    let request = billing::ListByHandRefundsRequest {};
    let reply = state.clients.billing(&caller.call()).list_by_hand_refunds(request).await?.into_inner();
    Ok(Json(List::of(reply.refunds)))
}

/// Record what came by bank or in cash.
///
/// Booked at once up to what one person may say alone; above it when another person of staff confirms. The same transfer twice is refused
/// as `record_exists`, so that a repeated call books nothing twice.
#[utoipa::path(post, path = "/by-hand/records", tag = "providers", operation_id = "record_by_hand", request_body = ByHandRecordInput, responses((status = 200, body = ByHandRecord)))]
async fn record(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<ByHandRecordInput>,
) -> Reply<Json<ByHandRecord>> {
    let request = billing::RecordByHandRequest {
        payment_reference: input.payment_reference,
        provider_account_id: input.provider_account_id,
        refund_id: String::new(),
        amount: Some(Sent { minor: input.amount_minor, currency: input.currency }),
        value_on: input.value_on,
        bank_reference: input.bank_reference,
        sender: input.sender,
        note: input.note,
    };
    Ok(Json(state.clients.billing(&caller.call()).record_by_hand(request).await?.into_inner().into()))
}

/// Record that a refund was paid out.
#[utoipa::path(post, path = "/by-hand/refunds/{id}/records", tag = "providers", operation_id = "record_by_hand_refund", params(("id" = String, Path)), request_body = ByHandPayoutInput, responses((status = 200, body = ByHandRecord)))]
async fn payout(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(input): Json<ByHandPayoutInput>,
) -> Reply<Json<ByHandRecord>> {
    let request = billing::RecordByHandRequest {
        refund_id: id,
        amount: Some(Sent { minor: input.amount_minor, currency: input.currency }),
        value_on: input.value_on,
        bank_reference: input.bank_reference,
        note: input.note,
        ..billing::RecordByHandRequest::default()
    };
    Ok(Json(state.clients.billing(&caller.call()).record_by_hand(request).await?.into_inner().into()))
}

/// Say whose money it is that was recorded for nobody.
///
/// Whoever says so counts as who recorded it.
#[utoipa::path(post, path = "/by-hand/records/{id}/assign", tag = "providers", operation_id = "assign_by_hand_record", params(("id" = String, Path)), request_body = ByHandAssignInput, responses((status = 200, body = ByHandRecord)))]
async fn assign(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(input): Json<ByHandAssignInput>,
) -> Reply<Json<ByHandRecord>> {
    let request = billing::AssignByHandRecordRequest { id, payment_reference: input.payment_reference };
    Ok(Json(state.clients.billing(&caller.call()).assign_by_hand_record(request).await?.into_inner().into()))
}

/// Agree to what somebody else recorded.
///
/// 409 `second_person_required` for one's own record, `person_required` for an API key: it is no second person.
#[utoipa::path(post, path = "/by-hand/records/{id}/confirm", tag = "providers", operation_id = "confirm_by_hand_record", params(("id" = String, Path)), responses((status = 200, body = ByHandRecord)))]
async fn confirm(State(state): State<AppState>, caller: Caller, Path(id): Path<String>) -> Reply<Json<ByHandRecord>> {
    let request = billing::ConfirmByHandRecordRequest { id };
    Ok(Json(state.clients.billing(&caller.call()).confirm_by_hand_record(request).await?.into_inner().into()))
}

/// Take a record back.
///
/// What is in the books is booked the other way round, with a credit note. Doing it twice changes nothing.
#[utoipa::path(post, path = "/by-hand/records/{id}/take-back", tag = "providers", operation_id = "take_back_by_hand_record", params(("id" = String, Path)), request_body = ByHandTakeBackInput, responses((status = 200, body = ByHandRecord)))]
async fn take_back(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(input): Json<ByHandTakeBackInput>,
) -> Reply<Json<ByHandRecord>> {
    let request = billing::TakeBackByHandRecordRequest { id, reason: input.reason };
    Ok(Json(state.clients.billing(&caller.call()).take_back_by_hand_record(request).await?.into_inner().into()))
}

/// Get a file a payer sent.
///
/// As a download: staff's, and the customer's whose payment it is.
#[utoipa::path(get, path = "/by-hand/proofs/{id}", tag = "providers", operation_id = "get_by_hand_proof", params(("id" = String, Path)), responses((status = 200, content_type = "application/octet-stream", body = String)))]
async fn proof(State(state): State<AppState>, caller: Caller, Path(id): Path<String>) -> Reply<Response> {
    download(&state, &caller.call(), id).await
}
