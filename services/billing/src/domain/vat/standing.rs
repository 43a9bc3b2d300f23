//! What is known of a customer's VAT number, and what follows from it for an invoice.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Evidence;

/// What is known of a number. Instants are the brand's time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// Somebody was asked.
    Pending {
        /// Our name of the question.
        check: Uuid,
        /// When.
        asked_at: DateTime<Utc>,
        /// Invoices wait for the answer until then.
        until: DateTime<Utc>,
        /// What was known before, when it is asked again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Evidence>,
    },
    /// It is a business's.
    Valid(Evidence),
    /// It is nobody's.
    Invalid {
        /// Our name of the question.
        check: Uuid,
        /// When that was said.
        checked_at: DateTime<Utc>,
        /// Who said so.
        validator: String,
    },
}

/// Whether an invoice can be issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// As far as the number is concerned.
    Ready,
    /// Not before the answer, or this instant.
    Waits(DateTime<Utc>),
    /// What is known is too old for a new period: ask again first.
    Stale,
}

impl Standing {
    /// A question that was asked at `now` and is waited for `wait`.
    #[must_use]
    pub fn ask(check: Uuid, before: Option<Evidence>, wait: TimeDelta, now: DateTime<Utc>) -> Self {
        Self::Pending { check, asked_at: now, until: now + wait, before }
    }

    /// The proof that counts at `now`. While a number that was valid is asked again, the older proof counts as long as
    /// invoices would wait; afterwards the number counts as unknown.
    #[must_use]
    pub fn proof(&self, now: DateTime<Utc>) -> Option<&Evidence> {
        match self {
            Self::Valid(evidence) => Some(evidence),
            Self::Pending { before: Some(evidence), until, .. } if now < *until => Some(evidence),
            Self::Pending { .. } | Self::Invalid { .. } => None,
        }
    }

    /// Whether the invoice of a new period can be issued at `now`, given how old a proof may be.
    #[must_use]
    pub fn for_period(&self, proof_age_max: TimeDelta, now: DateTime<Utc>) -> Readiness {
        match self {
            Self::Valid(evidence) if evidence.checked_at + proof_age_max <= now => Readiness::Stale,
            Self::Pending { until, .. } if now < *until => Readiness::Waits(*until),
            Self::Valid(_) | Self::Pending { .. } | Self::Invalid { .. } => Readiness::Ready,
        }
    }

    /// Until when something that is bought at `now` waits: only while a new number is unknown. One that was valid lately is
    /// believed while it is asked again.
    #[must_use]
    pub fn holds_order(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Pending { until, before: None, .. } => Some(*until).filter(|until| now < *until),
            Self::Pending { before: Some(_), .. } | Self::Valid(_) | Self::Invalid { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    fn hour(hour: i64) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 6, 1, 0, 0, 0).unwrap() + TimeDelta::hours(hour)
    }

    fn proof() -> Evidence {
        Evidence {
            number: "FR40303265045".into(),
            validator: "vies".into(),
            checked_at: hour(0),
            check_id: "vat_1".into(),
            reference: String::new(),
            name: String::new(),
            address: String::new(),
        }
    }

    #[test]
    fn case_023_an_invoice_waits_for_an_answer_but_not_for_ever() {
        let day = TimeDelta::hours(24);
        let asked = Standing::ask(Uuid::nil(), None, day, hour(0));
        assert_eq!(asked.for_period(day, hour(23)), Readiness::Waits(hour(24)));
        assert_eq!(asked.for_period(day, hour(24)), Readiness::Ready);
        assert_eq!((asked.proof(hour(24)), asked.holds_order(hour(23))), (None, Some(hour(24))));
        assert_eq!(asked.holds_order(hour(24)), None);
    }

    #[test]
    fn case_023_a_proof_is_asked_for_again_with_a_new_period_and_believed_meanwhile() {
        let day = TimeDelta::hours(24);
        let valid = Standing::Valid(proof());
        assert_eq!(
            (valid.for_period(day, hour(23)), valid.for_period(day, hour(24))),
            (Readiness::Ready, Readiness::Stale)
        );
        let again = Standing::ask(Uuid::nil(), Some(proof()), day, hour(24));
        assert_eq!(again.for_period(day, hour(25)), Readiness::Waits(hour(48)));
        assert_eq!((again.proof(hour(25)), again.holds_order(hour(25))), (Some(&proof()), None));
        assert_eq!(again.proof(hour(48)), None, "after that it is taxed");
    }

    #[test]
    fn without_waiting_nothing_is_held() {
        let asked = Standing::ask(Uuid::nil(), Some(proof()), TimeDelta::zero(), hour(0));
        assert_eq!((asked.for_period(TimeDelta::zero(), hour(0)), asked.proof(hour(0))), (Readiness::Ready, None));
    }
}
