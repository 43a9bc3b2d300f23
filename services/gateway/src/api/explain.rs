//! How amounts were computed.

use axum::extract::{Path, State};
use ottery_proto::billing::v1 as billing;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::ledger::Transfer;
use super::plans::TermView;
use super::view::{Money, Time, view};
use crate::limits::Json;
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// A base times a share, rounded once.
    ExplainedStep from billing::ExplainedStep {
        /// What the base is: `price`, `reduced` (a price less what a coupon takes off), `setup_fee`, `stated`, `tax_added`,
        /// `tax_contained`, `rounding`, `line`, `total`, `tax`, `paid`, `allocation`, `wallet`, `rate_share`, `given_up`. More may
        /// come.
        kind: String,
        /// The step in words.
        text: String,
        base: Option<Money>,
        /// How much of the base counts, as `numerator` / `denominator`; both 0: all of it.
        numerator: i64,
        denominator: i64,
        /// `half_up` (to the nearest minor unit, a half away from zero), `largest_remainder` (parts that add up); null: not
        /// rounded.
        rounding: Option<String>,
        /// The time it stands for.
        period_start: Option<Time>,
        period_end: Option<Time>,
        /// The price of the catalogue.
        price_id: Option<String>,
        plan_version_id: Option<String>,
        plan_name: Option<String>,
        term: Option<TermView>,
        coupon: Option<String>,
        /// Basis points.
        tax_rate_bp: Option<u32>,
        /// The payment, credit note, … it comes from.
        reference_id: Option<String>,
        result: Option<Money>,
    }
}

view! {
    /// A figure; the results of its steps add up to it.
    ExplainedFigure from billing::ExplainedFigure {
        /// `line`, `line_tax`, `subtotal`, `tax`, `total`, `paid`, `remaining`, `credit_note`, `credit_note_tax`, `credit_note_rates`
        kind: String,
        /// As it is printed.
        name: String,
        amount: Option<Money>,
        steps: Vec<ExplainedStep>,
    }
}

view! {
    /// The figures of something with the steps that lead to them.
    Explanation from billing::Explanation {
        /// The invoice's number, or what it is in words.
        title: String,
        /// Null when there is no invoice yet.
        invoice_id: Option<String>,
        /// Null when nothing is due.
        due_at: Option<Time>,
        /// Why there is nothing to explain, or what else to know.
        note: Option<String>,
        figures: Vec<ExplainedFigure>,
        /// Rows of the books, oldest first; a customer sees those of their own accounts.
        postings: Vec<Transfer>,
    }
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(invoice)).routes(routes!(subscription)).routes(routes!(quote))
}

/// Explain an invoice.
///
/// Every figure of the invoice and its credit notes with the steps that lead to it, and the rows of the books they caused.
#[utoipa::path(get, path = "/invoices/{id}/explain", tag = "invoices", operation_id = "explain_invoice", params(("id" = String, Path)), responses((status = 200, body = Explanation)))]
async fn invoice(
    State(state): State<AppState>,
    caller: Caller,
    Path(invoice_id): Path<String>,
) -> Reply<Json<Explanation>> {
    let request = billing::ExplainInvoiceRequest { invoice_id };
    Ok(Json(state.clients.billing(&caller.call()).explain_invoice(request).await?.into_inner().into()))
}

/// Explain the next charge of a subscription.
///
/// Of the invoice that waits, or of the one that will be issued: the same computation makes that invoice.
#[utoipa::path(get, path = "/subscriptions/{id}/explain", tag = "subscriptions", operation_id = "explain_subscription", params(("id" = String, Path)), responses((status = 200, body = Explanation)))]
async fn subscription(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
) -> Reply<Json<Explanation>> {
    let request = billing::ExplainSubscriptionRequest { subscription_id };
    Ok(Json(state.clients.billing(&caller.call()).explain_subscription(request).await?.into_inner().into()))
}

/// Explain a quote.
#[utoipa::path(get, path = "/quotes/{id}/explain", tag = "orders", operation_id = "explain_quote", params(("id" = String, Path)), responses((status = 200, body = Explanation)))]
async fn quote(
    State(state): State<AppState>,
    caller: Caller,
    Path(quote_id): Path<String>,
) -> Reply<Json<Explanation>> {
    let request = billing::ExplainQuoteRequest { quote_id };
    Ok(Json(state.clients.billing(&caller.call()).explain_quote(request).await?.into_inner().into()))
}
