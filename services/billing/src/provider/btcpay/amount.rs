//! Amounts as BTCPay Server writes them: decimal text, with as many digits as it likes.

use ottery_kernel::{Currency, Money};
use serde::{Deserialize, Deserializer};

use crate::provider::CallError;

/// Longest amount that is read.
const CHARS_MAX: usize = 40;

/// An exact decimal number that is not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    units: i128,
    digits: u32,
}

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self { units: 0, digits: 0 };

    /// From text such as `12.99`; none when it is no such number, or a longer one than anybody writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if text.len() > CHARS_MAX || whole.is_empty() || !is_number(whole) || !is_number(part) {
            return None;
        }
        let part = part.trim_end_matches('0');
        let units = format!("{whole}{part}").parse().ok()?;
        Some(Self { units, digits: u32::try_from(part.len()).ok()? })
    }

    /// Both together; none when that is too large.
    pub fn plus(self, other: Self) -> Option<Self> {
        let digits = self.digits.max(other.digits);
        let scaled = |one: Self| one.units.checked_mul(10_i128.checked_pow(digits - one.digits)?);
        Some(Self { units: scaled(self)?.checked_add(scaled(other)?)?, digits })
    }

    /// So much of something that costs `rate` each; none when that is too large.
    pub fn at(self, rate: Self) -> Option<Self> {
        Some(Self { units: self.units.checked_mul(rate.units)?, digits: self.digits + rate.digits })
    }

    /// In minor units of a currency; what is less than one of them is cut, so that no more is booked than came.
    pub fn money(self, currency: Currency) -> Option<Money> {
        let wanted = currency.exponent();
        let minor = if wanted >= self.digits {
            self.units.checked_mul(10_i128.checked_pow(wanted - self.digits)?)?
        } else {
            self.units / 10_i128.checked_pow(self.digits - wanted)?
        };
        Some(Money::new(i64::try_from(minor).ok()?, currency))
    }
}

/// Amounts are text; a plug-in may write a number.
impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("an amount that is none"))
    }
}

/// An amount as it is asked for: with the digits of the standard, exactly.
pub fn to_text(amount: Money) -> Result<String, CallError> {
    let digits = amount.currency.exponent();
    let unit = 10_i64.checked_pow(digits).filter(|_| amount.minor > 0).ok_or(CallError::Amount(amount))?;
    let (whole, part) = (amount.minor / unit, amount.minor % unit);
    let width = usize::try_from(digits).unwrap_or(0);
    Ok(if digits == 0 { whole.to_string() } else { format!("{whole}.{part:0width$}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, code.parse().unwrap())
    }

    fn read(text: &str, code: &str) -> Option<Money> {
        Decimal::parse(text)?.money(code.parse().unwrap())
    }

    #[test]
    fn amounts_are_decimal_text_with_the_digits_of_their_currency() {
        for (minor, code, text) in [
            (1299, "EUR", "12.99"),
            (5, "USD", "0.05"),
            (100_000, "GBP", "1000.00"),
            (500, "JPY", "500"),
            (129_900, "HUF", "1299.00"),
            (1_299, "KWD", "1.299"),
            (7, "TND", "0.007"),
        ] {
            assert_eq!(to_text(money(minor, code)), Ok(text.to_owned()));
            assert_eq!(read(text, code), Some(money(minor, code)));
        }
        for refused in [money(0, "EUR"), money(-1, "EUR")] {
            assert_eq!(to_text(refused), Err(CallError::Amount(refused)));
        }
    }

    #[test]
    fn less_than_a_minor_unit_is_cut_and_nonsense_is_no_amount() {
        assert_eq!(read("12.99", "EUR"), read("12.990000001", "EUR"));
        assert_eq!(read("12.98999999", "EUR"), Some(money(1298, "EUR")));
        assert_eq!(read("13", "EUR"), Some(money(1300, "EUR")));
        assert_eq!(read("499.9", "JPY"), Some(money(499, "JPY")));
        for text in ["", ".5", "-1", "1e3", "1,00", "1.0.0", "99999999999999999999", &"9".repeat(41)] {
            assert_eq!(read(text, "EUR"), None, "{text}");
        }
    }

    #[test]
    fn coins_are_worth_what_they_were_at_the_rate_of_the_invoice() {
        let coins = Decimal::parse("0.00012990").unwrap().at(Decimal::parse("100000.5").unwrap()).unwrap();
        assert_eq!(coins.money(Currency::EUR), Some(money(1299, "EUR")));
        let both = coins.plus(Decimal::parse("0.01").unwrap()).unwrap();
        assert_eq!(both.money(Currency::EUR), Some(money(1300, "EUR")));
        assert_eq!(Decimal::ZERO.plus(coins), Some(coins));
    }
}
