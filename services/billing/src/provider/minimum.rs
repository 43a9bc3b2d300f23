//! The least a card payment can be, as the large providers publish it. What is not here has no published least.

use ottery_kernel::Currency;

/// In minor units.
const LEAST: [(&str, i64); 23] = [
    ("AED", 200),
    ("AUD", 50),
    ("BRL", 50),
    ("CAD", 50),
    ("CHF", 50),
    ("CZK", 1_500),
    ("DKK", 250),
    ("EUR", 50),
    ("GBP", 30),
    ("HKD", 400),
    ("HUF", 17_500),
    ("INR", 50),
    ("JPY", 50),
    ("MXN", 1_000),
    ("MYR", 200),
    ("NOK", 300),
    ("NZD", 50),
    ("PLN", 200),
    ("RON", 200),
    ("SEK", 300),
    ("SGD", 50),
    ("THB", 1_000),
    ("USD", 50),
];

/// The least in a currency; zero where none is published.
pub fn of(currency: Currency) -> i64 {
    LEAST.iter().find(|(code, _)| *code == currency.code()).map_or(0, |(_, minor)| *minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_030_the_table_is_in_order_and_of_currencies_there_are() {
        assert!(LEAST.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (code, minor) in LEAST {
            let currency: Currency = code.parse().unwrap();
            assert_eq!(of(currency), minor);
        }
        assert_eq!((of(Currency::EUR), of(Currency::KWD)), (50, 0));
    }
}
