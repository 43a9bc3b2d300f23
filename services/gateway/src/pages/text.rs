//! Amounts, instants and terms as people read them.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use ottery_kernel::Currency;
use ottery_proto::catalog::v1::{Term, TermUnit};
use ottery_proto::common::v1::Money;
use prost_types::Timestamp;

/// How a brand writes numbers, and in which zone its days begin.
#[derive(Clone, Debug)]
pub struct Manner {
    /// BCP 47 tag.
    pub locale: String,
    /// The brand's zone.
    pub zone: Tz,
    /// The brand's now.
    pub now: DateTime<Utc>,
}

/// Grouping mark, decimal mark, symbol before the number.
const fn marks(language: &[u8]) -> (&'static str, &'static str, bool) {
    match language {
        b"de" | b"es" | b"it" | b"nl" | b"pt" | b"tr" | b"id" | b"da" => (".", ",", false),
        b"fr" => ("\u{202f}", ",", false),
        b"pl" | b"cs" | b"sv" | b"nb" | b"fi" | b"ru" | b"uk" => ("\u{a0}", ",", false),
        _ => (",", ".", true),
    }
}

fn symbol(code: &str) -> &str {
    match code {
        "EUR" => "€",
        "USD" => "$",
        "GBP" => "£",
        "JPY" => "¥",
        "INR" => "₹",
        "BRL" => "R$",
        "TRY" => "₺",
        "PLN" => "zł",
        "UAH" => "₴",
        other => other,
    }
}

impl Manner {
    /// An amount with its currency, for example `€1,234.50` or `1.234,50 €`.
    #[must_use]
    pub fn money(&self, amount: Option<&Money>) -> String {
        let Some(money) = amount else { return "—".to_owned() };
        let language = self.locale.get(..2).unwrap_or("en").to_ascii_lowercase();
        let (group, point, leads) = marks(language.as_bytes());
        let exponent = money.currency.parse::<Currency>().map_or(2, |currency| currency.exponent());
        let scale = 10_u64.pow(exponent);
        let minor = money.minor.unsigned_abs();
        let mut number = grouped(minor / scale, group);
        if exponent > 0 {
            number = format!("{number}{point}{:0width$}", minor % scale, width = exponent as usize);
        }
        let sign = if money.minor < 0 { "−" } else { "" };
        let sign_of = symbol(&money.currency);
        match (leads, sign_of.len() == 3 && sign_of.is_ascii()) {
            (true, true) => format!("{sign}{sign_of}\u{a0}{number}"),
            (true, false) => format!("{sign}{sign_of}{number}"),
            (false, _) => format!("{sign}{number}\u{a0}{sign_of}"),
        }
    }

    /// `22 Nov 2026`, never broken.
    #[must_use]
    pub fn date(&self, at: Option<&Timestamp>) -> String {
        self.written(at, "%-d\u{a0}%b\u{a0}%Y")
    }

    /// `22 Nov 2026, 15:47`.
    #[must_use]
    pub fn moment(&self, at: Option<&Timestamp>) -> String {
        self.written(at, "%-d\u{a0}%b\u{a0}%Y, %H:%M")
    }

    /// `22 Nov 2026, 15:47:09.250 UTC`, for what is compared with logs.
    #[must_use]
    pub fn exact(&self, at: Option<&Timestamp>) -> String {
        instant(at)
            .map_or_else(|| "—".to_owned(), |at| at.format("%-d\u{a0}%b\u{a0}%Y, %H:%M:%S%.3f\u{a0}UTC").to_string())
    }

    fn written(&self, at: Option<&Timestamp>, pattern: &str) -> String {
        instant(at).map_or_else(|| "—".to_owned(), |at| at.with_timezone(&self.zone).format(pattern).to_string())
    }

    /// `in 12 days`, `3 hours ago`, `just now`.
    #[must_use]
    pub fn relative(&self, at: Option<&Timestamp>) -> String {
        let Some(at) = instant(at) else { return String::new() };
        let distance = at - self.now;
        let amount = span(distance.abs());
        match () {
            () if distance.abs() < TimeDelta::minutes(1) => "just now".to_owned(),
            () if distance > TimeDelta::zero() => format!("in {amount}"),
            () => format!("{amount} ago"),
        }
    }
}

fn span(distance: TimeDelta) -> String {
    let (count, unit) = match distance.num_minutes() {
        minutes if minutes < 90 => (minutes, "minute"),
        minutes if minutes < 48 * 60 => ((minutes + 30) / 60, "hour"),
        minutes if minutes < 60 * 24 * 60 => ((minutes + 720) / 1440, "day"),
        minutes => (minutes / (30 * 24 * 60), "month"),
    };
    counted(count.unsigned_abs(), unit)
}

/// `1 day`, `3 days`.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// `the 1st`, `the last day` of a month.
#[must_use]
pub fn day_of_month(day: u32) -> String {
    let ending = match day {
        1 | 21 => "st",
        2 | 22 => "nd",
        3 | 23 => "rd",
        _ => "th",
    };
    match day {
        31 => "the last day".to_owned(),
        29 | 30 => format!("the {day}th (the last day of shorter months)"),
        day => format!("the {day}{ending}"),
    }
}

fn grouped(number: u64, group: &str) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + 4);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push_str(group);
        }
        text.push(digit);
    }
    text
}

/// The instant, when there is one.
#[must_use]
pub fn instant(at: Option<&Timestamp>) -> Option<DateTime<Utc>> {
    at.and_then(|at| DateTime::from_timestamp(at.seconds, at.nanos.cast_unsigned()))
}

fn unit_of(term: &Term) -> &'static str {
    match term.unit() {
        TermUnit::Day => "day",
        TermUnit::Week => "week",
        TermUnit::Month => "month",
        TermUnit::Year => "year",
        TermUnit::Unspecified => "term",
    }
}

/// `month`, `3 months`: what follows "every" or "per".
#[must_use]
pub fn per(term: Option<&Term>) -> String {
    let Some(term) = term else { return "term".to_owned() };
    if term.count == 1 { unit_of(term).to_owned() } else { counted(u64::from(term.count), unit_of(term)) }
}

/// `1 month`, `3 months`.
#[must_use]
pub fn length(term: Option<&Term>) -> String {
    term.map_or_else(|| "—".to_owned(), |term| counted(u64::from(term.count), unit_of(term)))
}

/// Short name of a term for addresses: `1m`, `12m`, `7d`.
#[must_use]
pub fn term_key(term: &Term) -> String {
    format!("{}{}", term.count, &unit_of(term)[..1])
}

/// Whole months of a term, when it is a number of months.
#[must_use]
pub fn months(term: &Term) -> Option<u32> {
    match term.unit() {
        TermUnit::Month => Some(term.count),
        TermUnit::Year => term.count.checked_mul(12),
        TermUnit::Day | TermUnit::Week | TermUnit::Unspecified => None,
    }
}

/// Orders terms by length.
#[must_use]
pub fn days(term: &Term) -> u32 {
    let unit = match term.unit() {
        TermUnit::Day | TermUnit::Unspecified => 1,
        TermUnit::Week => 7,
        TermUnit::Month => 30,
        TermUnit::Year => 365,
    };
    term.count.saturating_mul(unit)
}

/// Basis points as `19 %`.
#[must_use]
pub fn percent(basis_points: u32) -> String {
    let (whole, rest) = (basis_points / 100, basis_points % 100);
    if rest == 0 { format!("{whole}%") } else { format!("{whole}.{rest:02}%") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manner(locale: &str) -> Manner {
        let now = DateTime::from_timestamp(1_795_363_200, 0).unwrap();
        Manner { locale: locale.into(), zone: Tz::UTC, now }
    }

    fn money(minor: i64, currency: &str) -> Money {
        Money { minor, currency: currency.into() }
    }

    #[test]
    fn money_is_written_the_way_of_the_locale() {
        let cases = [
            ("en", 123_450, "EUR", "€1,234.50"),
            ("de-DE", 123_450, "EUR", "1.234,50\u{a0}€"),
            ("fr", 99, "EUR", "0,99\u{a0}€"),
            ("en", 5_000, "JPY", "¥5,000"),
            ("en", 1_234, "KWD", "KWD\u{a0}1.234"),
            ("en", -1_000, "USD", "−$10.00"),
        ];
        for (locale, minor, currency, text) in cases {
            assert_eq!(manner(locale).money(Some(&money(minor, currency))), text);
        }
    }

    #[test]
    fn distances_in_time_are_rounded_to_what_people_say() {
        let manner = manner("en");
        let at = |seconds: i64| Some(Timestamp { seconds: 1_795_363_200 + seconds, nanos: 0 });
        assert_eq!(manner.relative(at(20).as_ref()), "just now");
        assert_eq!(manner.relative(at(3 * 3600).as_ref()), "in 3 hours");
        assert_eq!(manner.relative(at(-30 * 86_400).as_ref()), "30 days ago");
    }

    #[test]
    fn terms_read_naturally() {
        let term = |count, unit: TermUnit| Term { count, unit: unit.into() };
        assert_eq!(per(Some(&term(1, TermUnit::Month))), "month");
        assert_eq!(per(Some(&term(3, TermUnit::Month))), "3 months");
        assert_eq!(term_key(&term(12, TermUnit::Month)), "12m");
        assert_eq!(percent(1_950), "19.50%");
    }
}
