//! What a provider reports of a span of time, and how its objects become what is [compared](crate::domain::reconcile).

use chrono::{DateTime, Utc};
use ottery_kernel::PaymentId;

use super::{Access, CallError, Lookup, PaymentProvider, RefundFact};
use crate::domain::payment::Truth;
use crate::domain::reconcile::{Kind, Standing, Theirs};
use crate::domain::{dispute, refund};

/// Which page of which report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportAsk<'a> {
    /// Of what.
    pub kind: Kind,
    /// From when on it was made at the provider, by real time; included.
    pub from: DateTime<Utc>,
    /// Until when; not included.
    pub until: DateTime<Utc>,
    /// Where the page before ended; empty: the first one.
    pub cursor: &'a str,
}

/// A page of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportPage {
    /// What is on it.
    pub rows: Vec<Theirs>,
    /// Where the next one begins; none: this was the last.
    pub next: Option<String>,
}

/// Our id on a payment, if it is one: other products write what they like there.
fn our_payment(text: &str) -> String {
    text.parse::<PaymentId>().map_or_else(|_| String::new(), |_| text.to_owned())
}

/// A payment as it is compared; none when the provider knows of nothing that is a payment.
#[must_use]
pub fn payment(reference: &str, ours: &str, truth: &Truth) -> Option<Theirs> {
    let row = |reference: &str, standing| Theirs {
        kind: Kind::Payment,
        reference: reference.to_owned(),
        parent: String::new(),
        ours: our_payment(ours),
        standing,
        amount: None,
        fee: None,
    };
    match truth {
        Truth::Captured(capture) => Some(Theirs {
            amount: Some(capture.amount),
            fee: capture.fee,
            ..row(&capture.provider_ref, Standing::Moved)
        }),
        Truth::Reversed { provider_ref } => Some(row(provider_ref, Standing::TakenBack)),
        Truth::Processing { provider_ref } => Some(row(provider_ref, Standing::Pending)),
        Truth::Declined { provider_ref, .. } if !provider_ref.is_empty() => Some(row(provider_ref, Standing::Void)),
        Truth::Open if !reference.is_empty() => Some(row(reference, Standing::Pending)),
        Truth::Declined { .. } | Truth::Expired if !reference.is_empty() => Some(row(reference, Standing::Void)),
        Truth::Open | Truth::Declined { .. } | Truth::Expired | Truth::Absent => None,
    }
}

/// Something the provider names in a way we cannot read, such as in a currency nobody here knows. It is there all the same, and keeps
/// nobody from comparing the rest.
#[must_use]
pub fn unreadable(kind: Kind, reference: &str, parent: &str, ours: &str) -> Theirs {
    Theirs {
        kind,
        reference: reference.to_owned(),
        parent: parent.to_owned(),
        ours: if kind == Kind::Payment { our_payment(ours) } else { ours.to_owned() },
        standing: Standing::Moved,
        amount: None,
        fee: None,
    }
}

/// A refund as it is compared.
#[must_use]
pub fn refund(fact: &RefundFact) -> Theirs {
    Theirs {
        kind: Kind::Refund,
        reference: fact.truth.provider_ref.clone(),
        parent: fact.payment_ref.clone(),
        ours: fact.ours.map(|id| id.to_string()).unwrap_or_default(),
        standing: match fact.truth.state {
            refund::State::Succeeded => Standing::Moved,
            refund::State::Failed => Standing::Void,
            refund::State::Requested | refund::State::Sent | refund::State::Pending | refund::State::Unknown => {
                Standing::Pending
            }
        },
        amount: Some(fact.amount),
        fee: None,
    }
}

/// An objection as it is compared.
#[must_use]
pub fn dispute(truth: &dispute::Truth) -> Theirs {
    Theirs {
        kind: Kind::Dispute,
        reference: truth.provider_ref.clone(),
        parent: truth.payment_ref.clone(),
        ours: String::new(),
        standing: Standing::of_dispute(truth.state),
        amount: Some(truth.amount),
        fee: None,
    }
}

/// Reads one object by the provider's id of it; none when the provider knows of no such thing.
///
/// # Errors
/// When it does not answer.
pub async fn read_again(
    provider: &dyn PaymentProvider,
    access: &Access,
    kind: Kind,
    reference: &str,
) -> Result<Option<Theirs>, CallError> {
    match kind {
        Kind::Payment => {
            let truth = provider.fetch_payment(access, Lookup::Payment(reference)).await?;
            if truth == Truth::Absent {
                return Ok(None);
            }
            let ours = match provider.reference_of(access, reference).await {
                Ok(ours) => ours.unwrap_or_default(),
                // Whose it is was told before; that it is there is news enough.
                Err(_) => String::new(),
            };
            Ok(payment(reference, &ours, &truth))
        }
        Kind::Refund => Ok(provider.fetch_refund(access, reference).await?.as_ref().map(refund)),
        Kind::Dispute => Ok(provider.fetch_dispute(access, reference).await?.as_ref().map(dispute)),
    }
}

#[cfg(test)]
mod tests {
    use ottery_kernel::{Currency, Money};

    use super::*;
    use crate::domain::payment::{Capture, Decline, DeclineClass};

    #[test]
    fn a_payment_is_compared_by_what_became_of_it() {
        let capture = Capture {
            provider_ref: "pi_1".into(),
            amount: Money::new(999, Currency::EUR),
            fee: None,
            saved: None,
            label: String::new(),
            fingerprint: None,
            expires_on: None,
        };
        let refused = |provider_ref: &str| Truth::Declined {
            provider_ref: provider_ref.into(),
            decline: Decline { class: DeclineClass::Hard, code: "lost_card".into() },
        };
        let standing = |reference: &str, truth: Truth| {
            payment(reference, "pay_1", &truth).map(|row| (row.reference, row.standing))
        };
        let row = |standing| Some(("pi_1".to_owned(), standing));
        assert_eq!(standing("pi_1", Truth::Captured(capture)), row(Standing::Moved));
        assert_eq!(standing("", Truth::Reversed { provider_ref: "pi_1".into() }), row(Standing::TakenBack));
        assert_eq!(standing("", Truth::Processing { provider_ref: "pi_1".into() }), row(Standing::Pending));
        assert_eq!(standing("", refused("pi_1")), row(Standing::Void));
        assert_eq!(standing("pi_1", refused("")), row(Standing::Void));
        assert_eq!(standing("pi_1", Truth::Expired), row(Standing::Void));
        assert_eq!(standing("pi_1", Truth::Open), row(Standing::Pending));
        for nothing in [Truth::Absent, Truth::Open, Truth::Expired, refused("")] {
            assert_eq!(standing("", nothing), None);
        }
    }
}
