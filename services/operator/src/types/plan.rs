//! `Plan`: what a brand sells. Its slug is the document's name unless it says otherwise.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Status;

/// What a brand sells.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "ottery.dev",
    version = "v1alpha1",
    kind = "Plan",
    plural = "plans",
    singular = "plan",
    shortname = "opl",
    namespaced,
    status = "Status",
    printcolumn = r#"{"name":"Brand","type":"string","jsonPath":".spec.brand"}"#,
    printcolumn = r#"{"name":"Name","type":"string","jsonPath":".spec.name"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".spec.state"}"#,
    printcolumn = r#"{"name":"Ready","type":"boolean","jsonPath":".status.ready"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanSpec {
    /// Slug of the brand.
    pub brand: String,
    /// Part of its address in the storefront; the document's name by default.
    #[serde(default)]
    pub slug: String,
    /// Whether it can be bought.
    pub state: SaleState,
    /// Place in the storefront, smallest first.
    #[serde(default)]
    pub position: u32,
    /// Shown on the home page.
    #[serde(default)]
    pub featured: bool,
    /// As customers read it.
    pub name: String,
    /// One or two sentences.
    #[serde(default)]
    pub summary: String,
    /// Short promises.
    #[serde(default)]
    pub features: Vec<String>,
    /// Simultaneous streams.
    pub connections: u32,
    /// Days of trial; 0: none.
    #[serde(default)]
    pub trial_days: u32,
    /// What it means on a panel.
    pub mapping: MappingSpec,
    /// What it costs.
    pub prices: Vec<PriceSpec>,
}

/// Whether a plan can be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum SaleState {
    /// Seen by staff alone.
    Draft,
    /// Anybody may buy.
    OnSale,
    /// Existing subscriptions renew, nobody new can buy.
    Archived,
}

/// What a plan means on a panel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MappingSpec {
    /// Pool of panels; empty: any of the brand.
    #[serde(default)]
    pub pool: String,
    /// Bouquets of the panel.
    pub bouquet_ids: Vec<i64>,
    /// Package of reseller keys; 0: none.
    #[serde(default)]
    pub package_id: i64,
    /// `hls`, `ts`, `rtmp`.
    pub outputs: Vec<String>,
    /// Preferred region; empty: any.
    #[serde(default)]
    pub region: String,
}

/// One way to pay.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceSpec {
    /// Amount with currency, for example `9.99 EUR`; tax is contained.
    pub amount: String,
    /// Once, on the first invoice; the same form.
    #[serde(default)]
    pub setup_fee: String,
    /// How long one payment lasts.
    pub term: TermSpec,
}

/// How long one payment lasts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TermSpec {
    /// How many.
    pub count: u32,
    /// Of what.
    pub unit: TermUnit,
}

/// Unit of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum TermUnit {
    /// Days.
    Day,
    /// Weeks.
    Week,
    /// Months.
    Month,
    /// Years.
    Year,
}
