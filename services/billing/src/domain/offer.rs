//! What was bought, as it was when it was bought.

use ottery_kernel::{AnchorRule, ChangePolicy, LateRenewal, Money, PlanId, PlanVersionId, PriceId, Term};
use serde::{Deserialize, Serialize};

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
    /// Price of one term; whether it contains tax is the seller's setting.
    pub price: Money,
    /// One-time charge on the first invoice.
    pub setup_fee: Option<Money>,
    /// How long one period lasts.
    pub term: Term,
    /// Length of the trial; 0 for none.
    pub trial_days: u32,
    /// Simultaneous streams.
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
