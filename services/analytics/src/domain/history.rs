//! What happened to a subscription, and what it was worth at an instant.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, Money, SubscriptionId};

/// A failed renewal leaves the customer subscribed this long; unpaid by then it is involuntary churn.
pub const INVOLUNTARY_CHURN: TimeDelta = TimeDelta::days(30);

/// State of a subscription as billing tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionState {
    /// Ordered, not paid.
    Pending,
    /// In its trial.
    Trialing,
    /// Paid.
    Active,
    /// A renewal is unpaid.
    PastDue,
    /// Cut off.
    Suspended,
    /// Resting by agreement.
    Paused,
    /// Over.
    Ended,
}

impl SubscriptionState {
    const ALL: [Self; 7] =
        [Self::Pending, Self::Trialing, Self::Active, Self::PastDue, Self::Suspended, Self::Paused, Self::Ended];

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Suspended => "suspended",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }

    /// From its stored form.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// One change of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub subscription: SubscriptionId,
    /// Place among the subscription's changes.
    pub version: i64,
    /// What it became.
    pub state: SubscriptionState,
    /// What it is worth a month while it pays; zero otherwise.
    pub mrr: Money,
    /// Since when.
    pub effective_at: DateTime<Utc>,
}

/// What a subscription counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Not subscribed.
    Nothing,
    /// Subscribed and paying (or within the grace of a failed renewal).
    Paying(Money),
    /// Subscribed, resting: no revenue, no churn.
    Paused,
}

impl Worth {
    /// Whether it makes its customer a subscribed one.
    #[must_use]
    pub const fn is_subscribed(self) -> bool {
        matches!(self, Self::Paying(_) | Self::Paused)
    }
}

/// From each instant on, it is worth that; oldest first.
pub type Steps = Vec<(DateTime<Utc>, Worth)>;

/// The steps of one subscription's worth: from each instant on, it is worth that. `events` are one subscription's, any order.
/// A step may lie ahead: the end of the grace of a renewal that is not paid yet.
#[must_use]
pub fn steps(events: &[Event]) -> Steps {
    let mut events: Vec<&Event> = events.iter().collect();
    events.sort_by_key(|event| (event.version, event.effective_at));
    let mut steps = Steps::new();
    let (mut worth, mut failing_since) = (Worth::Nothing, None);
    for event in events {
        // The grace of an earlier failure may have ended before this event.
        if let Some(since) = failing_since
            && since + INVOLUNTARY_CHURN <= event.effective_at
            && worth.is_subscribed()
        {
            worth = Worth::Nothing;
            steps.push((since + INVOLUNTARY_CHURN, worth));
        }
        match event.state {
            SubscriptionState::Active => {
                failing_since = None;
                worth = if event.mrr.minor > 0 { Worth::Paying(event.mrr) } else { Worth::Nothing };
            }
            // Keeps what it was worth; the grace counts from the first failure.
            SubscriptionState::PastDue | SubscriptionState::Suspended => {
                failing_since = failing_since.or(Some(event.effective_at));
            }
            SubscriptionState::Paused => {
                failing_since = None;
                worth = if worth.is_subscribed() { Worth::Paused } else { Worth::Nothing };
            }
            SubscriptionState::Pending | SubscriptionState::Trialing | SubscriptionState::Ended => {
                failing_since = None;
                worth = Worth::Nothing;
            }
        }
        steps.push((event.effective_at, worth));
    }
    if let Some(since) = failing_since
        && worth.is_subscribed()
    {
        steps.push((since + INVOLUNTARY_CHURN, Worth::Nothing));
    }
    steps
}

/// What a subscription is worth at an instant.
#[must_use]
pub fn worth_at(steps: &[(DateTime<Utc>, Worth)], at: DateTime<Utc>) -> Worth {
    steps.iter().rev().find(|(since, _)| *since <= at).map_or(Worth::Nothing, |(_, worth)| *worth)
}
