//! How a language writes amounts, days and rates.

use std::{fmt, str::FromStr};

use chrono::NaiveDate;
use ottery_kernel::Currency;
use serde::{Deserialize, Serialize, de, de::Deserializer, ser::Serializer};
use thiserror::Error;

use crate::rate::TaxRate;

/// Keeps a number and its sign on one line.
const NO_BREAK: char = '\u{a0}';
/// Thousands mark of French.
const NARROW_NO_BREAK: &str = "\u{202f}";
/// The typographic minus, as wide as a digit.
const MINUS: char = '\u{2212}';

/// A language the documents are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Locale {
    /// English.
    En,
    /// German.
    De,
    /// French.
    Fr,
    /// Spanish.
    Es,
    /// Portuguese.
    Pt,
    /// Arabic, from right to left, with Latin digits.
    Ar,
    /// Turkish.
    Tr,
}

/// Why a text names no language of the documents.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("language {0:?} has no document labels; use en, de, fr, es, pt, ar or tr (a region such as de-AT may follow)")]
pub struct LocaleError(String);

impl Locale {
    /// Every language there are labels for.
    pub const ALL: [Self; 7] = [Self::En, Self::De, Self::Fr, Self::Es, Self::Pt, Self::Ar, Self::Tr];

    /// The language for a customer who asked for `tag` (BCP 47): the same language when there is one, else English.
    #[must_use]
    pub fn negotiate(tag: &str) -> Self {
        tag.parse().unwrap_or(Self::En)
    }

    /// The language tag.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Es => "es",
            Self::Pt => "pt",
            Self::Ar => "ar",
            Self::Tr => "tr",
        }
    }

    /// Whether lines run from right to left.
    #[must_use]
    pub const fn is_rtl(self) -> bool {
        matches!(self, Self::Ar)
    }

    const fn decimal_sign(self) -> &'static str {
        match self {
            Self::En | Self::Ar => ".",
            Self::De | Self::Fr | Self::Es | Self::Pt | Self::Tr => ",",
        }
    }

    const fn thousands_sign(self) -> &'static str {
        match self {
            Self::En | Self::Ar => ",",
            Self::De | Self::Es | Self::Pt | Self::Tr => ".",
            Self::Fr => NARROW_NO_BREAK,
        }
    }

    /// An amount of minor units with its currency, by the ISO exponent: `€1,234.50`, `1.234,50 €`, `KWD 1.234`.
    #[must_use]
    pub fn amount(self, minor: i64, currency: Currency) -> String {
        let digits = self.digits(minor.unsigned_abs(), currency.exponent());
        let sign = if minor < 0 { MINUS.to_string() } else { String::new() };
        let unit = self.unit(currency);
        // A symbol stands against the digits, letters keep a distance.
        let gap =
            if unit.ends_with(|last: char| last.is_ascii_alphabetic()) { NO_BREAK.to_string() } else { String::new() };
        match self {
            Self::En | Self::Ar | Self::Tr => format!("{sign}{unit}{gap}{digits}"),
            Self::De | Self::Fr | Self::Es | Self::Pt => format!("{sign}{digits}{NO_BREAK}{unit}"),
        }
    }

    /// A count with thousands marks.
    #[must_use]
    pub fn count(self, value: i64) -> String {
        let sign = if value < 0 { MINUS.to_string() } else { String::new() };
        format!("{sign}{}", self.digits(value.unsigned_abs(), 0))
    }

    /// A tax rate: `19%`, `19 %`, `%19`.
    #[must_use]
    pub fn rate(self, rate: TaxRate) -> String {
        let digits = rate.digits(self.decimal_sign());
        match self {
            Self::En | Self::Pt | Self::Ar => format!("{digits}%"),
            Self::De | Self::Fr | Self::Es => format!("{digits}{NO_BREAK}%"),
            Self::Tr => format!("%{digits}"),
        }
    }

    /// A day.
    #[must_use]
    pub fn day(self, day: NaiveDate) -> String {
        let pattern = match self {
            Self::En => "%-d\u{a0}%b\u{a0}%Y",
            Self::De | Self::Tr => "%d.%m.%Y",
            Self::Fr | Self::Es | Self::Pt | Self::Ar => "%d/%m/%Y",
        };
        day.format(pattern).to_string()
    }

    fn digits(self, units: u64, exponent: u32) -> String {
        let one = 10_u64.pow(exponent);
        let whole = (units / one).to_string();
        // Spanish leaves four digits ungrouped.
        let grouped = if self == Self::Es && whole.len() == 4 { whole } else { group(&whole, self.thousands_sign()) };
        if exponent == 0 {
            return grouped;
        }
        let width = usize::try_from(exponent).unwrap_or_default();
        format!("{grouped}{}{:0width$}", self.decimal_sign(), units % one)
    }

    fn unit(self, currency: Currency) -> String {
        let symbol = match (currency.code(), self) {
            (_, Self::Ar) => None,
            ("EUR", _) => Some("€"),
            ("GBP", _) => Some("£"),
            ("USD", Self::En | Self::De | Self::Tr) => Some("$"),
            ("USD", Self::Fr) => Some("$US"),
            ("USD", Self::Es | Self::Pt) => Some("US$"),
            ("JPY", Self::En | Self::De | Self::Pt | Self::Tr) => Some("¥"),
            ("BRL", _) => Some("R$"),
            ("TRY", Self::Tr | Self::En) => Some("₺"),
            ("INR", Self::En) => Some("₹"),
            ("KRW", Self::En) => Some("₩"),
            ("CAD", Self::En) => Some("CA$"),
            ("AUD", Self::En) => Some("A$"),
            _ => None,
        };
        symbol.unwrap_or(currency.code()).to_owned()
    }
}

fn group(digits: &str, sign: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push_str(sign);
        }
        grouped.push(digit);
    }
    grouped
}

impl FromStr for Locale {
    type Err = LocaleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let language = text.split(['-', '_']).next().unwrap_or_default();
        Self::ALL
            .into_iter()
            .find(|locale| locale.tag().eq_ignore_ascii_case(language))
            .ok_or_else(|| LocaleError(text.chars().take(32).collect()))
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.tag())
    }
}

impl Serialize for Locale {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Locale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(locale: Locale, minor: i64, currency: &str) -> String {
        locale.amount(minor, currency.parse().unwrap()).replace([NO_BREAK, '\u{202f}'], " ").replace(MINUS, "-")
    }

    #[test]
    fn case_017_amounts_follow_the_exponent_of_the_currency() {
        assert_eq!(shown(Locale::En, 1_234, "JPY"), "¥1,234");
        assert_eq!(shown(Locale::En, 1_234_567, "KWD"), "KWD 1,234.567");
        assert_eq!(shown(Locale::En, 5, "KWD"), "KWD 0.005");
        assert_eq!(shown(Locale::De, 1_234_567, "BHD"), "1.234,567 BHD");
        assert_eq!(shown(Locale::Ar, 12_500, "KWD"), "KWD 12.500");
        assert_eq!(shown(Locale::Tr, 50_000, "KRW"), "KRW 50,000".replace(',', "."));
    }

    #[test]
    fn every_language_writes_an_amount_its_own_way() {
        let all = |minor, currency| Locale::ALL.map(|locale| shown(locale, minor, currency));
        assert_eq!(
            all(-123_456, "EUR"),
            ["-€1,234.56", "-1.234,56 €", "-1 234,56 €", "-1234,56 €", "-1.234,56 €", "-EUR 1,234.56", "-€1.234,56"]
        );
        assert_eq!(all(7, "USD"), ["$0.07", "0,07 $", "0,07 $US", "0,07 US$", "0,07 US$", "USD 0.07", "$0,07"]);
        assert_eq!(shown(Locale::Es, 1_234_567, "EUR"), "12.345,67 €");
    }

    #[test]
    fn the_smallest_amount_there_is_prints_too() {
        assert_eq!(shown(Locale::En, i64::MIN, "USD"), "-$92,233,720,368,547,758.08");
    }

    #[test]
    fn a_region_is_ignored_and_a_foreign_language_named_or_negotiated() {
        assert_eq!("de-AT".parse(), Ok(Locale::De));
        assert_eq!("pt_BR".parse(), Ok(Locale::Pt));
        assert!("it".parse::<Locale>().unwrap_err().to_string().contains("use en, de"));
        assert_eq!(Locale::negotiate("it"), Locale::En);
    }

    #[test]
    fn rates_and_days_are_local_as_well() {
        let rate = "8.875".parse().unwrap();
        let day = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
        assert_eq!(Locale::Tr.rate(rate), "%8,875");
        assert_eq!(Locale::De.rate(rate), "8,875\u{a0}%");
        assert_eq!(Locale::En.day(day).replace(NO_BREAK, " "), "1 Mar 2026");
        assert_eq!(Locale::De.day(day), "01.03.2026");
    }
}
