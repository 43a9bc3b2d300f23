//! PayPal's amounts: decimal text, and some currencies without decimals that have them elsewhere.

use ottery_kernel::{Currency, Money};
use serde::{Deserialize, Serialize};

use crate::provider::{CallError, from_provider, to_provider};

/// What PayPal takes. BRL, CNY and MYR it takes within their countries only: the account's owner says so by naming currencies.
const TAKEN: [&str; 24] = [
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MXN", "MYR", "NOK",
    "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "TWD", "USD",
];
/// Told in whole units. HUF and TWD have two digits in the standard.
const NO_DIGITS: [&str; 3] = ["HUF", "JPY", "TWD"];

/// An amount as PayPal writes it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Amount {
    pub currency_code: String,
    pub value: String,
}

/// Whether it takes that currency at all. None of three decimals is among them, such as the dinars.
pub fn takes(currency: Currency) -> bool {
    TAKEN.contains(&currency.code())
}

/// Digits behind the point.
pub fn exponent(currency: Currency) -> u32 {
    if NO_DIGITS.contains(&currency.code()) { 0 } else { 2 }
}

/// Whether no part of an amount is lost at PayPal.
pub fn expresses(amount: Money) -> bool {
    to_provider(amount, exponent(amount.currency)).is_ok()
}

/// An amount as PayPal takes it; exact or not at all.
pub fn to_paypal(amount: Money) -> Result<Amount, CallError> {
    if !takes(amount.currency) || amount.minor <= 0 {
        return Err(CallError::Amount(amount));
    }
    let digits = exponent(amount.currency);
    let minor = to_provider(amount, digits)?;
    let unit = 10_i64.pow(digits);
    let value = match digits {
        0 => minor.to_string(),
        _ => format!("{}.{:02}", minor / unit, minor % unit),
    };
    Ok(Amount { currency_code: amount.currency.code().to_owned(), value })
}

/// An amount as PayPal tells it.
pub fn from_paypal(amount: &Amount) -> Result<Money, CallError> {
    let strange = || {
        let told = format!("{} {}", amount.value, amount.currency_code);
        CallError::Ambiguous(format!("an amount of `{}`", told.chars().take(40).collect::<String>()))
    };
    let currency: Currency = amount.currency_code.parse().map_err(|_| strange())?;
    let digits = exponent(currency);
    let minor = minor(&amount.value, usize::try_from(digits).unwrap_or(0)).ok_or_else(strange)?;
    Ok(from_provider(minor, currency, digits))
}

/// Decimal text in units of its last digit; none when it has more digits than that and they are not zero.
fn minor(text: &str, digits: usize) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) {
        return None;
    }
    let (kept, cut) = part.split_at(part.len().min(digits));
    if cut.bytes().any(|byte| byte != b'0') {
        return None;
    }
    format!("{whole}{kept:0<digits$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, code.parse().unwrap())
    }

    fn amount(value: &str, code: &str) -> Amount {
        Amount { currency_code: code.into(), value: value.into() }
    }

    #[test]
    fn amounts_are_decimal_text_and_some_currencies_have_no_decimals() {
        for (minor, code, value) in [
            (1299, "EUR", "12.99"),
            (5, "USD", "0.05"),
            (100_000, "GBP", "1000.00"),
            (500, "JPY", "500"),
            // Two digits in the standard, none at PayPal.
            (129_900, "HUF", "1299"),
            (9_900, "TWD", "99"),
        ] {
            assert_eq!(to_paypal(money(minor, code)), Ok(amount(value, code)));
            assert!(expresses(money(minor, code)));
            assert_eq!(from_paypal(&amount(value, code)), Ok(money(minor, code)));
        }
        assert_eq!(from_paypal(&amount("500.00", "JPY")), Ok(money(500, "JPY")));
        assert_eq!(from_paypal(&amount("12.9", "EUR")), Ok(money(1290, "EUR")));
    }

    #[test]
    fn what_cannot_be_told_exactly_is_refused() {
        for refused in [money(129_950, "HUF"), money(1, "TWD"), money(1_299, "KWD"), money(0, "EUR"), money(-1, "EUR")]
        {
            assert_eq!(to_paypal(refused), Err(CallError::Amount(refused)));
        }
        assert!(!expresses(money(129_950, "HUF")) && !expresses(money(1, "TWD")) && expresses(money(0, "HUF")));
        for value in ["12.999", "", ".5", "-1.00", "1e3", "1,00", "99999999999999999999.00"] {
            assert!(matches!(from_paypal(&amount(value, "EUR")), Err(CallError::Ambiguous(_))), "{value}");
        }
        assert!(from_paypal(&amount("1.50", "HUF")).is_err());
        assert!(from_paypal(&amount("1.299", "KWD")).is_err());
    }
}
