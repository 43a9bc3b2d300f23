//! The time machine: what would happen to a brand's book until some day, under a stated assumption about charges.
//!
//! Nothing here predicts by itself. The workers that bill every day work on a copy whose clock is moved; this is what they
//! are told to assume ([`Assumption`]), what is changed in the copy before ([`Scenario`]), and what came of it ([`entry::Entry`]).

pub mod ask;
pub mod entry;
pub mod run;

use ottery_kernel::{PaymentMethodId, PriceId};
use serde::{Deserialize, Serialize};

use super::dunning::campaign::Campaign;
use super::payment::{Decline, DeclineClass};
use super::rules::UnpaidAtEnd;

/// Code of a decline that was assumed.
pub const ASSUMED_CODE: &str = "assumed";

/// How charges of saved methods end. Nobody pays by hand: a hosted page that is open stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "charges", rename_all = "snake_case")]
pub enum Assumption {
    /// Each succeeds.
    Succeed,
    /// Each is declined.
    Decline {
        /// What the refusal means for the next try.
        class: Class,
    },
    /// Each method does what it did last; one that was never charged succeeds.
    AsBefore,
    /// A share of the methods is declined, always the same ones for a seed; the others succeed.
    Share {
        /// In basis points of all methods, about.
        declined_bp: u32,
        /// What the refusals mean for the next try.
        class: Class,
        /// Which ones.
        seed: u64,
    },
}

/// [`DeclineClass`] as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Not now.
    Soft,
    /// Never again.
    Hard,
    /// The customer has to confirm.
    Action,
}

impl From<Class> for DeclineClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Soft => Self::Soft,
            Class::Hard => Self::Hard,
            Class::Action => Self::Action,
        }
    }
}

impl Assumption {
    /// What becomes of a charge of this method, of which this is known: the refusal, or none when it succeeds. `last` is how
    /// its last charge ended, if there was one.
    #[must_use]
    pub fn refusal(self, method: PaymentMethodId, last: Option<&Result<(), Decline>>) -> Option<Decline> {
        let assumed = |class: Class| Some(Decline { class: class.into(), code: ASSUMED_CODE.to_owned() });
        match self {
            Self::Succeed => None,
            Self::Decline { class } => assumed(class),
            Self::AsBefore => last.and_then(|last| last.as_ref().err()).cloned(),
            Self::Share { declined_bp, class, seed } => {
                if draw(method, seed) < declined_bp {
                    assumed(class)
                } else {
                    None
                }
            }
        }
    }
}

/// A number below 10,000 that is always the same for a method and a seed, in every process (FNV-1a, not a seeded hash).
fn draw(method: PaymentMethodId, seed: u64) -> u32 {
    let bytes = seed.to_be_bytes().into_iter().chain(*method.as_uuid().as_bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The high half is the well mixed one; what is left of a division by 10,000 fits.
    ((hash >> 32) % 10_000) as u32
}

/// What is different in the copy from the moment it was made. What is not named stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// How charges end.
    pub assumption: Assumption,
    /// A dunning campaign, as if it were saved now: for invoices issued from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<Campaign>,
    /// The brand's grace; counts without a campaign of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_days: Option<u32>,
    /// From suspension to the end; counts without a campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminate_after_days: Option<u32>,
    /// How long before the end of a period its renewal is issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_lead_hours: Option<u32>,
    /// Reminders relative to due, earliest first; they count without a campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminder_hours: Option<Vec<i32>>,
    /// What becomes of an unpaid renewal of a subscription that ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpaid_at_end: Option<UnpaidAtEnd>,
    /// Prices that are announced now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<NewPrice>,
}

/// A new price for everybody who has a price of the same plan, term and currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPrice {
    /// A price somebody has: says which plan, term and currency.
    pub price: PriceId,
    /// What a term costs from then on, in the same currency.
    pub amount_minor: i64,
    /// Days between the announcement and the first renewal it can apply to.
    pub notice_days: u32,
}

impl Scenario {
    /// Everything as it is.
    #[must_use]
    pub const fn unchanged(assumption: Assumption) -> Self {
        Self {
            assumption,
            campaign: None,
            grace_days: None,
            terminate_after_days: None,
            renewal_lead_hours: None,
            reminder_hours: None,
            unpaid_at_end: None,
            prices: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn method(number: u128) -> PaymentMethodId {
        PaymentMethodId::from_uuid(Uuid::from_u128(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)))
    }

    #[test]
    fn a_share_is_about_that_share_and_always_the_same_methods() {
        let share = |seed| Assumption::Share { declined_bp: 2_500, class: Class::Soft, seed };
        let declined = |seed| -> Vec<u128> {
            (0..4_000).filter(|number| share(seed).refusal(method(*number), None).is_some()).collect()
        };
        let first = declined(1);
        assert!((900..=1_100).contains(&first.len()), "{} of 4,000", first.len());
        assert_eq!(first, declined(1));
        assert_ne!(first, declined(2));
    }

    #[test]
    fn as_before_repeats_the_last_outcome_of_the_method_and_believes_in_new_ones() {
        let stolen = Decline { class: DeclineClass::Hard, code: "stolen_card".into() };
        let refusal = |last: Option<Result<(), Decline>>| Assumption::AsBefore.refusal(method(1), last.as_ref());
        assert_eq!(refusal(Some(Err(stolen.clone()))), Some(stolen));
        assert_eq!(refusal(Some(Ok(()))), None);
        assert_eq!(refusal(None), None);
    }

    #[test]
    fn a_scenario_reads_back_and_refuses_what_it_does_not_know() {
        let mut scenario = Scenario::unchanged(Assumption::Decline { class: Class::Hard });
        scenario.grace_days = Some(7);
        let text = serde_json::to_string(&scenario).unwrap();
        assert_eq!(text, r#"{"assumption":{"charges":"decline","class":"hard"},"grace_days":7}"#);
        assert_eq!(serde_json::from_str::<Scenario>(&text).unwrap(), scenario);
        assert!(serde_json::from_str::<Scenario>(&text.replace("grace_days", "gracedays")).is_err());
    }
}
