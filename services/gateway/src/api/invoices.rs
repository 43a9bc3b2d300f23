//! Invoices and credit notes, their PDFs and e-invoices, and paying them.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use ottery_proto::billing::v1 as billing;
use ottery_proto::catalog::v1 as catalog;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::addresses::VatProof;
use super::view::{Money, Page, Show as _, Time, page, view, words};
use crate::idempotency::IdempotencyKey;
use crate::limits::{self, Json, Query};
use crate::links;
use crate::problem::{Refusal, Reply};
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// Where an invoice stands.
    InvoiceState from billing::invoice::State { Draft, Open, Void, Uncollectible, Closed }
}

words! {
    /// What an invoice is for.
    InvoicePurpose from billing::invoice::Purpose { First, Renewal, Upgrade, Manual, TopUp }
}

view! {
    /// A line; its amount contains the tax, whatever prices are.
    InvoiceLine from billing::InvoiceLine {
        description: String,
        quantity: u32,
        amount: Option<Money>,
        /// Basis points.
        tax_rate_bp: u32,
        tax: Option<Money>,
        period_start: Option<Time>,
        period_end: Option<Time>,
    }
}

view! {
    /// Who sells.
    Seller from catalog::LegalEntity {
        name: String,
        address_lines: Vec<String>,
        country: String,
        tax_id: Option<String>,
        email: Option<String>,
    }
}

view! {
    /// Takes back a part of an invoice.
    CreditNote from billing::CreditNote {
        id: String,
        number: String,
        invoice_id: String,
        amount: Option<Money>,
        tax: Option<Money>,
        reason: String,
        issued_at: Option<Time>,
        /// Lines of the invoice it takes back, counted from 1; empty for a share of all of them.
        line_numbers: Vec<u32>,
    }
}

view! {
    /// What one subscription pays of a consolidated invoice. Voiding, writing off and crediting name the part.
    InvoicePart from billing::InvoicePart {
        invoice_id: String,
        subscription_id: String,
        /// As the lines print it.
        subscription_name: String,
        plan_name: String,
        state: InvoiceState,
        period_start: Option<Time>,
        period_end: Option<Time>,
        total: Option<Money>,
        tax: Option<Money>,
        paid: Option<Money>,
        refunded: Option<Money>,
        /// Its lines among those of the whole, counted from 1.
        first_line: u32,
        line_count: u32,
    }
}

view! {
    /// An invoice.
    Invoice from billing::Invoice {
        id: String,
        /// Null while a draft.
        number: Option<String>,
        account_id: String,
        subscription_id: Option<String>,
        state: InvoiceState,
        purpose: InvoicePurpose,
        lines: Vec<InvoiceLine>,
        subtotal: Option<Money>,
        tax: Option<Money>,
        total: Option<Money>,
        paid: Option<Money>,
        refunded: Option<Money>,
        issued_at: Option<Time>,
        due_at: Option<Time>,
        closed_at: Option<Time>,
        seller: Option<Seller>,
        buyer_name: String,
        buyer_email: String,
        buyer_country: Option<String>,
        buyer_company: Option<String>,
        buyer_address_lines: Vec<String>,
        buyer_vat_number: Option<String>,
        tax_name: Option<String>,
        /// Why no tax is charged.
        tax_note: Option<String>,
        /// Under reverse charge: that the buyer is a business.
        tax_proof: Option<VatProof>,
        /// Who said where the buyer is: `order`, `customer`, `staff`.
        tax_place_source: Option<String>,
        locale: String,
        /// It only asks for the money so far: no tax document, and `number` is that of the pro forma.
        proforma: bool,
        /// The number it asked by, kept when it has become an invoice.
        proforma_number: Option<String>,
        proforma_at: Option<Time>,
        /// When what was owed was too little for a payment of its own: it is asked for with the next invoice.
        carried_at: Option<Time>,
        credit_notes: Vec<CreditNote>,
        /// Of a consolidated invoice: what each subscription pays of it, in the order in which a part payment pays them.
        parts: Vec<InvoicePart>,
        /// When a part is the answer: the consolidated invoice it belongs to.
        consolidated_id: Option<String>,
    }
}

/// Which invoices.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InvoiceQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// One account's, for staff.
    account_id: Option<String>,
    /// One subscription's.
    subscription_id: Option<String>,
}

/// How to pay.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayInput {
    /// Path the provider's page returns to; the invoice's page when left out.
    #[serde(default)]
    pub return_path: Option<String>,
    /// The way to pay that was chosen, of those in `/pay-ways`; the one of the page before, else whichever serves, when left out. Refused as
    /// `pay_way_unavailable` when it does not serve what is due.
    #[serde(default)]
    pub provider_account_id: Option<String>,
}

/// What to pay together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayManyInput {
    /// 1 to 50 invoices of one customer, in one currency and of one seller.
    pub invoice_ids: Vec<String>,
    /// Path the provider's page returns to; the list of invoices when left out.
    #[serde(default)]
    pub return_path: Option<String>,
    /// The way to pay that was chosen, of those in `/pay-ways`; whichever serves when left out. Refused as
    /// `pay_way_unavailable` when it does not serve what is due.
    #[serde(default)]
    pub provider_account_id: Option<String>,
}

/// Where to pay.
#[derive(Debug, Serialize, ToSchema)]
pub struct PayPage {
    /// The provider's page.
    pub checkout_url: Option<String>,
    /// The attempt.
    pub payment_id: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(pdf))
        .routes(routes!(credit_note_pdf))
        .routes(routes!(ubl))
        .routes(routes!(credit_note_ubl))
        .routes(routes!(pay))
        .routes(routes!(pay_many))
}

/// List invoices.
#[utoipa::path(get, path = "/invoices", tag = "invoices", operation_id = "list_invoices", params(InvoiceQuery), responses((status = 200, body = Page<Invoice>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<InvoiceQuery>,
) -> Reply<Json<Page<Invoice>>> {
    let request = billing::ListInvoicesRequest {
        page: page(query.cursor, query.limit)?,
        account_id: query.account_id.unwrap_or_default(),
        subscription_id: query.subscription_id.unwrap_or_default(),
    };
    let reply = state.clients.billing(&caller.call()).list_invoices(request).await?.into_inner();
    Ok(Json(Page::of(reply.invoices, reply.page)))
}

/// Get an invoice.
#[utoipa::path(get, path = "/invoices/{id}", tag = "invoices", operation_id = "get_invoice", params(("id" = String, Path)), responses((status = 200, body = Invoice)))]
async fn read(State(state): State<AppState>, caller: Caller, Path(invoice_id): Path<String>) -> Reply<Json<Invoice>> {
    let request = billing::GetInvoiceRequest { invoice_id };
    Ok(Json(state.clients.billing(&caller.call()).get_invoice(request).await?.into_inner().into()))
}

/// Get an invoice as PDF.
#[utoipa::path(get, path = "/invoices/{id}/pdf", tag = "invoices", operation_id = "get_invoice_pdf", params(("id" = String, Path)), responses((status = 200, content_type = "application/pdf", body = Vec<u8>)))]
async fn pdf(State(state): State<AppState>, caller: Caller, Path(invoice_id): Path<String>) -> Reply<Response> {
    document(&state, &caller, invoice_id, String::new()).await
}

/// Get a credit note as PDF.
#[utoipa::path(get, path = "/invoices/{id}/credit-notes/{credit_note_id}/pdf", tag = "invoices", operation_id = "get_credit_note_pdf",
    params(("id" = String, Path), ("credit_note_id" = String, Path)), responses((status = 200, content_type = "application/pdf", body = Vec<u8>)))]
async fn credit_note_pdf(
    State(state): State<AppState>,
    caller: Caller,
    Path((invoice_id, credit_note_id)): Path<(String, String)>,
) -> Reply<Response> {
    document(&state, &caller, invoice_id, credit_note_id).await
}

/// The PDF of an invoice, or of one of its credit notes when one is named; pages use it as well.
///
/// # Errors
/// 404 for documents of others; 500 and 503 when it cannot be drawn.
pub async fn document(
    state: &AppState,
    caller: &Caller,
    invoice_id: String,
    credit_note_id: String,
) -> Reply<Response> {
    let request = billing::GetInvoiceDocumentRequest { invoice_id, credit_note_id };
    let reply = state.clients.billing(&caller.call()).get_invoice_document(request).await?.into_inner();
    let pdf = state.documents.draw(&reply.document_json).await?;
    file(&reply.file_name, "application/pdf", pdf)
}

/// A file to download.
///
/// # Errors
/// Never in practice: only plain letters of the name are kept.
pub fn file(name: &str, kind: &'static str, body: impl Into<Body>) -> Reply<Response> {
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
    let disposition =
        HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).map_err(|error| Refusal::internal(&error))?;
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, body.into()).into_response())
}

/// Get an invoice as e-invoice.
///
/// EN 16931 in UBL 2.1. 409 `e_invoice_incomplete` names the field that is missing and where it is set.
#[utoipa::path(get, path = "/invoices/{id}/ubl", tag = "invoices", operation_id = "get_invoice_ubl", params(("id" = String, Path)), responses((status = 200, content_type = "application/xml", body = String)))]
async fn ubl(State(state): State<AppState>, caller: Caller, Path(invoice_id): Path<String>) -> Reply<Response> {
    e_invoice(&state, &caller, invoice_id, String::new()).await
}

/// Get a credit note as e-invoice.
#[utoipa::path(get, path = "/invoices/{id}/credit-notes/{credit_note_id}/ubl", tag = "invoices", operation_id = "get_credit_note_ubl",
    params(("id" = String, Path), ("credit_note_id" = String, Path)), responses((status = 200, content_type = "application/xml", body = String)))]
async fn credit_note_ubl(
    State(state): State<AppState>,
    caller: Caller,
    Path((invoice_id, credit_note_id)): Path<(String, String)>,
) -> Reply<Response> {
    e_invoice(&state, &caller, invoice_id, credit_note_id).await
}

/// The UBL of an invoice, or of one of its credit notes when one is named; pages use it as well.
///
/// # Errors
/// 404 for documents of others; 409 when EN 16931 needs what the invoice lacks.
pub async fn e_invoice(
    state: &AppState,
    caller: &Caller,
    invoice_id: String,
    credit_note_id: String,
) -> Reply<Response> {
    let request = billing::GetInvoiceUblRequest { invoice_id, credit_note_id };
    let reply = state.clients.billing(&caller.call()).get_invoice_ubl(request).await?.into_inner();
    file(&reply.file_name, "application/xml", reply.xml)
}

/// Pay an invoice.
///
/// A new page of the provider replaces an older attempt that is still open.
#[utoipa::path(post, path = "/invoices/{id}/pay", tag = "invoices", operation_id = "pay_invoice", params(("id" = String, Path)), request_body = PayInput, responses((status = 200, body = PayPage)))]
async fn pay(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(invoice_id): Path<String>,
    Json(input): Json<PayInput>,
) -> Reply<Json<PayPage>> {
    limits::order(&state, &caller.request).await?;
    let own = links::INVOICE.replace("{invoice}", &invoice_id);
    let path = links::own_path("return_path", input.return_path.as_deref().unwrap_or(&own))?;
    let url = links::absolute(&caller.request, path);
    let request = billing::PayInvoiceRequest {
        invoice_id,
        return_url: url.clone(),
        cancel_url: url,
        provider_account_id: input.provider_account_id.unwrap_or_default(),
    };
    let context = caller.call().idempotency_key(key.0).timeout(super::payments::PROVIDER_TIMEOUT);
    let reply = state.clients.billing(&context).pay_invoice(request).await?.into_inner();
    Ok(Json(PayPage { checkout_url: reply.checkout_url.show(), payment_id: reply.payment_id }))
}

/// Pay several invoices at once.
///
/// One page for all of them. It replaces older pages of each; an invoice that is paid otherwise meanwhile closes the page.
#[utoipa::path(post, path = "/invoices/pay", tag = "invoices", operation_id = "pay_invoices", request_body = PayManyInput, responses((status = 200, body = PayPage)))]
async fn pay_many(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Json(input): Json<PayManyInput>,
) -> Reply<Json<PayPage>> {
    limits::order(&state, &caller.request).await?;
    let path = links::own_path("return_path", input.return_path.as_deref().unwrap_or(links::INVOICES))?;
    let url = links::absolute(&caller.request, path);
    let request = billing::PayInvoicesRequest {
        invoice_ids: input.invoice_ids,
        return_url: url.clone(),
        cancel_url: url,
        provider_account_id: input.provider_account_id.unwrap_or_default(),
    };
    let context = caller.call().idempotency_key(key.0).timeout(super::payments::PROVIDER_TIMEOUT);
    let reply = state.clients.billing(&context).pay_invoices(request).await?.into_inner();
    Ok(Json(PayPage { checkout_url: reply.checkout_url.show(), payment_id: reply.payment_id }))
}
