//! Amounts and dates as people of a language write them.

use chrono::{DateTime, Datelike as _};
use chrono_tz::Tz;
use ottery_kernel::{Currency, Money};

const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const MONTHS_DE: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];

fn language(locale: &str) -> &str {
    locale.split('-').next().unwrap_or(locale)
}

/// `€12.99` in English, `12,99 €` in German, `12.99 EUR` elsewhere; the amount as it is for currencies we do not know.
#[must_use]
pub fn money(minor: i64, currency: &str, locale: &str) -> String {
    let Ok(known) = currency.parse::<Currency>() else { return format!("{minor} {currency}") };
    let decimal = Money::new(minor, known).to_decimal();
    let symbol = match currency {
        "EUR" => Some("€"),
        "USD" => Some("$"),
        "GBP" => Some("£"),
        _ => None,
    };
    match (language(locale), symbol) {
        ("de", symbol) => format!("{}\u{a0}{}", decimal.replace('.', ","), symbol.unwrap_or(currency)),
        ("en", Some(symbol)) => match decimal.strip_prefix('-') {
            Some(positive) => format!("-{symbol}{positive}"),
            None => format!("{symbol}{decimal}"),
        },
        _ => format!("{decimal}\u{a0}{currency}"),
    }
}

/// A day of the zone in words of the language: `15 January 2026`, `15. Januar 2026`, elsewhere `2026-01-15`.
#[must_use]
pub fn date(seconds: i64, zone: &str, locale: &str) -> String {
    let Some(utc) = DateTime::from_timestamp(seconds, 0) else { return String::new() };
    let day = utc.with_timezone(&zone.parse::<Tz>().unwrap_or(Tz::UTC)).date_naive();
    let month = usize::try_from(day.month0()).unwrap_or(0);
    match language(locale) {
        "en" => format!("{} {} {}", day.day(), MONTHS_EN[month], day.year()),
        "de" => format!("{}. {} {}", day.day(), MONTHS_DE[month], day.year()),
        _ => day.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_dates_follow_the_language_and_the_zone() {
        assert_eq!(money(1_299, "EUR", "en-IE"), "€12.99");
        assert_eq!(money(-500, "USD", "en"), "-$5.00");
        assert_eq!(money(1_299, "EUR", "de-AT"), "12,99\u{a0}€");
        assert_eq!(money(1_000, "JPY", "fr"), "1000\u{a0}JPY");
        // 2026-01-15 23:30 UTC is the next day in Berlin.
        assert_eq!(date(1_768_519_800, "Europe/Berlin", "de"), "16. Januar 2026");
        assert_eq!(date(1_768_519_800, "UTC", "en-US"), "15 January 2026");
        assert_eq!(date(1_768_519_800, "nowhere", "fr"), "2026-01-15");
    }
}
