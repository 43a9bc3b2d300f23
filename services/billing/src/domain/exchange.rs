//! A rate between two currencies, stated by a person and used exactly.

use std::fmt;
use std::str::FromStr;

use ottery_kernel::{Currency, Money, MoneyError, Rounding};

/// Digits of a rate at most, before and after the point together.
const DIGITS_MAX: usize = 12;

/// How much of the target one unit of the source is worth: a ratio of whole numbers, both above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    numerator: i64,
    denominator: i64,
}

/// Text that is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "rate: say how much one unit is worth, such as `1.0837` or `13/12`, above zero and with at most {DIGITS_MAX} digits"
)]
pub struct RateError;

/// A whole number above zero.
fn whole(digits: &str) -> Result<i64, RateError> {
    let is_plain = (1..=DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_plain { digits.parse().map_err(|_| RateError)? } else { return Err(RateError) };
    if number > 0 { Ok(number) } else { Err(RateError) }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let text = text.trim();
        if let Some((numerator, denominator)) = text.split_once('/') {
            return Ok(Self { numerator: whole(numerator.trim())?, denominator: whole(denominator.trim())? });
        }
        let (units, decimals) = text.split_once('.').unwrap_or((text, ""));
        if units.is_empty() || text.ends_with('.') {
            return Err(RateError);
        }
        let numerator = whole(&format!("{units}{decimals}"))?;
        let decimals = u32::try_from(decimals.len()).map_err(|_| RateError)?;
        Ok(Self { numerator, denominator: 10_i64.checked_pow(decimals).ok_or(RateError)? })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

impl Rate {
    /// What `amount` is worth in `to`: computed exactly and rounded once, to the nearest minor unit of `to`, a half to the
    /// even one.
    ///
    /// # Errors
    /// When the result does not fit.
    pub fn convert(self, amount: Money, to: Currency) -> Result<Money, MoneyError> {
        let units = |currency: Currency| 10_i128.pow(currency.exponent());
        let numerator = i128::from(self.numerator) * units(to);
        let denominator = i128::from(self.denominator) * units(amount.currency);
        let minor = amount.mul_ratio(numerator, denominator, Rounding::HalfEven)?.minor;
        Ok(Money::new(minor, to))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    #[test]
    fn a_rate_is_a_decimal_or_a_ratio_and_nothing_else() {
        for (text, shown) in [("1.0837", "10837/10000"), ("13/12", "13/12"), ("0.50", "50/100"), (" 160 ", "160/1")] {
            assert_eq!(rate(text).to_string(), shown);
            assert_eq!(rate(&rate(text).to_string()), rate(text));
        }
        for text in ["", "0", "0.0", "-1", "1.", ".5", "1,5", "1/0", "0/1", "1/2/3", "1e3", "1234567890123", "NaN"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn case_026_an_amount_is_converted_exactly_and_a_half_goes_to_the_even_minor_unit() {
        let usd = |minor| Money::new(minor, Currency::USD);
        assert_eq!(rate("1.0837").convert(eur(1000), Currency::USD), Ok(usd(1084)));
        for (minor, converted) in [(1, 0), (3, 2), (5, 2), (7, 4)] {
            assert_eq!(rate("1/2").convert(eur(minor), Currency::USD), Ok(usd(converted)), "{minor}");
        }
        assert_eq!(rate("160.5").convert(eur(1001), Currency::JPY), Ok(Money::new(1607, Currency::JPY)));
        assert_eq!(rate("1/160").convert(Money::new(1000, Currency::JPY), Currency::EUR), Ok(eur(625)));
        assert_eq!(rate("0.3").convert(eur(100), Currency::KWD), Ok(Money::new(300, Currency::KWD)));
    }

    proptest! {
        #[test]
        fn converting_is_never_more_than_half_a_minor_unit_off(minor in 0_i64..1_000_000_000, top in 1_i64..100_000, bottom in 1_i64..100_000) {
            let converted = rate(&format!("{top}/{bottom}")).convert(eur(minor), Currency::USD).unwrap().minor;
            let off = (i128::from(converted) * i128::from(bottom) - i128::from(minor) * i128::from(top)).abs();
            prop_assert!(2 * off <= i128::from(bottom));
        }
    }
}
