//! Saved payment methods. What is typed on the provider's page never comes near us.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use ottery_proto::billing::v1 as billing;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::payments::PROVIDER_TIMEOUT;
use super::view::{List, Time, view};
use crate::limits::{self, Json, Query};
use crate::links;
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// A saved method.
    PaymentMethod from billing::PaymentMethod {
        id: String,
        account_id: String,
        /// For example `Visa ending 4242`.
        label: String,
        /// Charged when nothing names another one.
        default_method: bool,
        /// The last day it can be charged.
        expires_on: Option<String>,
        created_at: Option<Time>,
        provider_account_id: String,
        /// When its owner was told that it expires on that day.
        expiry_told_at: Option<Time>,
    }
}

/// Whose methods.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MethodQuery {
    /// One account's, for staff; a customer sees their own.
    account_id: Option<String>,
}

/// A method to be saved without paying.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupInput {
    /// Whose, for staff.
    #[serde(default)]
    pub account_id: String,
    /// What will be charged later; the brand's first currency when left out.
    #[serde(default)]
    pub currency: String,
    /// Where the provider's page returns to: a path on this host; the customer's payment methods when left out.
    #[serde(default)]
    pub return_path: Option<String>,
}

/// Where a method is saved.
#[derive(Debug, Serialize, ToSchema)]
pub struct SetupPage {
    /// The provider's page.
    pub setup_url: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, begin)).routes(routes!(remove))
}

/// List saved payment methods.
#[utoipa::path(get, path = "/payment-methods", tag = "payments", operation_id = "list_payment_methods", params(MethodQuery), responses((status = 200, body = List<PaymentMethod>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<MethodQuery>,
) -> Reply<Json<List<PaymentMethod>>> {
    let request = billing::ListPaymentMethodsRequest { account_id: query.account_id.unwrap_or_default() };
    let reply = state.clients.billing(&caller.call()).list_payment_methods(request).await?.into_inner();
    Ok(Json(List::of(reply.methods)))
}

/// Begin saving a payment method.
///
/// Answers with the provider's page. What could not be charged is tried again once the method is saved.
#[utoipa::path(post, path = "/payment-methods", tag = "payments", operation_id = "begin_payment_method", request_body = SetupInput, responses((status = 201, body = SetupPage)))]
async fn begin(State(state): State<AppState>, caller: Caller, Json(input): Json<SetupInput>) -> Reply<Response> {
    limits::order(&state, &caller.request).await?;
    let path = links::own_path("return_path", input.return_path.as_deref().unwrap_or(links::METHODS))?;
    let url = links::absolute(&caller.request, path);
    let request = billing::BeginPaymentSetupRequest {
        account_id: input.account_id,
        currency: input.currency,
        cancel_url: url.clone(),
        return_url: url,
    };
    let call = caller.call().timeout(PROVIDER_TIMEOUT);
    let setup_url = state.clients.billing(&call).begin_payment_setup(request).await?.into_inner().setup_url;
    Ok((StatusCode::CREATED, Json(SetupPage { setup_url })).into_response())
}

/// Remove a saved payment method.
#[utoipa::path(delete, path = "/payment-methods/{id}", tag = "payments", operation_id = "remove_payment_method", params(("id" = String, Path)), responses((status = 204)))]
async fn remove(State(state): State<AppState>, caller: Caller, Path(id): Path<String>) -> Reply<StatusCode> {
    let request = billing::RemovePaymentMethodRequest { id };
    state.clients.billing(&caller.call().timeout(PROVIDER_TIMEOUT)).remove_payment_method(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
