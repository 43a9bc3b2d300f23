//! Another price for one subscription, given by staff for a time: less than the plan's, never more.

use chrono::{DateTime, Utc};
use ottery_kernel::Money;
use serde::{Deserialize, Serialize};

use super::offer::Offer;
use super::subscription::Subscription;

/// A price staff has given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceOverride {
    /// One term of the plan itself, in the terms of its price; options and add-ons cost what they cost.
    pub price: Money,
    /// Renewals that begin here or later cost the plan's price again; none: as long as it has the plan.
    pub until: Option<DateTime<Utc>>,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// Why a price cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideRefused {
    /// In another currency.
    #[error("the subscription is paid in {expected}; give the price in {expected}, got {got}")]
    Currency {
        /// The subscription's.
        expected: ottery_kernel::Currency,
        /// What was given.
        got: Money,
    },
    /// More than the plan costs, or less than nothing.
    #[error("use 0 to {regular}, what the plan costs, got {got}; a higher price is announced to the customer instead")]
    Range {
        /// The plan's price.
        regular: Money,
        /// What was given.
        got: Money,
    },
    /// Over before it begins.
    #[error("until: the next period begins {next}; choose a later instant, or none")]
    TooEarly {
        /// Where the next period begins.
        next: DateTime<Utc>,
    },
}

impl Offer {
    /// At another price of the plan itself, or at its own again.
    #[must_use]
    pub fn priced(mut self, given: Option<Money>) -> Self {
        let regular = self.regular.unwrap_or(self.price);
        (self.price, self.regular) = match given.filter(|given| given.currency == regular.currency) {
            Some(given) => (given, Some(regular)),
            None => (regular, None),
        };
        self
    }
}

impl Subscription {
    /// The price staff has given for a renewal that buys `offer`; none when it costs what it costs.
    #[must_use]
    pub fn given_price(&self, offer: &Offer) -> Option<Money> {
        let given = self.calendar.price_override.as_ref()?;
        let is_over = |until: DateTime<Utc>| self.paid_through.is_some_and(|start| start >= until);
        let is_of = offer.plan_id == self.offer.plan_id && offer.term == self.offer.term;
        (is_of && !given.until.is_some_and(is_over)).then_some(given.price)
    }

    /// Gives it another price from its next period on, or takes that back.
    ///
    /// # Errors
    /// When the price is not below the plan's, or would be over before it begins.
    pub fn give_price(&mut self, given: Option<PriceOverride>) -> Result<(), OverrideRefused> {
        if let Some(given) = &given {
            let regular = self.offer.regular.unwrap_or(self.offer.price);
            if given.price.currency != regular.currency {
                return Err(OverrideRefused::Currency { expected: regular.currency, got: given.price });
            }
            if given.price.is_negative() || given.price.minor > regular.minor {
                return Err(OverrideRefused::Range { regular, got: given.price });
            }
            let next = self.paid_through.unwrap_or(given.since);
            if given.until.is_some_and(|until| until <= next) {
                return Err(OverrideRefused::TooEarly { next });
            }
        }
        self.calendar.price_override = given;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ottery_kernel::{Currency, Term};

    use super::*;
    use crate::domain::proration::tests::offer;

    #[test]
    fn a_given_price_replaces_the_plans_and_gives_it_back() {
        let eur = |minor| Money::new(minor, Currency::EUR);
        let plain = offer(1000, Term::MONTH);
        let given = plain.clone().priced(Some(eur(700)));
        assert_eq!((given.price, given.regular), (eur(700), Some(eur(1000))));
        let again = given.clone().priced(Some(eur(500)));
        assert_eq!((again.price, again.regular), (eur(500), Some(eur(1000))));
        assert_eq!(again.priced(None), plain);
        assert_eq!(plain.clone().priced(Some(Money::new(500, Currency::JPY))), plain);
    }
}
