//! What tax does to a price: what is charged for it, and how much of that is tax.
//!
//! Prices are decided on first (proration, coupons), in the terms the seller set them in; tax comes last. So a discount is
//! taken off before tax whatever the kind of price, and nothing is ever taxed twice.

mod book;
mod rounding;
mod rule;
mod words;

use std::borrow::Cow;
use std::collections::BTreeMap;

use ottery_kernel::{Money, MoneyError, Rounding};
use serde::{Deserialize, Serialize};

pub use book::{Book, Buyer, Decision, Elsewhere, Settings};
pub use rounding::{on_group_total, on_total};
pub use rule::{Levy, Place, Rule, find};
pub use words::{reverse_charge, words};

/// Basis points in a whole.
pub const WHOLE_BP: u32 = 10_000;

/// Whether prices contain their tax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pricing {
    /// What is seen is what a consumer pays; tax is taken out of it.
    #[default]
    Inclusive,
    /// Tax is added.
    Exclusive,
}

/// Where tax is rounded to whole minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Round {
    /// On each line.
    #[default]
    Line,
    /// On the sum of each rate; the lines then share it by the largest remainder, so that they add up.
    Total,
}

/// How something is taxed, beside its rate.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Treatment {
    /// At its rate, which may be zero.
    #[default]
    Rate,
    /// The buyer, a business, owes the tax.
    ReverseCharge,
    /// Exempt.
    Exempt {
        /// Which law says so.
        reason: String,
    },
    /// Not taxed at all.
    OutOfScope {
        /// Why.
        reason: String,
    },
}

impl Treatment {
    /// Whether nothing has to be said about it.
    #[must_use]
    pub const fn is_rate(&self) -> bool {
        matches!(self, Self::Rate)
    }
}

/// What tax does to a price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tax {
    /// Whether the price contains it.
    pub pricing: Pricing,
    /// Where it is rounded.
    pub round: Round,
    /// The rate of the place, in basis points: contained in an inclusive price even where the buyer does not owe it to the
    /// seller.
    pub rate_bp: u32,
    /// Whether and how it is charged.
    pub treatment: Treatment,
    /// What is sold beside the plan and has a tax category of its own, by category.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, Rate>,
}

/// How another kind of product than the plan is taxed: prices contain tax and are rounded like the plan's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// The rate of the place, in basis points.
    pub rate_bp: u32,
    /// Whether and how it is charged.
    pub treatment: Treatment,
}

/// A price with its tax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taxed {
    /// What is charged, tax contained.
    pub gross: Money,
    /// The tax in it.
    pub tax: Money,
}

impl Tax {
    /// Contained in the price at that rate, in basis points, and rounded on each line.
    #[must_use]
    pub const fn contained(rate_bp: u32) -> Self {
        Self {
            pricing: Pricing::Inclusive,
            round: Round::Line,
            rate_bp,
            treatment: Treatment::Rate,
            others: BTreeMap::new(),
        }
    }

    /// What tax does to the price of a product of that category: none stands for the plan's, whose tax this is.
    #[must_use]
    pub fn of_category(&self, category: Option<&str>) -> Cow<'_, Self> {
        match category.and_then(|category| self.others.get(category)) {
            None => Cow::Borrowed(self),
            Some(Rate { rate_bp, treatment }) => Cow::Owned(Self {
                rate_bp: *rate_bp,
                treatment: treatment.clone(),
                others: BTreeMap::new(),
                ..self.clone()
            }),
        }
    }

    /// Whether what both know of is taxed alike, so that one can be set off against the other within an invoice.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let plan = |tax: &Self| (tax.pricing, tax.round, tax.rate_bp, tax.treatment.clone());
        let is_same = |(category, rate): (&String, &Rate)| other.others.get(category).is_none_or(|known| known == rate);
        plan(self) == plan(other) && self.others.iter().all(is_same)
    }

    /// The rate that is charged, in basis points.
    #[must_use]
    pub const fn charged_bp(&self) -> u32 {
        match self.treatment {
            Treatment::Rate => self.rate_bp,
            Treatment::ReverseCharge | Treatment::Exempt { .. } | Treatment::OutOfScope { .. } => 0,
        }
    }

    /// What a price comes to. Under reverse charge an inclusive price is charged without the tax it contains: the buyer pays
    /// that to their own tax office.
    ///
    /// # Errors
    /// When the price is too large to compute with.
    pub fn of(&self, price: Money) -> Result<Taxed, MoneyError> {
        let nothing = Money::zero(price.currency);
        match (self.pricing, &self.treatment) {
            (Pricing::Inclusive, Treatment::Rate) => Ok(Taxed { gross: price, tax: inside(price, self.rate_bp)? }),
            (Pricing::Inclusive, Treatment::ReverseCharge) => {
                Ok(Taxed { gross: price.checked_sub(inside(price, self.rate_bp)?)?, tax: nothing })
            }
            (Pricing::Exclusive, Treatment::Rate) => {
                let tax = on_top(price, self.rate_bp)?;
                Ok(Taxed { gross: price.checked_add(tax)?, tax })
            }
            (Pricing::Exclusive, Treatment::ReverseCharge)
            | (_, Treatment::Exempt { .. } | Treatment::OutOfScope { .. }) => Ok(Taxed { gross: price, tax: nothing }),
        }
    }

    /// What a price comes to, tax contained.
    ///
    /// # Errors
    /// When the price is too large to compute with.
    pub fn gross(&self, price: Money) -> Result<Money, MoneyError> {
        Ok(self.of(price)?.gross)
    }

    /// What a price comes to without tax.
    ///
    /// # Errors
    /// When the price is too large to compute with.
    pub fn net(&self, price: Money) -> Result<Money, MoneyError> {
        let Taxed { gross, tax } = self.of(price)?;
        gross.checked_sub(tax)
    }
}

/// The tax contained in a gross amount at a rate in basis points, rounded to the nearest minor unit, a half away from zero.
///
/// # Errors
/// When the amount is too large to compute with.
pub fn inside(gross: Money, rate_bp: u32) -> Result<Money, MoneyError> {
    gross.mul_ratio(i64::from(rate_bp), i64::from(WHOLE_BP) + i64::from(rate_bp), Rounding::HalfUp)
}

/// The tax that comes on top of a net amount at a rate in basis points, rounded to the nearest minor unit, a half away from
/// zero.
///
/// # Errors
/// When the amount is too large to compute with.
pub fn on_top(net: Money, rate_bp: u32) -> Result<Money, MoneyError> {
    net.mul_ratio(i64::from(rate_bp), i64::from(WHOLE_BP), Rounding::HalfUp)
}

#[cfg(test)]
mod tests {
    use ottery_kernel::Currency;
    use proptest::prelude::*;

    use super::*;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    fn priced(pricing: Pricing, treatment: Treatment) -> Tax {
        Tax { pricing, treatment, ..Tax::contained(1900) }
    }

    #[test]
    fn an_inclusive_price_is_what_a_consumer_pays_and_an_exclusive_one_comes_with_tax_on_top() {
        let of = |pricing, treatment, price| {
            let taxed = priced(pricing, treatment).of(eur(price)).unwrap();
            (taxed.gross.minor, taxed.tax.minor)
        };
        assert_eq!(of(Pricing::Inclusive, Treatment::Rate, 1190), (1190, 190));
        assert_eq!(of(Pricing::Exclusive, Treatment::Rate, 1000), (1190, 190));
        assert_eq!(of(Pricing::Inclusive, Treatment::ReverseCharge, 1190), (1000, 0));
        assert_eq!(of(Pricing::Exclusive, Treatment::ReverseCharge, 1000), (1000, 0));
        let exempt = || Treatment::Exempt { reason: "Article 132".into() };
        assert_eq!(of(Pricing::Inclusive, exempt(), 1190), (1190, 0));
        assert_eq!(of(Pricing::Exclusive, exempt(), 1000), (1000, 0));
    }

    #[test]
    fn a_category_of_its_own_is_taxed_at_its_rate_and_everything_else_like_the_plan() {
        let press = Rate { rate_bp: 700, treatment: Treatment::Rate };
        let tax = Tax { others: BTreeMap::from([("press".to_owned(), press.clone())]), ..Tax::contained(1900) };
        let of = |category| tax.of_category(category).of(eur(1190)).unwrap().tax.minor;
        assert_eq!((of(None), of(Some("press")), of(Some("radio"))), (190, 78, 190));
        // What only one of them knows of is no difference.
        assert!(tax.is_like(&Tax::contained(1900)) && Tax::contained(1900).is_like(&tax));
        let dearer =
            Tax { others: BTreeMap::from([("press".to_owned(), Rate { rate_bp: 900, ..press })]), ..tax.clone() };
        assert!(!tax.is_like(&dearer) && !tax.is_like(&Tax::contained(1600)));
        let kept: Tax = serde_json::from_str(&serde_json::to_string(&tax).unwrap()).unwrap();
        assert_eq!(kept, tax);
        // As earlier versions wrote it.
        let old = r#"{"pricing":"inclusive","round":"line","rate_bp":1900,"treatment":{"kind":"rate"}}"#;
        assert_eq!(serde_json::from_str::<Tax>(old).unwrap(), Tax::contained(1900));
        assert_eq!(serde_json::to_string(&Tax::contained(1900)).unwrap(), old);
    }

    #[test]
    fn the_charged_rate_is_that_of_the_place_only_where_the_seller_charges_it() {
        assert_eq!(priced(Pricing::Inclusive, Treatment::Rate).charged_bp(), 1900);
        assert_eq!(priced(Pricing::Inclusive, Treatment::ReverseCharge).charged_bp(), 0);
    }

    proptest! {
        #[test]
        fn a_higher_price_never_costs_less(low in 0_i64..1_000_000, more in 0_i64..1_000_000, bp in 0_u32..5_000, exclusive in any::<bool>(), reverse in any::<bool>()) {
            let pricing = if exclusive { Pricing::Exclusive } else { Pricing::Inclusive };
            let treatment = if reverse { Treatment::ReverseCharge } else { Treatment::Rate };
            let tax = Tax { pricing, treatment, ..Tax::contained(bp) };
            let (less, greater) = (tax.of(eur(low)).unwrap(), tax.of(eur(low + more)).unwrap());
            prop_assert!(less.gross.minor <= greater.gross.minor && less.tax.minor <= greater.tax.minor);
            // Taking back what was charged gives exactly it back.
            let back = tax.of(eur(-low)).unwrap();
            prop_assert_eq!((back.gross.minor, back.tax.minor), (-less.gross.minor, -less.tax.minor));
        }
    }
}
