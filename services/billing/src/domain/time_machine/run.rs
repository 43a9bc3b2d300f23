//! A run of the time machine, as it is asked for, waits, is at work and is over.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use ottery_kernel::{Currency, Money};
use uuid::Uuid;

use super::ask::Ask;
use super::entry::{Entry, Kind};

/// Names a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId(Uuid);

/// Text that names no run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `tmr_` followed by 32 hexadecimal digits")]
pub struct RunIdError;

impl RunId {
    const PREFIX: &'static str = "tmr_";

    /// A fresh one.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id stored as this UUID.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID to store.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0.simple())
    }
}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, RunIdError> {
        let digits = text.strip_prefix(Self::PREFIX).filter(|digits| digits.len() == 32);
        digits.and_then(|digits| Uuid::try_parse(digits).ok()).map(Self).ok_or(RunIdError)
    }
}

/// One of the two settings that are held against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The first.
    Base,
    /// The second, when there is one.
    Other,
}

impl Side {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Other => "other",
        }
    }

    /// The side stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Base, Self::Other].into_iter().find(|side| side.as_str() == text)
    }
}

/// Why a run came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable.
    pub code: String,
    /// What happened and what to do.
    pub message: String,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Others are before it.
    Queued,
    /// It is at work.
    Running {
        /// Which settings it lives through.
        side: Side,
        /// How far it is, by the brand's clock.
        reached: Option<DateTime<Utc>>,
    },
    /// What came of it can be read.
    Done,
    /// It came to nothing.
    Failed(Failure),
}

impl State {
    /// As stored.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running { .. } => "running",
            Self::Done => "done",
            Self::Failed(_) => "failed",
        }
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// What was asked.
    pub ask: Ask,
    /// By whom.
    pub requested_by: String,
    /// When, in real time.
    pub requested_at: DateTime<Utc>,
    /// When it began, in real time.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was over, in real time.
    pub finished_at: Option<DateTime<Utc>>,
    /// The brand's time when the book was copied.
    pub begins: Option<DateTime<Utc>>,
    /// Where it stands.
    pub state: State,
}

/// How many things of a kind came out the same way, and what they are about together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// Under which settings.
    pub side: Side,
    /// What kind.
    pub kind: Kind,
    /// What came of them.
    pub outcome: String,
    /// In which currency; none for what is about no money.
    pub currency: Option<Currency>,
    /// How many.
    pub count: u64,
    /// The sum.
    pub amount: Option<Money>,
}

/// A thing that is not the same under both settings: it happens under one only, or otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Under the first.
    pub base: Option<Entry>,
    /// Under the second.
    pub other: Option<Entry>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_sides_read_back() {
        let id = RunId::fresh();
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "tmr_", "sub_0192f0c1d2e37a4b8c5d6e7f80912a3b", "tmr_xyz"] {
            assert_eq!(text.parse::<RunId>(), Err(RunIdError));
        }
        for side in [Side::Base, Side::Other] {
            assert_eq!(Side::from_text(side.as_str()), Some(side));
        }
    }
}
