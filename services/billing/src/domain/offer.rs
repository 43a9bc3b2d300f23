//! What was bought, as it was when it was bought.

use ottery_kernel::{AnchorRule, ChangePolicy, LateRenewal, Money, PlanId, PlanVersionId, PriceId, Term};
use serde::{Deserialize, Serialize};

use super::addon::AddOn;
use super::option::Choice;

/// A price of a plan version with everything a subscription needs of it; a later change of the plan changes nothing here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The plan.
    pub plan_id: PlanId,
    /// Its version.
    pub plan_version_id: PlanVersionId,
    /// The price of that version.
    pub price_id: PriceId,
    /// The plan's name as it was sold.
    pub plan_name: String,
    /// Price of one term of the plan itself; see [`Offer::term_price`]. Whether it contains tax is the seller's setting.
    pub price: Money,
    /// One-time charge on the first invoice.
    pub setup_fee: Option<Money>,
    /// How long one period lasts.
    pub term: Term,
    /// Length of the trial; 0 for none.
    pub trial_days: u32,
    /// Simultaneous streams, with what options and add-ons bring.
    pub connections: u32,
    /// What it means on a panel.
    pub mapping: Mapping,
    /// On which days its periods change.
    #[serde(default)]
    pub anchor: AnchorRule,
    /// What becomes of a change to another price.
    #[serde(default)]
    pub changes: ChangePolicy,
    /// How many days a customer may pause; 0 for none.
    #[serde(default)]
    pub pause_days_max: u32,
    /// Where a renewal begins that is paid after a suspension.
    #[serde(default)]
    pub late_renewal: LateRenewal,
    /// Kind of product, for tax rules that tell them apart; empty for the usual.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tax_category: String,
    /// What is bought by the unit beside the plan, each with the quantity that was chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Choice>,
    /// What the plan costs, while staff has given another price; none: the price is the plan's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regular: Option<Money>,
    /// Products of their own that are paid with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addons: Vec<AddOn>,
    /// A pass: it ends with its term instead of renewing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
}

impl Offer {
    /// Whether it renews on a day of the month.
    #[must_use]
    pub const fn is_by_calendar(&self) -> bool {
        matches!(self.anchor, AnchorRule::Day(_)) && self.term.has_months()
    }
}

/// What the plan means on a streaming panel; billing only hands it on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Pool of panels; empty for any.
    pub pool: String,
    /// Bouquets on the panel.
    pub bouquet_ids: Vec<i64>,
    /// Package of reseller keys.
    pub package_id: i64,
    /// `hls`, `ts`, `rtmp`
    pub outputs: Vec<String>,
    /// Preferred region; empty for any.
    pub region: String,
}
