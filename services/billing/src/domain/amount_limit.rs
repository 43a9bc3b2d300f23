//! How much an account at a provider is asked for at most and at least, by currency.

use ottery_kernel::{Currency, Money};
use serde::{Deserialize, Serialize};

/// What an account takes in one currency. Of a currency without one it takes every amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmountLimit {
    /// Of which currency.
    pub currency: Currency,
    /// The least, in minor units; none: everything up to the most.
    pub min: Option<i64>,
    /// The most, in minor units; none: everything from the least on.
    pub max: Option<i64>,
}

/// Limits an operator cannot mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitRefused {
    /// One that limits nothing.
    #[error("{0} has neither a least nor a largest amount; give one of them, or leave {0} out")]
    Empty(Currency),
    /// No payment is zero or less.
    #[error("{0} is no amount of a payment; give one above zero")]
    NotPositive(Money),
    /// Nothing fits.
    #[error("the least amount, {min}, is more than the largest, {max}")]
    Crossed {
        /// The least.
        min: Money,
        /// The most.
        max: Money,
    },
    /// Two limits of one currency.
    #[error("{0} is named twice; give its least and its largest amount together")]
    Twice(Currency),
    /// One of a currency the account does not serve.
    #[error("{0} is not among the account's currencies; add it there, or leave it out here")]
    NotServed(Currency),
}

impl AmountLimit {
    /// Whether it lets this amount pass; one of another currency always.
    #[must_use]
    pub fn takes(&self, amount: Money) -> bool {
        amount.currency != self.currency
            || self.min.is_none_or(|min| amount.minor >= min) && self.max.is_none_or(|max| amount.minor <= max)
    }

    fn check(&self) -> Result<(), LimitRefused> {
        let money = |minor| Money::new(minor, self.currency);
        if let Some(minor) = [self.min, self.max].into_iter().flatten().find(|minor| *minor <= 0) {
            return Err(LimitRefused::NotPositive(money(minor)));
        }
        match (self.min, self.max) {
            (None, None) => Err(LimitRefused::Empty(self.currency)),
            (Some(min), Some(max)) if min > max => Err(LimitRefused::Crossed { min: money(min), max: money(max) }),
            (Some(_), _) | (None, Some(_)) => Ok(()),
        }
    }
}

/// Checks the limits of an account that serves these currencies; empty: all of them.
///
/// # Errors
/// When one makes no sense, or does not go with the others.
pub fn check_all(limits: &[AmountLimit], served: &[Currency]) -> Result<(), LimitRefused> {
    for (at, limit) in limits.iter().enumerate() {
        limit.check()?;
        if limits[..at].iter().any(|before| before.currency == limit.currency) {
            return Err(LimitRefused::Twice(limit.currency));
        }
        if !served.is_empty() && !served.contains(&limit.currency) {
            return Err(LimitRefused::NotServed(limit.currency));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur(min: Option<i64>, max: Option<i64>) -> AmountLimit {
        AmountLimit { currency: Currency::EUR, min, max }
    }

    #[test]
    fn a_limit_counts_both_ends_and_no_other_currency() {
        let limit = eur(Some(500), Some(20_000));
        for (minor, expected) in [(499, false), (500, true), (20_000, true), (20_001, false)] {
            assert_eq!(limit.takes(Money::new(minor, Currency::EUR)), expected, "{minor}");
        }
        assert!(limit.takes(Money::new(1, Currency::USD)));
        assert!(eur(None, Some(500)).takes(Money::new(1, Currency::EUR)));
        assert!(!eur(Some(500), None).takes(Money::new(499, Currency::EUR)));
    }

    #[test]
    fn what_nobody_can_mean_is_refused() {
        let money = |minor| Money::new(minor, Currency::EUR);
        for (limits, served, expected) in [
            (vec![eur(None, None)], vec![], LimitRefused::Empty(Currency::EUR)),
            (vec![eur(Some(0), None)], vec![], LimitRefused::NotPositive(money(0))),
            (vec![eur(None, Some(-1))], vec![], LimitRefused::NotPositive(money(-1))),
            (vec![eur(Some(2), Some(1))], vec![], LimitRefused::Crossed { min: money(2), max: money(1) }),
            (vec![eur(Some(1), None), eur(None, Some(2))], vec![], LimitRefused::Twice(Currency::EUR)),
            (vec![eur(Some(1), None)], vec![Currency::USD], LimitRefused::NotServed(Currency::EUR)),
        ] {
            assert_eq!(check_all(&limits, &served), Err(expected));
        }
        assert_eq!(check_all(&[eur(Some(1), Some(1))], &[Currency::EUR]), Ok(()));
        assert_eq!(check_all(&[], &[Currency::USD]), Ok(()));
    }
}
