//! Billing addresses and VAT numbers.

use axum::extract::{Path, State};
use ottery_proto::billing::v1 as billing;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{Time, view, words};
use crate::limits::Json;
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// What is known of a VAT number.
    VatState from billing::billing_address::VatState {
        /// There is no number.
        None,
        /// It is being checked; invoices wait for the answer.
        Pending,
        /// It is a business's.
        Valid,
        /// It is nobody's; tax is charged.
        Invalid,
    }
}

view! {
    /// That a VAT number was valid: kept with every invoice that was issued without tax because of it.
    VatProof from billing::VatProof {
        vat_number: String,
        /// The service, or the member of staff.
        validator: String,
        checked_at: Option<Time>,
        /// Our name of the question.
        check_id: String,
        /// The service's name of its answer (VIES: consultation number).
        reference: Option<String>,
        /// As registered.
        name: Option<String>,
        address: Option<String>,
    }
}

view! {
    /// Where a customer's invoices go, and what decides on their tax.
    BillingAddress from billing::BillingAddress {
        account_id: String,
        /// Null for a person.
        company: Option<String>,
        lines: Vec<String>,
        postal_code: Option<String>,
        city: Option<String>,
        /// The part of ISO 3166-2 after the hyphen.
        region: Option<String>,
        country: String,
        vat_number: Option<String>,
        vat_state: VatState,
        /// Invoices wait for the answer until then; afterwards tax is charged.
        vat_pending_until: Option<Time>,
        vat_proof: Option<VatProof>,
        /// Who said so last: `customer`, `staff`.
        source: String,
        version: u64,
    }
}

/// A billing address. Invoices that were issued keep the older one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BillingAddressInput {
    /// Nothing for a person.
    #[serde(default)]
    pub company: String,
    /// Street and house, at most three lines.
    #[serde(default)]
    pub lines: Vec<String>,
    /// As written in its country.
    #[serde(default)]
    pub postal_code: String,
    /// Town.
    #[serde(default)]
    pub city: String,
    /// The part of ISO 3166-2 after the hyphen, such as `CA`; where tax asks for it.
    #[serde(default)]
    pub region: String,
    /// ISO 3166-1 alpha-2; it decides on the tax.
    #[schema(example = "FR")]
    pub country: String,
    /// With the letters of its country, which is that of the address: EU, GB, CH or NO.
    #[serde(default)]
    #[schema(example = "FR40303265045")]
    pub vat_number: String,
    /// The version that was read; 0 when there is none yet.
    #[serde(default)]
    pub version: u64,
}

/// What staff found out about a VAT number.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VatDecisionInput {
    /// Whether it is a business's.
    pub valid: bool,
    /// Where it was looked up; needed for a valid one.
    #[serde(default)]
    pub reference: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read, replace)).routes(routes!(decide))
}

/// Get a billing address.
#[utoipa::path(get, path = "/accounts/{id}/billing-address", tag = "taxes", operation_id = "get_billing_address", params(("id" = String, Path)), responses((status = 200, body = BillingAddress)))]
async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Path(account_id): Path<String>,
) -> Reply<Json<BillingAddress>> {
    let request = billing::GetBillingAddressRequest { account_id };
    Ok(Json(state.clients.billing(&caller.call()).get_billing_address(request).await?.into_inner().into()))
}

/// Set a billing address.
///
/// A new VAT number is checked at once. Orders and renewals wait for the answer (`vat_check_pending`), for as long as the legal
/// entity says; then tax is charged.
#[utoipa::path(put, path = "/accounts/{id}/billing-address", tag = "taxes", operation_id = "set_billing_address", params(("id" = String, Path)), request_body = BillingAddressInput, responses((status = 200, body = BillingAddress)))]
async fn replace(
    State(state): State<AppState>,
    caller: Caller,
    Path(account_id): Path<String>,
    Json(input): Json<BillingAddressInput>,
) -> Reply<Json<BillingAddress>> {
    let expected_version = input.version;
    let address = billing::BillingAddress {
        account_id,
        company: input.company,
        lines: input.lines,
        postal_code: input.postal_code,
        city: input.city,
        region: input.region,
        country: input.country,
        vat_number: input.vat_number,
        ..billing::BillingAddress::default()
    };
    let request = billing::PutBillingAddressRequest { address: Some(address), expected_version };
    Ok(Json(state.clients.billing(&caller.call()).put_billing_address(request).await?.into_inner().into()))
}

/// Decide on a VAT number.
///
/// For numbers no service validates, and for answers that were wrong. It is the proof from then on.
#[utoipa::path(post, path = "/accounts/{id}/vat-decision", tag = "taxes", operation_id = "decide_vat_number", params(("id" = String, Path)), request_body = VatDecisionInput, responses((status = 200, body = BillingAddress)))]
async fn decide(
    State(state): State<AppState>,
    caller: Caller,
    Path(account_id): Path<String>,
    Json(input): Json<VatDecisionInput>,
) -> Reply<Json<BillingAddress>> {
    let request = billing::DecideVatNumberRequest { account_id, valid: input.valid, reference: input.reference };
    Ok(Json(state.clients.billing(&caller.call()).decide_vat_number(request).await?.into_inner().into()))
}
