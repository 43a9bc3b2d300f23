//! Fiat money: whole minor units with a currency. No float, no bare integer, no silent wrap.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::currency::{Currency, CurrencyError};
use crate::text::{DecimalError, scaled_digits};

/// An amount of one currency in its minor units: 1000 is ten euros, or a thousand yen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units; negative is owed the other way.
    pub minor: i64,
    /// The currency, whose exponent says what a minor unit is.
    pub currency: Currency,
}

/// Why money could not be computed or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Two currencies were mixed; converting is an explicit act elsewhere.
    #[error("cannot combine {0} with {1}; convert one of them first")]
    Mismatch(Currency, Currency),
    /// The result does not fit into 64 bits of minor units.
    #[error("the amount is too large")]
    Overflow,
    /// A ratio with denominator zero.
    #[error("a ratio needs a denominator other than zero")]
    ZeroDenominator,
    /// Splitting among nobody, or by weights that are all zero.
    #[error("splitting needs at least one part with a weight above zero")]
    NoParts,
    /// The text is no decimal number.
    #[error("`{0}` is not an amount; expected digits with an optional point, such as `10.00`")]
    Malformed(String),
    /// More decimals than the currency has.
    #[error("{currency} has {exponent} decimals, `{text}` has more", exponent = currency.exponent())]
    TooPrecise {
        /// The currency.
        currency: Currency,
        /// What was given.
        text: String,
    },
    /// The currency of the text is unknown.
    #[error(transparent)]
    Currency(#[from] CurrencyError),
}

/// What happens to the part below one minor unit; named at every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// To the nearest; a half goes away from zero: 0.5 to 1, -0.5 to -1.
    HalfUp,
    /// To the nearest; a half goes to the even neighbour: 0.5 to 0, 1.5 to 2.
    HalfEven,
    /// Towards zero: what is not whole is dropped.
    Down,
}

impl Rounding {
    /// `numerator / denominator`, rounded; the denominator must not be zero.
    fn divide(self, numerator: i128, denominator: i128) -> Option<i128> {
        let quotient = numerator.checked_div(denominator)?;
        let remainder = numerator.checked_rem(denominator)?.unsigned_abs();
        let away_from_zero = if (numerator < 0) == (denominator < 0) { 1 } else { -1 };
        // Compares remainder with half of the denominator without doubling, which could overflow.
        let rest = denominator.unsigned_abs() - remainder;
        let step = match (self, remainder.cmp(&rest)) {
            (Self::Down, _) | (Self::HalfUp | Self::HalfEven, Ordering::Less) => 0,
            (Self::HalfUp | Self::HalfEven, Ordering::Greater) | (Self::HalfUp, Ordering::Equal) => away_from_zero,
            (Self::HalfEven, Ordering::Equal) => away_from_zero * (quotient % 2).abs(),
        };
        quotient.checked_add(step)
    }
}

impl Money {
    /// That many minor units.
    #[must_use]
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in that currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// Whether the amount is exactly zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// Whether the amount is above zero.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.minor > 0
    }

    /// Whether the amount is below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.minor < 0
    }

    /// Adds two amounts of one currency; mixing currencies is an error, never a conversion.
    ///
    /// # Errors
    /// When the currencies differ or the sum does not fit.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// Takes `other` away; the result may be negative.
    ///
    /// # Errors
    /// When the currencies differ or the difference does not fit.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_sub(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// The amount with the other sign.
    ///
    /// # Errors
    /// When the amount is the smallest 64-bit number.
    pub fn checked_neg(self) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_neg().ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// That many times the amount.
    ///
    /// # Errors
    /// When the product does not fit.
    pub fn checked_mul(self, times: i64) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(times).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// The amount times `numerator / denominator`, computed exactly and rounded once: proration, tax, percentages.
    ///
    /// ```
    /// # use ottery_kernel::{Currency, Money, Rounding};
    /// let price = Money::new(1000, Currency::EUR);
    /// assert_eq!(price.mul_ratio(7, 30, Rounding::HalfUp), Ok(Money::new(233, Currency::EUR)));
    /// ```
    ///
    /// # Errors
    /// When the denominator is zero or the result does not fit.
    pub fn mul_ratio(
        self,
        numerator: impl Into<i128>,
        denominator: impl Into<i128>,
        rounding: Rounding,
    ) -> Result<Self, MoneyError> {
        let denominator = denominator.into();
        if denominator == 0 {
            return Err(MoneyError::ZeroDenominator);
        }
        let product = i128::from(self.minor).checked_mul(numerator.into()).ok_or(MoneyError::Overflow)?;
        let rounded = rounding.divide(product, denominator).ok_or(MoneyError::Overflow)?;
        let minor = i64::try_from(rounded).map_err(|_| MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// Adds up amounts that are all of `currency`.
    ///
    /// # Errors
    /// When one has another currency or the sum does not fit.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::checked_add)
    }

    /// Compares two amounts of one currency.
    ///
    /// # Errors
    /// When the currencies differ.
    pub fn checked_cmp(self, other: Self) -> Result<Ordering, MoneyError> {
        self.same_currency(other)?;
        Ok(self.minor.cmp(&other.minor))
    }

    /// Cuts the amount into equal parts; the first ones are one minor unit larger when it does not go evenly, so the
    /// parts always add up to the whole.
    ///
    /// # Errors
    /// When `parts` is zero.
    pub fn split(self, parts: u32) -> Result<Vec<Self>, MoneyError> {
        self.split_by_weights(&vec![1; parts as usize])
    }

    /// Cuts the amount in proportion to the weights (largest remainder, earlier parts first when equal); the parts
    /// always add up to the whole, and a weight of zero gets nothing.
    ///
    /// # Errors
    /// When no weight is above zero.
    pub fn split_by_weights(self, weights: &[u64]) -> Result<Vec<Self>, MoneyError> {
        let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        if total == 0 {
            return Err(MoneyError::NoParts);
        }
        let whole = u128::from(self.minor.unsigned_abs());
        // 2^63 times 2^64 is below 2^128, so the products are exact.
        let shares = weights.iter().map(|weight| whole * u128::from(*weight));
        let (mut parts, remainders): (Vec<u128>, Vec<u128>) =
            shares.map(|share| (share / total, share % total)).unzip();
        let given: u128 = parts.iter().sum();
        let left = usize::try_from(whole - given).expect("each part leaves less than one unit");
        let mut by_remainder: Vec<usize> = (0..parts.len()).collect();
        by_remainder.sort_by_key(|index| std::cmp::Reverse(remainders[*index]));
        for index in by_remainder.into_iter().take(left) {
            parts[index] += 1;
        }
        let signed = |part: u128| {
            let part = i128::try_from(part).expect("a part is at most 2^63");
            let minor = if self.minor < 0 { -part } else { part };
            Self { minor: i64::try_from(minor).expect("a part is no larger than the whole"), ..self }
        };
        Ok(parts.into_iter().map(signed).collect())
    }

    /// Reads an amount in whole units, such as `10.00` euros or `1000` yen. Reading never rounds: digits finer than
    /// the currency are refused unless they are zero.
    ///
    /// # Errors
    /// When the text is no number, is too large, or finer than the currency.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let shown = || text.chars().take(48).collect();
        let (negative, digits) = scaled_digits(text, currency.exponent()).map_err(|error| match error {
            DecimalError::Malformed => MoneyError::Malformed(shown()),
            DecimalError::TooPrecise => MoneyError::TooPrecise { currency, text: shown() },
            DecimalError::Overflow => MoneyError::Overflow,
        })?;
        let magnitude = i128::try_from(digits).map_err(|_| MoneyError::Overflow)?;
        let minor = if negative { -magnitude } else { magnitude };
        Ok(Self { minor: i64::try_from(minor).map_err(|_| MoneyError::Overflow)?, currency })
    }

    /// The amount in whole units without the currency: `10.00`, `-0.005`, `1000`.
    #[must_use]
    pub fn to_decimal(self) -> String {
        let sign = if self.minor < 0 { "-" } else { "" };
        let magnitude = self.minor.unsigned_abs();
        let exponent = self.currency.exponent();
        if exponent == 0 {
            return format!("{sign}{magnitude}");
        }
        let scale = 10_u64.pow(exponent);
        format!("{sign}{}.{:0width$}", magnitude / scale, magnitude % scale, width = exponent as usize)
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency { Ok(()) } else { Err(MoneyError::Mismatch(self.currency, other.currency)) }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_decimal(), self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    /// Reads what `Display` writes: `10.00 EUR`.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (amount, currency) =
            text.split_once(' ').ok_or_else(|| MoneyError::Malformed(text.chars().take(48).collect()))?;
        Self::parse(amount, currency.parse()?)
    }
}

#[cfg(test)]
mod tests;
