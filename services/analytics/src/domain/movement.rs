//! Movements of monthly recurring revenue, classified per customer.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, Currency, Money, MovementId, SubscriptionId};
use uuid::Uuid;

use super::history::{Event, Steps, Worth, steps, worth_at};

/// What kind of movement it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MovementKind {
    /// Never subscribed before.
    New,
    /// Subscribed, total rises.
    Expansion,
    /// Subscribed, total falls, still subscribed.
    Contraction,
    /// Not subscribed any more.
    Churn,
    /// Was subscribed once, then not, now again.
    Reactivation,
}

impl MovementKind {
    const ALL: [Self; 5] = [Self::New, Self::Expansion, Self::Contraction, Self::Churn, Self::Reactivation];

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Expansion => "expansion",
            Self::Contraction => "contraction",
            Self::Churn => "churn",
            Self::Reactivation => "reactivation",
        }
    }

    /// From its stored form.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Made of what it says, so that recomputing gives the same id.
    pub id: MovementId,
    /// What kind.
    pub kind: MovementKind,
    /// Whose.
    pub account: AccountId,
    /// The subscription that caused it.
    pub subscription: SubscriptionId,
    /// Signed change.
    pub delta: Money,
    /// When.
    pub effective_at: DateTime<Utc>,
}

/// All movements of one customer, oldest first. `events` are that customer's, in any order, without repetitions.
/// Changes at the same instant are netted.
#[must_use]
pub fn movements(account: AccountId, events: &[Event]) -> Vec<Movement> {
    let mut by_subscription: BTreeMap<SubscriptionId, Vec<Event>> = BTreeMap::new();
    for event in events {
        by_subscription.entry(event.subscription).or_default().push(*event);
    }
    let lives: Vec<(SubscriptionId, Steps)> =
        by_subscription.into_iter().map(|(id, events)| (id, steps(&events))).collect();
    let instants: BTreeSet<DateTime<Utc>> =
        lives.iter().flat_map(|(_, steps)| steps.iter().map(|(at, _)| *at)).collect();

    let mut moved = Vec::new();
    let (mut before, mut was_ever_subscribed) = (Customer::default(), false);
    for at in instants {
        let after = Customer::at(&lives, at);
        let cause = lives
            .iter()
            .find(|(_, steps)| steps.iter().any(|(since, _)| *since == at))
            .map_or_else(|| lives[0].0, |(id, _)| *id);
        for (kind, delta) in classify(&before, &after, was_ever_subscribed) {
            let id = identity(account, at, kind, delta.currency);
            moved.push(Movement { id, kind, account, subscription: cause, delta, effective_at: at });
        }
        was_ever_subscribed |= after.is_subscribed;
        before = after;
    }
    moved
}

/// What all of a customer's subscriptions are worth at an instant.
#[derive(Clone, Debug, Default)]
struct Customer {
    is_subscribed: bool,
    totals: BTreeMap<Currency, i64>,
}

impl Customer {
    fn at(lives: &[(SubscriptionId, Steps)], at: DateTime<Utc>) -> Self {
        let mut customer = Self::default();
        for (_, steps) in lives {
            let worth = worth_at(steps, at);
            customer.is_subscribed |= worth.is_subscribed();
            if let Worth::Paying(mrr) = worth {
                *customer.totals.entry(mrr.currency).or_default() += mrr.minor;
            }
        }
        customer
    }
}

fn classify(before: &Customer, after: &Customer, was_ever_subscribed: bool) -> Vec<(MovementKind, Money)> {
    let currencies: BTreeSet<Currency> = before.totals.keys().chain(after.totals.keys()).copied().collect();
    let total = |customer: &Customer, currency| customer.totals.get(&currency).copied().unwrap_or(0);
    currencies
        .into_iter()
        .filter_map(|currency| {
            let minor = total(after, currency) - total(before, currency);
            let kind = match (before.is_subscribed, after.is_subscribed) {
                (false, false) => return None,
                (false, true) if was_ever_subscribed => MovementKind::Reactivation,
                (false, true) => MovementKind::New,
                (true, false) => MovementKind::Churn,
                (true, true) if minor > 0 => MovementKind::Expansion,
                (true, true) => MovementKind::Contraction,
            };
            (minor != 0).then_some((kind, Money { minor, currency }))
        })
        .collect()
}

fn identity(account: AccountId, at: DateTime<Utc>, kind: MovementKind, currency: Currency) -> MovementId {
    let says = format!("{}/{}/{currency}", at.timestamp_micros(), kind.as_str());
    MovementId::from_uuid(Uuid::new_v5(&account.as_uuid(), says.as_bytes()))
}

#[cfg(test)]
mod tests;
