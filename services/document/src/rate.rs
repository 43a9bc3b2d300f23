//! A tax rate as it is printed: an exact decimal number of percent, never a float.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de, de::Deserializer, ser::Serializer};
use thiserror::Error;

/// Digits after the decimal point that a rate may have.
const DECIMALS_MAX: usize = 4;

/// A rate in percent, in ten-thousandths of a percent: `"8.875"` is 88 750.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaxRate(u32);

/// Why a text is no tax rate.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("tax rate {0:?} is not a percentage such as \"19\" or \"8.875\" (0 to 100, at most 4 decimals)")]
pub struct RateError(String);

impl TaxRate {
    /// No tax.
    pub const ZERO: Self = Self(0);

    /// The rate with the decimal sign of a locale and without trailing zeros: `8,875`.
    #[must_use]
    pub fn digits(self, decimal_sign: &str) -> String {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        if rest == 0 {
            return whole.to_string();
        }
        let rest = format!("{rest:04}");
        format!("{whole}{decimal_sign}{}", rest.trim_end_matches('0'))
    }
}

impl FromStr for TaxRate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || RateError(text.chars().take(32).collect());
        let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(rest) || whole.len() > 3 || rest.len() > DECIMALS_MAX {
            return Err(refused());
        }
        let whole: u32 = whole.parse().map_err(|_| refused())?;
        let rest: u32 = format!("{rest:0<4}").parse().map_err(|_| refused())?;
        let rate = Self(whole * 10_000 + rest);
        if rate.0 > 1_000_000 { Err(refused()) } else { Ok(rate) }
    }
}

impl fmt::Display for TaxRate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.digits("."))
    }
}

impl Serialize for TaxRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TaxRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_keep_their_decimals_and_lose_their_zeros() {
        for (text, shown) in
            [("19", "19"), ("19.00", "19"), ("8.875", "8,875"), ("0", "0"), ("100", "100"), ("5.50", "5,5")]
        {
            assert_eq!(text.parse::<TaxRate>().unwrap().digits(","), shown);
        }
        for text in ["", "-1", "1e2", "100.1", "1.23456", "19%", ".5", "5.", "+1", "1000"] {
            assert!(text.parse::<TaxRate>().is_err(), "{text}");
        }
    }
}
