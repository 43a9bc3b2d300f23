//! Invoices staff writes, credit notes, and invoices that will not be paid.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use ottery_proto::billing::v1 as billing;
use ottery_proto::identity::v1::GetAccountRequest;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::invoices::{CreditNote, Invoice};
use super::orders::Order;
use super::view::{Money, view, words};
use crate::idempotency::IdempotencyKey;
use crate::limits::Json;
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

/// Days to pay when none are named.
pub const DUE_DAYS: u32 = 14;

/// A line of a draft.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftLineInput {
    /// What it is for.
    #[schema(max_length = 300)]
    pub description: String,
    /// How many.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 100_000, default = 1)]
    pub quantity: u32,
    /// Price of one, tax contained; negative for a discount, which takes off lines of the same rate.
    pub unit_price: Money,
    /// Rate of the contained tax in basis points; 1900 is 19 %.
    #[serde(default)]
    #[schema(maximum = 10_000)]
    pub tax_rate_bp: u32,
}

const fn one() -> u32 {
    1
}

impl From<DraftLineInput> for billing::DraftLine {
    fn from(line: DraftLineInput) -> Self {
        Self {
            description: line.description,
            quantity: line.quantity,
            unit_price: Some(line.unit_price.into()),
            tax_rate_bp: line.tax_rate_bp,
        }
    }
}

/// What to bill.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftInput {
    /// The customer; name, address and language are those of the account.
    pub account_id: String,
    /// One the brand sells in.
    #[schema(example = "EUR")]
    pub currency: String,
    /// 1 to 100.
    pub lines: Vec<DraftLineInput>,
}

/// The lines of a draft, all of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftLinesInput {
    /// 1 to 100.
    pub lines: Vec<DraftLineInput>,
}

/// How to issue it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinaliseInput {
    /// Days to pay; 14 when left out.
    #[serde(default)]
    #[schema(maximum = 365)]
    pub due_days: Option<u32>,
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhyInput {
    /// For the audit; 1 to 500 characters.
    pub reason: String,
}

/// What to credit: an amount, or lines.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreditInput {
    /// A gross amount, shared by all lines.
    #[serde(default)]
    pub amount: Option<Money>,
    /// Lines as they are printed, counted from 1; each is credited whole and once.
    #[serde(default)]
    pub line_numbers: Vec<u32>,
    /// Printed on the credit note.
    pub reason: String,
}

words! {
    /// What becomes of an open renewal whose period had begun when its subscription ends. `void`: it is taken back. `write_off`: it is
    /// given up, and settled if it is paid after all.
    UnpaidAtEnd from billing::invoice_rules::UnpaidAtEnd { Void, WriteOff }
}

view! {
    /// How a brand treats its invoices.
    InvoiceRules from billing::InvoiceRules {
        unpaid_at_end: UnpaidAtEnd,
        /// Time in which staff had a subscription suspended and nothing of it was paid is billed; else it begins anew on its return.
        bills_time_off: bool,
        /// Money is asked for by a pro forma invoice, which becomes the invoice with the first money that comes for it.
        proforma: bool,
        /// What a customer owes for several subscriptions due on one day of the brand's zone is one invoice.
        consolidated: bool,
        /// 0 before the first change.
        version: u64,
    }
}

/// How the brand wants its invoices treated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvoiceRulesInput {
    /// From now on.
    pub unpaid_at_end: UnpaidAtEnd,
    /// Bill time in which staff had a subscription suspended and nothing of it was paid.
    #[serde(default)]
    pub bills_time_off: bool,
    /// Ask for money by a pro forma invoice, which becomes the invoice with the first money that comes for it.
    #[serde(default)]
    pub proforma: bool,
    /// Bill what a customer owes for several subscriptions due on one day of the brand's zone by one invoice. Not together with
    /// `proforma`.
    #[serde(default)]
    pub consolidated: bool,
    /// The version that was read; 409 `version_conflict` when somebody else was faster.
    pub version: u64,
}

words! {
    /// Whether a customer's renewals of one day are one invoice. `brand`: as the invoice rules say.
    Consolidation from billing::customer_invoicing::Consolidation { Brand, Always, Never }
}

view! {
    /// How one customer is billed.
    CustomerInvoicing from billing::CustomerInvoicing {
        account_id: String,
        consolidation: Consolidation,
        /// What counts: renewals due on one day are one invoice.
        consolidated: bool,
    }
}

/// How staff wants a customer billed, from the next renewal on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerInvoicingInput {
    /// `brand`: as the invoice rules say.
    pub consolidation: Consolidation,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(draft))
        .routes(routes!(edit, discard))
        .routes(routes!(finalise))
        .routes(routes!(send))
        .routes(routes!(void))
        .routes(routes!(write_off))
        .routes(routes!(credit))
        .routes(routes!(cancel_order))
        .routes(routes!(rules, put_rules))
        .routes(routes!(customer, put_customer))
}

/// Write an invoice.
///
/// A draft without a number, which customers do not see. It can be changed and thrown away until it is issued; its PDF shows what
/// it will be.
#[utoipa::path(post, path = "/invoices", tag = "invoices", operation_id = "draft_invoice", request_body = DraftInput, responses((status = 201, body = Invoice)))]
async fn draft(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Json(input): Json<DraftInput>,
) -> Reply<Response> {
    let lines = input.lines.into_iter().map(Into::into).collect();
    let invoice = write(&state, &caller, key, input.account_id, input.currency, lines).await?;
    Ok((StatusCode::CREATED, Json(Invoice::from(invoice))).into_response())
}

/// Writes a draft for an account of the brand; pages use it as well.
///
/// # Errors
/// When the brand has no such customer, or a line cannot be printed.
pub(crate) async fn write(
    state: &AppState,
    caller: &Caller,
    key: IdempotencyKey,
    account_id: String,
    currency: String,
    lines: Vec<billing::DraftLine>,
) -> Reply<billing::Invoice> {
    let asked = GetAccountRequest { account_id };
    let account = state.clients.identity(&caller.call()).get_account(asked).await?.into_inner();
    let request = billing::DraftInvoiceRequest {
        account_id: account.id,
        email: account.email,
        display_name: account.display_name,
        country: account.country,
        locale: account.locale,
        currency,
        lines,
    };
    let context = caller.call().idempotency_key(key.0);
    Ok(state.clients.billing(&context).draft_invoice(request).await?.into_inner())
}

/// Change a draft.
///
/// 409 `invoice_issued` once it has a number: credit it and issue another one.
#[utoipa::path(put, path = "/invoices/{id}", tag = "invoices", operation_id = "edit_draft", params(("id" = String, Path)), request_body = DraftLinesInput, responses((status = 200, body = Invoice)))]
async fn edit(
    State(state): State<AppState>,
    caller: Caller,
    Path(invoice_id): Path<String>,
    Json(input): Json<DraftLinesInput>,
) -> Reply<Json<Invoice>> {
    let request = billing::EditDraftRequest { invoice_id, lines: input.lines.into_iter().map(Into::into).collect() };
    Ok(Json(state.clients.billing(&caller.call()).edit_draft(request).await?.into_inner().into()))
}

/// Throw a draft away.
#[utoipa::path(delete, path = "/invoices/{id}", tag = "invoices", operation_id = "discard_draft", params(("id" = String, Path)), responses((status = 204)))]
async fn discard(State(state): State<AppState>, caller: Caller, Path(invoice_id): Path<String>) -> Reply<StatusCode> {
    state.clients.billing(&caller.call()).discard_draft(billing::DiscardDraftRequest { invoice_id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Issue a draft.
///
/// It gets its number and is owed; money in the customer's wallet pays it first. One over nothing is settled at once.
#[utoipa::path(post, path = "/invoices/{id}/finalise", tag = "invoices", operation_id = "finalise_draft", params(("id" = String, Path)), request_body = FinaliseInput, responses((status = 200, body = Invoice)))]
async fn finalise(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(invoice_id): Path<String>,
    Json(input): Json<FinaliseInput>,
) -> Reply<Json<Invoice>> {
    let request = billing::FinaliseDraftRequest { invoice_id, due_days: input.due_days.unwrap_or(DUE_DAYS) };
    let context = caller.call().idempotency_key(key.0);
    Ok(Json(state.clients.billing(&context).finalise_draft(request).await?.into_inner().into()))
}

/// Mail an invoice to its customer.
#[utoipa::path(post, path = "/invoices/{id}/send", tag = "invoices", operation_id = "send_invoice", params(("id" = String, Path)), responses((status = 200, body = Invoice)))]
async fn send(State(state): State<AppState>, caller: Caller, Path(invoice_id): Path<String>) -> Reply<Json<Invoice>> {
    let request = billing::SendInvoiceRequest { invoice_id };
    Ok(Json(state.clients.billing(&caller.call()).send_invoice(request).await?.into_inner().into()))
}

/// Take an invoice back.
///
/// Only while nothing is paid on it (409 `invoice_paid`: credit it instead). The period of a running subscription is billed anew;
/// an invoice an order waits for goes with the order (409 `order_unpaid`).
#[utoipa::path(post, path = "/invoices/{id}/void", tag = "invoices", operation_id = "void_invoice", params(("id" = String, Path)), request_body = WhyInput, responses((status = 200, body = Invoice)))]
async fn void(
    State(state): State<AppState>,
    caller: Caller,
    Path(invoice_id): Path<String>,
    Json(input): Json<WhyInput>,
) -> Reply<Json<Invoice>> {
    let request = billing::VoidInvoiceRequest { invoice_id, reason: input.reason };
    Ok(Json(state.clients.billing(&caller.call()).void_invoice(request).await?.into_inner().into()))
}

/// Give an invoice up.
///
/// What is still owed becomes a loss in the books. It can still be paid; then it closes and the loss is taken back. 409
/// `subscription_live` while the subscription it is for runs.
#[utoipa::path(post, path = "/invoices/{id}/write-off", tag = "invoices", operation_id = "write_off_invoice", params(("id" = String, Path)), request_body = WhyInput, responses((status = 200, body = Invoice)))]
async fn write_off(
    State(state): State<AppState>,
    caller: Caller,
    Path(invoice_id): Path<String>,
    Json(input): Json<WhyInput>,
) -> Reply<Json<Invoice>> {
    let request = billing::WriteOffInvoiceRequest { invoice_id, reason: input.reason };
    Ok(Json(state.clients.billing(&caller.call()).write_off_invoice(request).await?.into_inner().into()))
}

/// Credit an invoice.
///
/// A credit note lowers what is still owed, and puts what was paid into the wallet. An invoice that owes nothing any more is
/// settled and gives what it was for. To send money back to its source, give a payment back instead.
#[utoipa::path(post, path = "/invoices/{id}/credit-notes", tag = "invoices", operation_id = "credit_invoice", params(("id" = String, Path)), request_body = CreditInput, responses((status = 201, body = CreditNote)))]
async fn credit(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(invoice_id): Path<String>,
    Json(input): Json<CreditInput>,
) -> Reply<Response> {
    let request = billing::CreditInvoiceRequest {
        invoice_id,
        amount: input.amount.map(Into::into),
        line_numbers: input.line_numbers,
        reason: input.reason,
    };
    let context = caller.call().idempotency_key(key.0);
    let note = state.clients.billing(&context).credit_invoice(request).await?.into_inner();
    Ok((StatusCode::CREATED, Json(CreditNote::from(note))).into_response())
}

/// Cancel an order.
///
/// One nobody has paid: its invoice is void with it, and its coupon is free for others.
#[utoipa::path(post, path = "/orders/{id}/cancel", tag = "orders", params(("id" = String, Path)), responses((status = 200, body = Order)))]
async fn cancel_order(
    State(state): State<AppState>,
    caller: Caller,
    Path(order_id): Path<String>,
) -> Reply<Json<Order>> {
    let request = billing::CancelOrderRequest { order_id };
    Ok(Json(state.clients.billing(&caller.call()).cancel_order(request).await?.into_inner().into()))
}

/// Get the invoice rules.
#[utoipa::path(get, path = "/invoice-rules", tag = "invoices", operation_id = "get_invoice_rules", responses((status = 200, body = InvoiceRules)))]
async fn rules(State(state): State<AppState>, caller: Caller) -> Reply<Json<InvoiceRules>> {
    let reply = state.clients.billing(&caller.call()).get_invoice_rules(billing::GetInvoiceRulesRequest {}).await?;
    Ok(Json(reply.into_inner().into()))
}

/// Change the invoice rules.
#[utoipa::path(put, path = "/invoice-rules", tag = "invoices", operation_id = "put_invoice_rules", request_body = InvoiceRulesInput, responses((status = 200, body = InvoiceRules)))]
async fn put_rules(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<InvoiceRulesInput>,
) -> Reply<Json<InvoiceRules>> {
    let request = billing::PutInvoiceRulesRequest {
        unpaid_at_end: input.unpaid_at_end.into(),
        bills_time_off: input.bills_time_off,
        proforma: input.proforma,
        consolidated: input.consolidated,
        expected_version: input.version,
    };
    Ok(Json(state.clients.billing(&caller.call()).put_invoice_rules(request).await?.into_inner().into()))
}

/// Get how a customer is billed.
#[utoipa::path(get, path = "/accounts/{id}/invoicing", tag = "invoices", operation_id = "get_customer_invoicing", params(("id" = String, Path)), responses((status = 200, body = CustomerInvoicing)))]
async fn customer(
    State(state): State<AppState>,
    caller: Caller,
    Path(account_id): Path<String>,
) -> Reply<Json<CustomerInvoicing>> {
    let request = billing::GetCustomerInvoicingRequest { account_id };
    Ok(Json(state.clients.billing(&caller.call()).get_customer_invoicing(request).await?.into_inner().into()))
}

/// Change how a customer is billed.
#[utoipa::path(put, path = "/accounts/{id}/invoicing", tag = "invoices", operation_id = "put_customer_invoicing", params(("id" = String, Path)), request_body = CustomerInvoicingInput, responses((status = 200, body = CustomerInvoicing)))]
async fn put_customer(
    State(state): State<AppState>,
    caller: Caller,
    Path(account_id): Path<String>,
    Json(input): Json<CustomerInvoicingInput>,
) -> Reply<Json<CustomerInvoicing>> {
    let request = billing::PutCustomerInvoicingRequest { account_id, consolidation: input.consolidation.into() };
    Ok(Json(state.clients.billing(&caller.call()).put_customer_invoicing(request).await?.into_inner().into()))
}
