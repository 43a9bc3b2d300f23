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
    /// On which day of the month terms of months and years renew: 0 on the day they began, 31 on the last one.
    #[serde(default)]
    pub anchor_day: u32,
    /// What becomes of a change to another price.
    #[serde(default)]
    pub changes: ChangesSpec,
    /// How many days a customer may pause; 0: none.
    #[serde(default)]
    pub pause_days_max: u32,
    /// Where a renewal begins that is paid after service was stopped for it.
    #[serde(default)]
    pub late_renewal: LateRenewal,
    /// Kind of product, for tax rules that tell them apart; the usual by default.
    #[serde(default)]
    pub tax_category: String,
    /// What can be bought by the unit beside it.
    #[serde(default)]
    pub options: Vec<OptionSpec>,
    /// Makes it an add-on, which is bought with a plan; its streams and bouquets come on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_on: Option<AddOnSpec>,
    /// How many can be ordered; no limit by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<u32>,
    /// Not sold before, for example `2027-01-31T12:00:00Z`.
    #[serde(default)]
    pub sale_from: String,
    /// Not sold from here on; the same form.
    #[serde(default)]
    pub sale_until: String,
    /// Announces the prices to everybody who has others of the same plan, term and currency; without it they keep theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_change: Option<PriceChangeSpec>,
}

/// What an add-on can be added to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddOnSpec {
    /// Slugs of the brand's plans; empty: any.
    #[serde(default)]
    pub plans: Vec<String>,
}

/// What becomes of a change to another price.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ChangesSpec {
    /// To a price that is not lower, for the same term.
    pub upgrade: ChangeTiming,
    /// To a lower price for the same term.
    pub downgrade: ChangeTiming,
    /// To another term.
    pub term: ChangeTiming,
}

impl Default for ChangesSpec {
    fn default() -> Self {
        Self { upgrade: ChangeTiming::ProrateNow, downgrade: ChangeTiming::AtRenewal, term: ChangeTiming::ProrateNow }
    }
}

/// When a change of plan happens and what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ChangeTiming {
    /// At once: the unused rest is credited, the rest of the period charged at the new price.
    ProrateNow,
    /// At once: a new period begins and is charged in full; nothing is credited.
    FullPriceReset,
    /// With the next renewal.
    AtRenewal,
}

/// Where a renewal begins that is paid late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum LateRenewal {
    /// At the end of what was paid: the dates stay.
    #[default]
    FromOldEnd,
    /// With the payment.
    FromPayment,
}

/// Something bought by the unit beside the plan.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OptionSpec {
    /// Unique in the plan: lower case letters, digits and hyphens; names it over versions.
    pub key: String,
    /// As customers read it.
    pub name: String,
    /// What its units are.
    #[serde(default)]
    pub effect: OptionEffect,
    /// Fewest units.
    #[serde(default)]
    pub min: u32,
    /// Most units.
    pub max: u32,
    /// Units from one quantity to the next.
    #[serde(default = "one")]
    pub step: u32,
    /// Units that cost nothing extra; of connections the plan's own number.
    #[serde(default)]
    pub included: u32,
    /// One unit more, for every currency and term of the plan.
    pub prices: Vec<OptionPriceSpec>,
}

const fn one() -> u32 {
    1
}

/// What the units of an option are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum OptionEffect {
    /// Provisioning hears of them by the key.
    #[default]
    None,
    /// Streams at a time: the quantity is their number.
    Connections,
}

/// What a unit costs beside a price of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OptionPriceSpec {
    /// One unit, one term, for example `3.00 EUR`; tax is contained.
    pub amount: String,
    /// Once for such a unit; the same form.
    #[serde(default)]
    pub setup_fee: String,
    /// Of the plan.
    pub term: TermSpec,
}

/// How prices reach those who have others.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceChangeSpec {
    /// 7 to 365 days between the announcement and the first renewal it can apply to.
    pub notice_days: u32,
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
    /// A pass: paid once, over at the end of its term instead of renewing.
    #[serde(default)]
    pub once: bool,
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
