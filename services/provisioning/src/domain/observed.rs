//! What the panel was last seen to have, and the call whose outcome is open.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::driver::{LineState, Output};

/// A line as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Id on the panel.
    pub id: String,
    /// Name on the panel.
    pub username: String,
    /// When it stops; nothing = never.
    pub expires_at: Option<DateTime<Utc>>,
    /// The switch of suspension.
    pub enabled: bool,
    /// Banned by the panel's people.
    pub banned: bool,
    /// Simultaneous streams.
    pub connections: u32,
    /// What it may watch, sorted.
    pub bouquets: Vec<i64>,
    /// Formats it may use, sorted; nothing where the panel does not say.
    pub outputs: Option<Vec<Output>>,
    /// The package it was bought with.
    pub package: Option<i64>,
    /// Whether it is bound to an internet provider.
    pub isp_locked: bool,
    /// The one country it plays from; empty for any.
    pub country: String,
}

impl From<&LineState> for Line {
    fn from(state: &LineState) -> Self {
        Self {
            id: state.id.clone(),
            username: state.username.clone(),
            expires_at: state.expires_at,
            enabled: state.enabled,
            banned: state.banned,
            connections: state.connections,
            bouquets: state.bouquets.clone().unwrap_or_default(),
            outputs: state.outputs.clone(),
            package: state.package,
            isp_locked: state.isp_locked.unwrap_or(false),
            country: state.country.clone().unwrap_or_default(),
        }
    }
}

/// Whether there is a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineFact {
    /// None was ever made.
    Never,
    /// Seen like this.
    Seen(Line),
    /// It was there and is gone, not by us.
    Missing,
    /// We removed it.
    Removed,
}

/// Everything known about the panel's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Whether a panel was chosen.
    pub placed: bool,
    /// The line.
    pub line: LineFact,
    /// For keys that buy time: the paid-through instant that purchases have covered so far.
    pub covered_through: Option<DateTime<Utc>>,
    /// How many names were taken by strangers.
    pub candidate: u32,
    /// The wanted version that was refused for good, and its code.
    pub refused: Option<(u64, String)>,
    /// A lost call may still have been applied late: when to look once more.
    pub verify_at: Option<DateTime<Utc>>,
}

/// What a call is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// Make the line.
    Create,
    /// Write the fields.
    Edit,
    /// Buy a package.
    Buy,
    /// Switch off and cut streams.
    Suspend,
    /// Switch on.
    Unsuspend,
    /// Remove.
    Terminate,
    /// Only read.
    ReadBack,
}

impl CallKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Create, Self::Edit, Self::Buy, Self::Suspend, Self::Unsuspend, Self::Terminate, Self::ReadBack];

    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Edit => "edit",
            Self::Buy => "buy_package",
            Self::Suspend => "suspend",
            Self::Unsuspend => "unsuspend",
            Self::Terminate => "terminate",
            Self::ReadBack => "read_back",
        }
    }

    /// Reads what was stored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Requests it makes on the panel, for the rate limit: edits and switches read before and after.
    #[must_use]
    pub const fn requests(self) -> u32 {
        match self {
            Self::Create | Self::ReadBack => 1,
            Self::Edit | Self::Buy | Self::Unsuspend | Self::Terminate => 3,
            Self::Suspend => 4,
        }
    }
}

/// How far a call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Journalled, surely not sent.
    Planned,
    /// Sent; whoever sent it has not reported.
    Sent,
    /// Its answer is lost.
    Unknown,
}

/// A call whose outcome is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCall {
    /// What it was to do.
    pub kind: CallKind,
    /// How far it got.
    pub state: CallState,
    /// When it was sent.
    pub at: DateTime<Utc>,
    /// When a read-back first found no trace of it.
    pub absent_at: Option<DateTime<Utc>>,
    /// Expiry before a purchase.
    pub expiry_before: Option<DateTime<Utc>>,
    /// Credits before a purchase.
    pub credits_before: Option<Decimal>,
}
