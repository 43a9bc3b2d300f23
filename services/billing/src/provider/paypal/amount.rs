//! Amounts as PayPal writes them: decimal text.

use ottery_kernel::{Currency, Money};
use serde::{Deserialize, Serialize};

use crate::provider::{CallError, from_provider, to_provider};

/// What PayPal takes, with its digits behind the point. HUF and TWD have two in the standard and none here.
const TAKEN: [(&str, u32); 24] = [
    ("AUD", 2),
    ("BRL", 2),
    ("CAD", 2),
    ("CHF", 2),
    ("CNY", 2),
    ("CZK", 2),
    ("DKK", 2),
    ("EUR", 2),
    ("GBP", 2),
    ("HKD", 2),
    ("HUF", 0),
    ("ILS", 2),
    ("JPY", 0),
    ("MXN", 2),
    ("MYR", 2),
    ("NOK", 2),
    ("NZD", 2),
    ("PHP", 2),
    ("PLN", 2),
    ("SEK", 2),
    ("SGD", 2),
    ("THB", 2),
    ("TWD", 0),
    ("USD", 2),
];

/// An amount in PayPal's words.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Amount {
    pub currency_code: String,
    pub value: String,
}

/// Whether it is taken at all.
pub fn takes(currency: Currency) -> bool {
    TAKEN.iter().any(|(code, _)| *code == currency.code())
}

/// Digits behind the point.
pub fn exponent(currency: Currency) -> u32 {
    TAKEN.iter().find(|(code, _)| *code == currency.code()).map_or_else(|| currency.exponent(), |(_, digits)| *digits)
}

/// An amount as PayPal takes it; exact or not at all.
pub fn to_paypal(amount: Money) -> Result<Amount, CallError> {
    if !takes(amount.currency) || amount.minor < 0 {
        return Err(CallError::Amount(amount));
    }
    let digits = exponent(amount.currency);
    let minor = to_provider(amount, digits)?;
    let scale = 10_i64.pow(digits);
    let value = match usize::try_from(digits) {
        Ok(width) if width > 0 => format!("{}.{:0width$}", minor / scale, minor % scale),
        Ok(_) | Err(_) => minor.to_string(),
    };
    Ok(Amount { currency_code: amount.currency.code().to_owned(), value })
}

/// An amount as PayPal tells it. Digits that are missing are zero; ones that are too many must be.
pub fn from_paypal(amount: &Amount) -> Result<Money, CallError> {
    let unread = || {
        let word: String = amount.value.chars().take(24).collect();
        CallError::Ambiguous(format!("an amount written `{word}`"))
    };
    let currency: Currency = amount.currency_code.parse().map_err(|_| unread())?;
    let digits = exponent(currency);
    let width = usize::try_from(digits).map_err(|_| unread())?;
    let (sign, text) = amount.value.strip_prefix('-').map_or((1, amount.value.as_str()), |text| (-1, text));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) {
        return Err(unread());
    }
    let (kept, rest) = part.split_at(part.len().min(width));
    if rest.bytes().any(|byte| byte != b'0') {
        return Err(unread());
    }
    let minor: i64 = format!("{whole}{kept:0<width$}").parse().map_err(|_| unread())?;
    Ok(from_provider(sign * minor, currency, digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, code.parse().unwrap())
    }

    fn told(value: &str, code: &str) -> Result<Money, CallError> {
        from_paypal(&Amount { currency_code: code.into(), value: value.into() })
    }

    #[test]
    fn amounts_are_decimal_text_and_read_back() {
        for (minor, code, value) in [
            (1299, "EUR", "12.99"),
            (5, "EUR", "0.05"),
            (1300, "USD", "13.00"),
            (500, "JPY", "500"),
            (1_300_000, "HUF", "13000"),
            (9_900, "TWD", "99"),
        ] {
            let written = to_paypal(money(minor, code)).unwrap();
            assert_eq!((written.value.as_str(), written.currency_code.as_str()), (value, code));
            assert_eq!(from_paypal(&written), Ok(money(minor, code)));
        }
        assert_eq!(told("13", "EUR"), Ok(money(1300, "EUR")));
        assert_eq!(told("13.5", "EUR"), Ok(money(1350, "EUR")));
        assert_eq!(told("-1.05", "EUR"), Ok(money(-105, "EUR")));
        assert_eq!(told("99.00", "TWD"), Ok(money(9_900, "TWD")));
    }

    #[test]
    fn what_cannot_be_told_exactly_is_refused() {
        for (minor, code) in [(1_300_050, "HUF"), (9_950, "TWD"), (1_000, "KWD"), (1_000, "INR"), (-1, "EUR")] {
            let amount = money(minor, code);
            assert_eq!(to_paypal(amount), Err(CallError::Amount(amount)), "{minor} {code}");
        }
        for value in ["", ".", "1,00", "1e3", "1.005", "12.99 ", "+1", "99999999999999999999"] {
            assert!(told(value, "EUR").is_err(), "{value}");
        }
        assert!(told("1.00", "eu").is_err());
    }
}
