//! Resellers: customers who sell what they buy to clients of their own. While one does not pay, their clients are served for a
//! grace that the operator set.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::AccountId;

/// Most days clients are served while their reseller does not pay.
pub const GRACE_DAYS_MAX: u32 = 365;

/// A reseller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reseller {
    /// Who.
    pub account: AccountId,
    /// Days of 24 hours that clients are served after the due date of what is not paid; 0: not at all.
    pub grace_days: u32,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// Whether a reseller pays, and what that means to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is overdue.
    Fine,
    /// Something is overdue; clients are served.
    Overdue {
        /// When it was due.
        since: DateTime<Utc>,
        /// Clients are served until then.
        until: DateTime<Utc>,
    },
    /// The grace is over: clients are not served until the reseller has paid.
    Lapsed {
        /// When the grace ended.
        since: DateTime<Utc>,
    },
}

impl Reseller {
    /// Where they stand at `now`, by the due date of what they owe the longest.
    #[must_use]
    pub fn standing(&self, oldest_due: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Standing {
        let Some(since) = oldest_due.filter(|due| *due <= now) else { return Standing::Fine };
        let until = since + TimeDelta::days(self.grace_days.into());
        if until <= now { Standing::Lapsed { since: until } } else { Standing::Overdue { since, until } }
    }
}

impl Standing {
    /// As told to others.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Overdue { .. } => "overdue",
            Self::Lapsed { .. } => "lapsed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_117_clients_are_served_until_the_grace_after_the_due_date_is_over() {
        let due = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let of = |grace_days| Reseller { account: AccountId::new(due), grace_days, created_at: due };
        let (soon, at_end) = (due + TimeDelta::days(14) - TimeDelta::seconds(1), due + TimeDelta::days(14));
        assert_eq!(of(14).standing(None, at_end), Standing::Fine);
        assert_eq!(of(14).standing(Some(due), due - TimeDelta::seconds(1)), Standing::Fine);
        assert_eq!(of(14).standing(Some(due), due), Standing::Overdue { since: due, until: at_end });
        assert_eq!(of(14).standing(Some(due), soon), Standing::Overdue { since: due, until: at_end });
        assert_eq!(of(14).standing(Some(due), at_end), Standing::Lapsed { since: at_end });
        assert_eq!(of(0).standing(Some(due), due), Standing::Lapsed { since: due });
    }
}
