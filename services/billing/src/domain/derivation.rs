//! How an amount came about. What computes a figure makes its derivation: a figure is the sum of its addends, and each
//! addend is a base times a share, rounded once. There is no second formula that could disagree with the first.
//!
//! Results are not kept beside the bases: whoever reads a derivation works it out again, and must meet the printed amount.

use std::fmt;

use ottery_kernel::{Currency, Money, MoneyError, Period, PlanVersionId, PriceId, Rounding, Term};
use serde::{Deserialize, Serialize};

use super::coupon::Benefit;
use super::offer::Offer;

/// A part of a whole, such as seconds of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// How much of it.
    pub part: i64,
    /// Of how much.
    pub whole: i64,
}

impl Share {
    /// This share of an amount, rounded to the nearest minor unit, a half away from zero.
    ///
    /// # Errors
    /// When the whole is nothing, or the result does not fit.
    pub fn of(self, amount: Money) -> Result<Money, MoneyError> {
        amount.mul_ratio(self.part, self.whole, Rounding::HalfUp)
    }

    /// Whether it is all of it.
    #[must_use]
    pub const fn is_all(self) -> bool {
        self.part == self.whole
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.whole)
    }
}

/// A price of the catalogue, as it was sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Priced {
    /// Which.
    pub price_id: PriceId,
    /// Of which version of the plan.
    pub plan_version_id: PlanVersionId,
    /// What the plan was called.
    pub plan: String,
    /// What it pays for.
    pub term: Term,
}

impl Priced {
    /// The price of an offer.
    #[must_use]
    pub fn of(offer: &Offer) -> Self {
        Self {
            price_id: offer.price_id,
            plan_version_id: offer.plan_version_id,
            plan: offer.plan_name.clone(),
            term: offer.term,
        }
    }
}

/// Units of something beside the plan itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// Names it on the subscription: an option's key, the id of an add-on's plan.
    pub key: String,
    /// As it was sold.
    pub name: String,
    /// How many are paid for; of an add-on, how many of its cycles.
    pub count: u32,
    /// What one of them costs.
    pub each: Money,
}

/// Where a base comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// The price of a term.
    Price(Priced),
    /// The price of a term less what a coupon takes off it.
    Reduced {
        /// The price.
        #[serde(flatten)]
        price: Priced,
        /// The coupon's code; empty when only what was taken off is known.
        coupon: String,
        /// What the coupon said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        benefit: Option<Benefit>,
        /// What was taken off the price of a whole term.
        off: Money,
    },
    /// The one-time fee of a price.
    SetupFee(Priced),
    /// Units of an option, or an add-on, for a term.
    Extra {
        /// The price they belong to; the add-on's own.
        #[serde(flatten)]
        price: Priced,
        /// How many, and what each costs.
        units: Units,
    },
    /// What such units cost once.
    ExtraSetup {
        /// The price they belong to; the add-on's own.
        #[serde(flatten)]
        price: Priced,
        /// How many, and what each costs.
        units: Units,
    },
}

impl Source {
    /// Stable, for programs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Price(_) => "price",
            Self::Reduced { .. } => "reduced",
            Self::SetupFee(_) => "setup_fee",
            Self::Extra { .. } => "extra",
            Self::ExtraSetup { .. } => "extra_setup",
        }
    }

    /// The price it is about.
    #[must_use]
    pub const fn price(&self) -> &Priced {
        match self {
            Self::Price(price)
            | Self::Reduced { price, .. }
            | Self::SetupFee(price)
            | Self::Extra { price, .. }
            | Self::ExtraSetup { price, .. } => price,
        }
    }

    /// Whether it is paid once and not for time.
    #[must_use]
    pub const fn is_once(&self) -> bool {
        match self {
            Self::SetupFee(_) | Self::ExtraSetup { .. } => true,
            Self::Price(_) | Self::Reduced { .. } | Self::Extra { .. } => false,
        }
    }

    /// Whether it is the plan itself, for a term.
    #[must_use]
    pub const fn is_plan(&self) -> bool {
        match self {
            Self::Price(_) | Self::Reduced { .. } => true,
            Self::SetupFee(_) | Self::Extra { .. } | Self::ExtraSetup { .. } => false,
        }
    }

    /// Whether it is what is beside the plan under that name, for a term.
    #[must_use]
    pub fn is_extra(&self, key: &str) -> bool {
        matches!(self, Self::Extra { units, .. } if units.key == key)
    }
}

/// A base, or a share of it, that is added or taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addend {
    /// Where the base comes from.
    #[serde(flatten)]
    pub source: Source,
    /// The base.
    pub base: Money,
    /// How much of it counts; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// The time the share stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// Whether it is taken away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_taken: bool,
}

impl Addend {
    /// All of `base`.
    #[must_use]
    pub const fn all(source: Source, base: Money) -> Self {
        Self { source, base, share: None, period: None, is_taken: false }
    }

    /// A share of `base`.
    #[must_use]
    pub const fn share(source: Source, base: Money, share: Share) -> Self {
        Self { source, base, share: Some(share), period: None, is_taken: false }
    }

    /// What it adds, below zero for what it takes away.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn result(&self) -> Result<Money, MoneyError> {
        let counted = match self.share {
            Some(share) => share.of(self.base)?,
            None => self.base,
        };
        if self.is_taken { counted.checked_neg() } else { Ok(counted) }
    }
}

/// Addends; the figure is their sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Derivation(pub Vec<Addend>);

impl Derivation {
    /// The figure, in the currency of the invoice: nothing without addends.
    ///
    /// # Errors
    /// When an addend has another currency, or the sum does not fit.
    pub fn total(&self, currency: Currency) -> Result<Money, MoneyError> {
        self.0.iter().try_fold(Money::zero(currency), |sum, addend| sum.checked_add(addend.result()?))
    }

    /// The same, the other way round.
    #[must_use]
    pub fn taken(mut self) -> Self {
        for addend in &mut self.0 {
            addend.is_taken = !addend.is_taken;
        }
        self
    }

    /// The time all of it stands for; none when some of it stands for none or for another.
    #[must_use]
    pub fn time(&self) -> Option<Period> {
        let first = self.0.first()?.period?;
        self.0.iter().all(|addend| addend.period == Some(first)).then_some(first)
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The addends whose base comes from there.
    #[must_use]
    pub fn only(&self, is_wanted: impl Fn(&Source) -> bool) -> Self {
        Self(self.0.iter().filter(|addend| is_wanted(&addend.source)).cloned().collect())
    }

    /// Whether it is known and paid once, not for time.
    #[must_use]
    pub fn is_once(&self) -> bool {
        !self.is_empty() && self.0.iter().all(|addend| addend.source.is_once())
    }

    /// Whether it is known and only takes away: unused time. A discount is a price taken away and a reduced one added.
    #[must_use]
    pub fn gives_back(&self) -> bool {
        !self.is_empty() && self.0.iter().all(|addend| addend.is_taken)
    }

    /// Whether nothing is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Addend> for Derivation {
    fn from(addend: Addend) -> Self {
        Self(vec![addend])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::proration::tests::offer;

    #[test]
    fn a_figure_is_the_sum_of_what_is_added_and_taken_away_each_rounded_once() {
        let eur = |minor| Money::new(minor, Currency::EUR);
        let price = Source::Price(Priced::of(&offer(1000, Term::MONTH)));
        let third = Share { part: 1, whole: 3 };
        let full = Derivation::from(Addend::share(price.clone(), eur(1000), third));
        let less = Derivation::from(Addend::share(price, eur(500), third));
        assert_eq!(full.total(Currency::EUR), Ok(eur(333)));
        assert_eq!(full.clone().taken().and(less).total(Currency::EUR), Ok(eur(-166)));
        assert_eq!(full.taken().taken().total(Currency::USD), Err(MoneyError::Mismatch(Currency::USD, Currency::EUR)));
        assert_eq!(Derivation::default().total(Currency::EUR), Ok(eur(0)));
    }

    #[test]
    fn derivations_read_back_as_they_were_stored() {
        let sold = offer(1000, Term::MONTH);
        let off = Money::new(100, Currency::EUR);
        let reduced = Source::Reduced {
            price: Priced::of(&sold),
            coupon: "TEN".into(),
            benefit: Some(Benefit::Percent { bp: 1000 }),
            off,
        };
        let units = || Units { key: "streams".into(), name: "Streams".into(), count: 2, each: off };
        let extra = Source::Extra { price: Priced::of(&sold), units: units() };
        let setup = Source::ExtraSetup { price: Priced::of(&sold), units: units() };
        for source in [Source::Price(Priced::of(&sold)), reduced, Source::SetupFee(Priced::of(&sold)), extra, setup] {
            let stored = Derivation(vec![
                Addend::all(source.clone(), off),
                Addend { is_taken: true, ..Addend::share(source, off, Share { part: 1, whole: 3 }) },
            ]);
            let text = serde_json::to_string(&stored).unwrap();
            assert_eq!(serde_json::from_str::<Derivation>(&text).unwrap(), stored, "{text}");
        }
    }
}
