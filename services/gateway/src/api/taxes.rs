//! How a brand's legal entity taxes: its settings, and the rules by place, kind of product and day.

use axum::extract::State;
use ottery_proto::catalog::v1 as catalog;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{DryRun, Show as _, Time, words};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// Whether prices contain tax, or it is added to them.
    TaxPricing from catalog::tax_settings::Pricing { Inclusive, Exclusive }
}

words! {
    /// Where tax is rounded: on every line, or once per rate, which the lines then share by the largest remainder.
    TaxRounding from catalog::tax_settings::Rounding { Line, Total }
}

words! {
    /// What is done for customers in other countries for which there is no rule: as at home, or no tax.
    TaxElsewhere from catalog::tax_settings::Elsewhere { HomeRate, Untaxed }
}

words! {
    /// Whether a rule taxes at its rate, exempts, or says that something is not taxed at all.
    TaxLevy from catalog::tax_rule::Levy { Rate, Exempt, OutOfScope }
}

/// How a legal entity taxes. Invoices that were issued stay as they are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxSettings {
    /// Whether prices contain tax.
    pub pricing: TaxPricing,
    /// Where it is rounded.
    pub rounding: TaxRounding,
    /// What is done in other countries without a rule.
    pub elsewhere: TaxElsewhere,
    /// How long an invoice waits for the answer about a VAT number, in hours, 0 to 168; afterwards it is taxed as if there were
    /// none.
    #[serde(default = "day")]
    pub vat_wait_hours: u32,
}

impl From<catalog::TaxSettings> for TaxSettings {
    fn from(given: catalog::TaxSettings) -> Self {
        Self {
            pricing: given.pricing.show(),
            rounding: given.rounding.show(),
            elsewhere: given.elsewhere.show(),
            vat_wait_hours: given.vat_wait_hours,
        }
    }
}

impl From<TaxSettings> for catalog::TaxSettings {
    fn from(given: TaxSettings) -> Self {
        Self {
            pricing: given.pricing.into(),
            rounding: given.rounding.into(),
            elsewhere: given.elsewhere.into(),
            vat_wait_hours: given.vat_wait_hours,
        }
    }
}

/// What is taxed where. The nearest rule counts: the longest postal prefix, then a region, then a category.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxRule {
    /// ISO 3166-1 alpha-2.
    #[schema(example = "FR")]
    pub country: String,
    /// The part of ISO 3166-2 after the hyphen, such as `CA`; empty: the whole country.
    #[serde(default)]
    pub region: String,
    /// What postal codes begin with, without blanks and hyphens; empty: all.
    #[serde(default)]
    pub postal_prefix: String,
    /// Tax category of a plan; empty: all.
    #[serde(default)]
    pub category: String,
    /// Basis points; 0 where no tax is charged.
    #[schema(example = 2000)]
    pub rate_bp: u32,
    /// As invoices call the tax.
    #[serde(default)]
    #[schema(example = "TVA")]
    pub name: String,
    /// Whether and how it taxes; at its rate when left out.
    #[serde(default = "rate")]
    pub levy: TaxLevy,
    /// Exempt and out of scope: which law says so; printed on invoices.
    #[serde(default)]
    pub reason: String,
    /// A business abroad with a valid VAT number of this country owes the tax itself.
    #[serde(default)]
    pub reverse_charge: bool,
    /// First day in the legal entity's zone; empty: always.
    #[serde(default)]
    #[schema(example = "2027-01-01")]
    pub valid_from: String,
    /// First day on which it is over; empty: never.
    #[serde(default)]
    pub valid_until: String,
}

const fn day() -> u32 {
    24
}

const fn rate() -> TaxLevy {
    TaxLevy::Rate
}

impl From<catalog::TaxRule> for TaxRule {
    fn from(given: catalog::TaxRule) -> Self {
        Self {
            country: given.country,
            region: given.region,
            postal_prefix: given.postal_prefix,
            category: given.category,
            rate_bp: given.rate_bp,
            name: given.name,
            levy: given.levy.show(),
            reason: given.reason,
            reverse_charge: given.reverse_charge,
            valid_from: given.valid_from,
            valid_until: given.valid_until,
        }
    }
}

impl From<TaxRule> for catalog::TaxRule {
    fn from(given: TaxRule) -> Self {
        Self {
            country: given.country,
            region: given.region,
            postal_prefix: given.postal_prefix,
            category: given.category,
            rate_bp: given.rate_bp,
            name: given.name,
            levy: given.levy.into(),
            reason: given.reason,
            reverse_charge: given.reverse_charge,
            valid_from: given.valid_from,
            valid_until: given.valid_until,
        }
    }
}

/// All tax rules of a brand's legal entity.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TaxTable {
    /// In the order of places and days.
    pub rules: Vec<TaxRule>,
    /// 0: nothing was ever written.
    pub version: u64,
    /// Last change.
    pub updated_at: Option<Time>,
}

impl From<catalog::TaxTable> for TaxTable {
    fn from(given: catalog::TaxTable) -> Self {
        Self { rules: given.rules.show(), version: given.version, updated_at: given.updated_at.show() }
    }
}

/// The rules that shall hold from now on, all of them; at most 5000.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxTableInput {
    /// No two of them are about the same place, category and day.
    pub rules: Vec<TaxRule>,
    /// The version that was read.
    pub version: u64,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read, replace))
}

/// Get the tax rules.
#[utoipa::path(get, path = "/tax-rules", tag = "taxes", operation_id = "get_tax_rules", responses((status = 200, body = TaxTable)))]
async fn read(State(state): State<AppState>, caller: Caller) -> Reply<Json<TaxTable>> {
    let table = state.clients.catalog(&caller.call()).get_tax_table(catalog::GetTaxTableRequest {}).await?;
    Ok(Json(table.into_inner().into()))
}

/// Replace the tax rules.
///
/// All of them at once; invoices that were issued keep their rates.
#[utoipa::path(put, path = "/tax-rules", tag = "taxes", operation_id = "replace_tax_rules", params(DryRun), request_body = TaxTableInput, responses((status = 200, body = TaxTable)))]
async fn replace(
    State(state): State<AppState>,
    caller: Caller,
    Query(mode): Query<DryRun>,
    Json(input): Json<TaxTableInput>,
) -> Reply<Json<TaxTable>> {
    let request = catalog::PutTaxTableRequest {
        rules: input.rules.into_iter().map(Into::into).collect(),
        expected_version: input.version,
        dry_run: mode.dry_run,
    };
    let table = state.clients.catalog(&caller.call()).put_tax_table(request).await?;
    Ok(Json(table.into_inner().into()))
}
