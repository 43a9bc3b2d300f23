//! What a customer is entitled to: state, never a command. Provisioning makes the panel agree.

use chrono::{DateTime, TimeDelta, Utc};

use super::subscription::{State, Subscription};

/// What the panel account should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It plays.
    Active,
    /// It exists and does not play.
    Suspended,
    /// It is gone.
    Terminated,
}

/// The wanted state of a subscription's panel account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// What it should be.
    pub wanted: Wanted,
    /// When the panel may stop serving by itself: the end of what is paid plus the grace, so that a late renewal
    /// never cuts off a customer whom billing still serves.
    pub expires_at: DateTime<Utc>,
}

/// What `subscription` is entitled to; nothing before it began.
#[must_use]
pub fn of(subscription: &Subscription, grace: TimeDelta) -> Option<Entitlement> {
    let paid_through = subscription.paid_through.unwrap_or(subscription.created_at);
    let (wanted, expires_at) = match subscription.state {
        State::Pending => return None,
        State::Trialing | State::Active => (Wanted::Active, paid_through + grace),
        State::PastDue { grace_until } => (Wanted::Active, grace_until.max(paid_through + grace)),
        State::Suspended { .. } | State::Paused => (Wanted::Suspended, paid_through + grace),
        State::Ended { .. } => (Wanted::Terminated, subscription.ended_at.unwrap_or(paid_through)),
    };
    Some(Entitlement { wanted, expires_at })
}
