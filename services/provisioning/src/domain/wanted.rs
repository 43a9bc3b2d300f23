//! What billing says a customer is entitled to.

use chrono::{DateTime, Utc};

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
}
