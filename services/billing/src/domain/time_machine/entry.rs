//! What happened, one thing each, in words two runs can be compared by.
//!
//! Ids that a run makes up (of invoices, payments) mean nothing to another run, so a thing is known by what it is about: the
//! renewal of that subscription for that period, its second charge, the third reminder.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, Money, SubscriptionId};

/// What kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An invoice was issued.
    Invoice,
    /// A saved method was charged.
    Charge,
    /// A subscription was suspended.
    Suspension,
    /// A subscription ended.
    End,
    /// A mail would go out.
    Mail,
    /// A person would be needed.
    Task,
}

impl Kind {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 6] = [Self::Invoice, Self::Charge, Self::Suspension, Self::End, Self::Mail, Self::Task];

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::Charge => "charge",
            Self::Suspension => "suspension",
            Self::End => "end",
            Self::Mail => "mail",
            Self::Task => "task",
        }
    }

    /// The kind stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What kind.
    pub kind: Kind,
    /// The same for the same thing in every run.
    pub key: String,
    /// When, by the brand's clock.
    pub at: DateTime<Utc>,
    /// About which subscription.
    pub subscription: Option<SubscriptionId>,
    /// About whom.
    pub account: Option<AccountId>,
    /// How much it is about.
    pub amount: Option<Money>,
    /// What came of it: the invoice's state at the end, a charge's outcome, the kind of mail.
    pub outcome: String,
    /// For people: the plan, the method.
    pub label: String,
}

/// Numbers things that happen several times to the same subject.
#[derive(Debug, Default)]
pub struct Counts(HashMap<String, u32>);

impl Counts {
    /// `subject#1` for the first time, `subject#2` for the second.
    pub fn next(&mut self, subject: &str) -> String {
        let count = self.0.entry(subject.to_owned()).or_default();
        *count += 1;
        format!("{subject}#{count}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_again_is_another_thing() {
        let mut counts = Counts::default();
        assert_eq!([counts.next("a"), counts.next("b"), counts.next("a")], ["a#1", "b#1", "a#2"]);
    }

    #[test]
    fn kinds_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_text(kind.as_str()), Some(kind));
        }
    }
}
