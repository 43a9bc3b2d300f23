//! What amounts a brand takes, per currency.

use ottery_kernel::{Currency, Money};
use serde::{Deserialize, Serialize};

/// The largest amount of a rule, in minor units: above it somebody has mistyped.
pub const AMOUNT_MAX: i64 = 100_000_000;

/// The amounts of one currency, in its minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmountRule {
    /// Which.
    pub currency: Currency,
    /// The smallest top-up of a wallet.
    pub top_up_min: i64,
    /// The largest one.
    pub top_up_max: i64,
    /// The least a payment may be, where the provider would take less; zero: what the provider takes.
    #[serde(default)]
    pub charge_min: i64,
}

impl AmountRule {
    /// What every brand begins with: 5.00 to 500.00, or 500 to 50,000 yen.
    #[must_use]
    pub const fn usual(currency: Currency) -> Self {
        Self { currency, top_up_min: 500, top_up_max: 50_000, charge_min: 0 }
    }

    /// The smallest and the largest top-up.
    #[must_use]
    pub const fn top_up(&self) -> (Money, Money) {
        (Money::new(self.top_up_min, self.currency), Money::new(self.top_up_max, self.currency))
    }
}

/// A brand's rules; a currency without one has what every brand begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AmountRules {
    /// One per currency at most.
    pub rules: Vec<AmountRule>,
    /// Grows with every change; 0 before the first.
    pub version: i64,
}

/// Why an amount is not taken. Each names the field, the rule and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountRefused {
    /// Nobody could spend it.
    #[error("amount: {currency} is not sold here, so nobody could spend it; choose one of {sold}")]
    NotSold {
        /// What was asked for.
        currency: Currency,
        /// What the brand sells in.
        sold: String,
    },
    /// Too little or too much.
    #[error("amount: a top-up is {min} to {max}, asked for {asked}")]
    TopUp {
        /// The smallest.
        min: Money,
        /// The largest.
        max: Money,
        /// What was asked for.
        asked: Money,
    },
}

/// Why rules are none. Each names the field, the rule and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Two rules of one currency.
    #[error("rules[{0}].currency: there is a rule for {1} already; keep one of them")]
    Twice(usize, Currency),
    /// The brand does not sell in it.
    #[error("rules[{at}].currency: {currency} is not sold here; use one of {sold}")]
    NotSold {
        /// Counted from 0.
        at: usize,
        /// What was named.
        currency: Currency,
        /// What the brand sells in.
        sold: String,
    },
    /// A smallest top-up of nothing.
    #[error("rules[{0}].top_up_min_minor: use 1 to {AMOUNT_MAX}")]
    Min(usize),
    /// A largest top-up below the smallest.
    #[error("rules[{0}].top_up_max_minor: use {1}, the smallest top-up, to {AMOUNT_MAX}")]
    Max(usize, i64),
    /// A least payment below nothing.
    #[error("rules[{0}].charge_min_minor: use 0, what the provider takes, to {AMOUNT_MAX}")]
    Charge(usize),
}

impl Invalid {
    /// The field that is wrong.
    #[must_use]
    pub fn field(&self) -> String {
        match self {
            Self::Twice(at, _) | Self::NotSold { at, .. } => format!("rules[{at}].currency"),
            Self::Min(at) => format!("rules[{at}].top_up_min_minor"),
            Self::Max(at, _) => format!("rules[{at}].top_up_max_minor"),
            Self::Charge(at) => format!("rules[{at}].charge_min_minor"),
        }
    }
}

fn listed(currencies: &[Currency]) -> String {
    currencies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl AmountRules {
    /// The rule of a currency.
    #[must_use]
    pub fn of(&self, currency: Currency) -> AmountRule {
        let found = self.rules.iter().find(|rule| rule.currency == currency).copied();
        found.unwrap_or(AmountRule::usual(currency))
    }

    /// Whether somebody may top a wallet up with this.
    ///
    /// # Errors
    /// Naming what would be accepted.
    pub fn check_top_up(&self, amount: Money, sold: &[Currency]) -> Result<(), AmountRefused> {
        if !sold.contains(&amount.currency) {
            return Err(AmountRefused::NotSold { currency: amount.currency, sold: listed(sold) });
        }
        let (min, max) = self.of(amount.currency).top_up();
        if amount.minor < min.minor || amount.minor > max.minor {
            return Err(AmountRefused::TopUp { min, max, asked: amount });
        }
        Ok(())
    }

    /// Whether these can be a brand's rules.
    ///
    /// # Errors
    /// Naming the first that cannot.
    pub fn check(&self, sold: &[Currency]) -> Result<(), Invalid> {
        for (at, rule) in self.rules.iter().enumerate() {
            if !sold.contains(&rule.currency) {
                return Err(Invalid::NotSold { at, currency: rule.currency, sold: listed(sold) });
            }
            if self.rules[..at].iter().any(|before| before.currency == rule.currency) {
                return Err(Invalid::Twice(at, rule.currency));
            }
            if !(1..=AMOUNT_MAX).contains(&rule.top_up_min) {
                return Err(Invalid::Min(at));
            }
            if !(rule.top_up_min..=AMOUNT_MAX).contains(&rule.top_up_max) {
                return Err(Invalid::Max(at, rule.top_up_min));
            }
            if !(0..=AMOUNT_MAX).contains(&rule.charge_min) {
                return Err(Invalid::Charge(at));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOLD: [Currency; 2] = [Currency::EUR, Currency::JPY];

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    #[test]
    fn a_top_up_is_within_the_limits_of_its_currency() {
        let rule = AmountRule { currency: Currency::EUR, top_up_min: 1_000, top_up_max: 2_000, charge_min: 0 };
        let rules = AmountRules { rules: vec![rule], version: 1 };
        for (minor, is_taken) in
            [(999, false), (1_000, true), (2_000, true), (2_001, false), (0, false), (-1_000, false)]
        {
            assert_eq!(rules.check_top_up(eur(minor), &SOLD).is_ok(), is_taken, "{minor}");
        }
        let refused = rules.check_top_up(eur(999), &SOLD).unwrap_err();
        assert_eq!(refused.to_string(), "amount: a top-up is 10.00 EUR to 20.00 EUR, asked for 9.99 EUR");
        assert!(rules.check_top_up(Money::new(500, Currency::JPY), &SOLD).is_ok(), "what every brand begins with");
        assert!(matches!(
            rules.check_top_up(Money::new(500, Currency::USD), &SOLD),
            Err(AmountRefused::NotSold { .. })
        ));
    }

    #[test]
    fn rules_that_are_none_name_their_field() {
        let rule = |currency, top_up_min, top_up_max| AmountRule { currency, top_up_min, top_up_max, charge_min: 0 };
        let good = rule(Currency::EUR, 100, 200);
        for (rules, field) in [
            (vec![good, good], "rules[1].currency"),
            (vec![rule(Currency::USD, 100, 200)], "rules[0].currency"),
            (vec![good, rule(Currency::JPY, 0, 200)], "rules[1].top_up_min_minor"),
            (vec![rule(Currency::EUR, 100, 99)], "rules[0].top_up_max_minor"),
            (vec![rule(Currency::EUR, 100, AMOUNT_MAX + 1)], "rules[0].top_up_max_minor"),
            (vec![AmountRule { charge_min: -1, ..good }], "rules[0].charge_min_minor"),
        ] {
            let refused = AmountRules { rules, version: 0 }.check(&SOLD).unwrap_err();
            assert_eq!(refused.field(), field);
            assert!(refused.to_string().starts_with(field), "{refused}");
        }
        assert_eq!(AmountRules { rules: vec![good], version: 0 }.check(&SOLD), Ok(()));
    }
}
