//! What billing says a customer is entitled to.

use chrono::{DateTime, Utc};

use super::Country;
use crate::driver::Output;

/// What should be true of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Goal {
    /// May watch.
    Active,
    /// Exists, may not watch.
    Suspended,
    /// Does not exist.
    Terminated,
}

impl Goal {
    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Terminated => "terminated",
        }
    }

    /// Reads what was stored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "active" => Some(Self::Active),
            "suspended" => Some(Self::Suspended),
            "terminated" => Some(Self::Terminated),
            _ => None,
        }
    }
}

/// The wanted state: the newest that arrived, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Grows with every change; an older one is ignored.
    pub version: u64,
    /// What should be true.
    pub goal: Goal,
    /// Simultaneous streams.
    pub connections: u32,
    /// What it may watch, sorted.
    pub bouquets: Vec<i64>,
    /// Formats it may use, sorted.
    pub outputs: Vec<Output>,
    /// Package, for keys that buy.
    pub package: Option<i64>,
    /// Until when the customer paid, grace included.
    pub paid_through: DateTime<Utc>,
    /// Whether it is a trial.
    pub trial: bool,
    /// Whether it is bound to the internet provider it is first used from; none where the plan has no such option, and whatever
    /// the panel's people have set stays.
    pub isp_lock: Option<bool>,
    /// Whether it plays only from the customer's country; none where the plan has no such option, and whatever the panel's people
    /// have set stays.
    pub country_lock: Option<bool>,
    /// Where the customer is; none while nobody knows.
    pub country: Option<Country>,
}

impl Wanted {
    /// The one country it is to play from, as panels keep it: empty for any, and nothing where the plan does not say. A customer
    /// nobody knows the country of is locked to none, because a wrong one would shut them out.
    #[must_use]
    pub fn locked_to(&self) -> Option<&'static str> {
        let is_locked = self.country_lock?;
        Some(self.country.filter(|_| is_locked).map_or("", Country::as_str))
    }
}
