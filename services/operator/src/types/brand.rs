//! `Brand`: a shop. Its name in the cluster is its slug.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretSource, Status};

/// A shop with its own hosts, look, currencies and rules. `metadata.name` is its slug.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "ottery.dev",
    version = "v1alpha1",
    kind = "Brand",
    plural = "brands",
    singular = "brand",
    shortname = "obr",
    namespaced,
    status = "Status",
    printcolumn = r#"{"name":"Name","type":"string","jsonPath":".spec.name"}"#,
    printcolumn = r#"{"name":"Host","type":"string","jsonPath":".spec.hosts[0]"}"#,
    printcolumn = r#"{"name":"Ready","type":"boolean","jsonPath":".status.ready"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BrandSpec {
    /// As customers read it.
    pub name: String,
    /// One sentence for the storefront.
    #[serde(default)]
    pub tagline: String,
    /// Host names; the first one is canonical.
    pub hosts: Vec<String>,
    /// Who sells.
    pub entity: EntitySpec,
    /// Languages; the first one is the default.
    pub locales: Vec<String>,
    /// Currencies; the first one is the default.
    pub currencies: Vec<String>,
    /// IANA zone of the brand's days.
    pub time_zone: String,
    /// Where customers write.
    pub support_email: String,
    /// Sender of mails.
    pub sender_email: String,
    /// Design tokens by name; the rest have defaults.
    #[serde(default)]
    pub tokens: BTreeMap<String, String>,
    /// Logo as a data URI of a PNG or JPEG.
    #[serde(default)]
    pub logo: String,
    /// Days from a missed renewal to suspension.
    #[serde(default = "grace_days")]
    pub grace_days: u32,
    /// Days from suspension to termination.
    #[serde(default = "terminate_after_days")]
    pub terminate_after_days: u32,
    /// Hours before a period's end at which its renewal invoice is issued.
    #[serde(default = "renewal_lead_hours")]
    pub renewal_lead_hours: u32,
    /// Hours relative to the due instant at which open renewals are reminded.
    #[serde(default)]
    pub reminder_hours: Vec<i32>,
    /// Tax contained in every price, in basis points.
    #[serde(default)]
    pub tax_rate_bp: u32,
    /// Name of the tax.
    #[serde(default)]
    pub tax_name: String,
    /// Commission on a referred customer's first payment, in basis points.
    #[serde(default)]
    pub affiliate_rate_bp: u32,
    /// Days a commission stays pending.
    #[serde(default)]
    pub affiliate_hold_days: u32,
    /// Whether the storefront is open.
    #[serde(default)]
    pub published: bool,
    /// Payment provider accounts.
    #[serde(default)]
    pub payments: Vec<PaymentsSpec>,
}

const fn grace_days() -> u32 {
    3
}

const fn terminate_after_days() -> u32 {
    30
}

const fn renewal_lead_hours() -> u32 {
    72
}

/// Who sells: the issuer of invoices.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntitySpec {
    /// As on the invoice.
    pub name: String,
    /// As on the invoice.
    pub address_lines: Vec<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// VAT or other tax number.
    #[serde(default)]
    pub tax_id: String,
    /// IANA zone that decides the issue date.
    pub time_zone: String,
    /// Prefix of invoice numbers.
    pub invoice_series: String,
    /// Contact on the invoice.
    pub email: String,
}

/// A payment provider's account.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PaymentsSpec {
    /// `sandbox`.
    pub provider: String,
    /// Address of the provider's API.
    pub base_url: String,
    /// Key of its API.
    pub api_key_from: SecretSource,
    /// Secrets that sign its webhooks, the newest last.
    pub webhook_secrets_from: Vec<SecretSource>,
}
