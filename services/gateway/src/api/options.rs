//! Options and add-ons of plans and what was chosen of them.

use ottery_proto::billing::v1 as billing;
use ottery_proto::catalog::v1 as catalog;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plans::TermView;
use super::view::{Money, Show, view, words};

words! {
    /// What the units of an option are. `none`: provisioning hears of them by the key; `isp-lock` binds the line to the internet
    /// provider it is first used from. `connections`: the quantity is how many streams may run at a time.
    OptionEffect from catalog::plan_option::Effect { None, Connections }
}

/// What a unit costs beside a price of the plan.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OptionPrice {
    /// Of the plan.
    pub term: TermView,
    /// One unit beyond the included ones, one term, tax contained; may be 0.
    pub amount: Money,
    /// Once for such a unit: with the order, or with the change that adds it.
    #[serde(default)]
    pub setup_fee: Option<Money>,
}

/// Something bought by the unit beside the plan.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanOption {
    /// Unique in the plan: lower case letters, digits and hyphens. A customer's choice is carried over to other versions and
    /// plans by it.
    pub key: String,
    /// As customers read it.
    pub name: String,
    /// What its units are.
    pub effect: OptionEffect,
    /// Fewest units.
    #[serde(default)]
    pub min: u32,
    /// Most units.
    pub max: u32,
    /// Units from one quantity to the next; 1 when left out.
    #[serde(default)]
    pub step: u32,
    /// Units that cost nothing extra; for connections the plan's own number.
    #[serde(default)]
    pub included: u32,
    /// One for every currency and term of the plan.
    pub prices: Vec<OptionPrice>,
}

impl From<catalog::OptionPrice> for OptionPrice {
    fn from(given: catalog::OptionPrice) -> Self {
        Self {
            term: given.term.unwrap_or_default().into(),
            amount: given.amount.unwrap_or_default().into(),
            setup_fee: given.setup_fee.show(),
        }
    }
}

impl From<OptionPrice> for catalog::OptionPrice {
    fn from(given: OptionPrice) -> Self {
        Self {
            term: Some(given.term.into()),
            amount: Some(given.amount.into()),
            setup_fee: given.setup_fee.map(Into::into),
        }
    }
}

impl From<catalog::PlanOption> for PlanOption {
    fn from(given: catalog::PlanOption) -> Self {
        Self {
            effect: given.effect.show(),
            key: given.key,
            name: given.name,
            min: given.min,
            max: given.max,
            step: given.step,
            included: given.included,
            prices: given.prices.show(),
        }
    }
}

impl From<PlanOption> for catalog::PlanOption {
    fn from(given: PlanOption) -> Self {
        Self {
            key: given.key,
            name: given.name,
            effect: given.effect.into(),
            min: given.min,
            max: given.max,
            step: given.step,
            included: given.included,
            prices: given.prices.into_iter().map(Into::into).collect(),
        }
    }
}

impl Show<Vec<PlanOption>> for Option<catalog::PlanOptions> {
    fn show(self) -> Vec<PlanOption> {
        self.unwrap_or_default().items.show()
    }
}

view! {
    /// An option as it was chosen, with the prices it was bought at.
    ChosenOption from billing::ChosenOption {
        key: String,
        name: String,
        quantity: u32,
        /// Units that cost nothing extra.
        included: u32,
        min: u32,
        max: u32,
        step: u32,
        /// One unit beyond the included ones, one term.
        unit_price: Option<Money>,
        /// Once for such a unit when it is added.
        setup_fee: Option<Money>,
        effect: OptionEffect,
    }
}

/// What makes a plan an add-on: its prices, cycles, streams and bouquets come on top of those of the plan it is bought with.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddOn {
    /// Addresses (slugs) of the plans it can be added to; any when empty.
    #[serde(default)]
    pub plans: Vec<String>,
}

impl From<catalog::AddOn> for AddOn {
    fn from(given: catalog::AddOn) -> Self {
        Self { plans: given.plans }
    }
}

impl From<AddOn> for catalog::AddOn {
    fn from(given: AddOn) -> Self {
        Self { plans: given.plans }
    }
}

view! {
    /// An add-on somebody has, paid with the subscription.
    BoughtAddOn from billing::BoughtAddOn {
        plan_id: String,
        plan_version_id: String,
        name: String,
        /// Its own cycle, the longest that fits into the subscription's term a whole number of times.
        cycle: Option<TermView>,
        cycle_price: Option<Money>,
        /// For a whole term of the subscription.
        price: Option<Money>,
    }
}

/// How many units of an option.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OptionQuantity {
    /// Of which option.
    pub key: String,
    /// How many, the included ones counted in.
    pub quantity: u32,
}

impl From<OptionQuantity> for billing::OptionQuantity {
    fn from(given: OptionQuantity) -> Self {
        Self { key: given.key, quantity: given.quantity }
    }
}
