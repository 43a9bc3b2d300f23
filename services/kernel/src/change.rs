//! What becomes of a change of plan: a setting of the plan the customer has.

use serde::{Deserialize, Serialize};

/// When a change happens and what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeTiming {
    /// At once: the unused rest of what is paid is credited, the rest of the period is charged at the new price. A new
    /// term starts at once with the unused rest credited.
    ProrateNow,
    /// At once: a new period begins and is charged in full, nothing is credited.
    FullPriceReset,
    /// With the next renewal, at its full price; nothing is due before.
    AtRenewal,
}

/// Where a renewal begins that is paid only after service was stopped for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LateRenewal {
    /// At the end of what was paid: the dates stay, also for the time without service. Only when that whole period is over
    /// does a new one begin with the payment.
    #[default]
    FromOldEnd,
    /// With the payment: the time without service is not paid for.
    FromPayment,
}

/// One answer for each kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChangePolicy {
    /// To a price that is not lower, for the same term.
    pub upgrade: ChangeTiming,
    /// To a lower price for the same term.
    pub downgrade: ChangeTiming,
    /// To another term, whatever it costs.
    pub term: ChangeTiming,
}

impl Default for ChangePolicy {
    fn default() -> Self {
        Self { upgrade: ChangeTiming::ProrateNow, downgrade: ChangeTiming::AtRenewal, term: ChangeTiming::ProrateNow }
    }
}
