//! What a coin costs, as several sources say.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{Currency, Money};

use super::{Coin, CoinAmount};

/// Digits behind the point that are kept of a price.
const DIGITS: u32 = 8;
const SCALE: u128 = 10_u128.pow(DIGITS);
/// Largest price: a thousand million of a currency's units for one coin.
const UNITS_MAX: u128 = 1_000_000_000_000;
/// Sources there have to be.
const SOURCES_MIN: usize = 2;
/// How old a source's word may be.
const AGE_MAX: TimeDelta = TimeDelta::seconds(60);
/// How far sources may be apart, in hundredths of a percent of the lower one.
const SPREAD_MAX_BP: u128 = 200;

/// Units of a currency (not minor ones) for one whole coin, exact to eight digits behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(u128);

/// Why there is no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// No decimal number above zero.
    #[error("that is no price")]
    Unreadable,
    /// Too few sources answered.
    #[error("{0} of at least {SOURCES_MIN} sources told a price of the last minute")]
    TooFew(usize),
    /// Sources contradict each other.
    #[error("the sources of prices are more than two percent apart")]
    Apart,
    /// The amount cannot be written.
    #[error("an amount at this price does not fit")]
    Overflow,
}

/// What one source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Which.
    pub source: String,
    /// What a coin costs.
    pub price: Price,
    /// When that was so.
    pub at: DateTime<Utc>,
}

impl FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(rest) || whole.len() > 13 || rest.len() > 30 {
            return Err(PriceError::Unreadable);
        }
        let digits: String = rest.chars().chain(std::iter::repeat('0')).take(DIGITS as usize).collect();
        let whole: u128 = whole.parse().map_err(|_| PriceError::Unreadable)?;
        let rest: u128 = digits.parse().map_err(|_| PriceError::Unreadable)?;
        let price = whole * SCALE + rest;
        if price == 0 || whole > UNITS_MAX { Err(PriceError::Unreadable) } else { Ok(Self(price)) }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = format!("{:08}", self.0 % SCALE);
        let rest = rest.trim_end_matches('0');
        if rest.is_empty() { write!(f, "{}", self.0 / SCALE) } else { write!(f, "{}.{rest}", self.0 / SCALE) }
    }
}

impl Price {
    /// How much of the coin an amount of money is, rounded up to the coin's smallest unit.
    ///
    /// # Errors
    /// When the amount is negative or the result does not fit.
    pub fn coins_for(self, amount: Money, coin: Coin) -> Result<CoinAmount, PriceError> {
        let minor = u128::try_from(amount.minor).map_err(|_| PriceError::Overflow)?;
        let scale = 10_u128.pow(coin.decimals()).checked_mul(SCALE).ok_or(PriceError::Overflow)?;
        let above = minor.checked_mul(scale).ok_or(PriceError::Overflow)?;
        let below = self.0.checked_mul(10_u128.pow(amount.currency.exponent())).ok_or(PriceError::Overflow)?;
        Ok(CoinAmount::new(above.div_ceil(below), coin))
    }

    /// What an amount of the coin is worth; a fraction of the currency's minor unit is cut.
    ///
    /// # Errors
    /// When the result does not fit.
    pub fn worth(self, amount: CoinAmount, currency: Currency) -> Result<Money, PriceError> {
        let above = amount.units.checked_mul(self.0).ok_or(PriceError::Overflow)?;
        let above = above.checked_mul(10_u128.pow(currency.exponent())).ok_or(PriceError::Overflow)?;
        let scale = 10_u128.pow(amount.coin.decimals()).checked_mul(SCALE).ok_or(PriceError::Overflow)?;
        let minor = i64::try_from(above / scale).map_err(|_| PriceError::Overflow)?;
        Ok(Money::new(minor, currency))
    }
}

/// The price sources agree on: the median of those that spoke in the last minute (of an even number the mean of the middle two).
///
/// # Errors
/// When fewer than two spoke, or they are more than two percent apart.
pub fn agreed(quotes: &[Quote], now: DateTime<Utc>) -> Result<Price, PriceError> {
    let is_fresh = |quote: &&Quote| (now - quote.at).abs() <= AGE_MAX;
    let mut prices: Vec<u128> = quotes.iter().filter(is_fresh).map(|quote| quote.price.0).collect();
    prices.sort_unstable();
    if prices.len() < SOURCES_MIN {
        return Err(PriceError::TooFew(prices.len()));
    }
    let (lowest, highest) = (prices[0], prices[prices.len() - 1]);
    if (highest - lowest) * 10_000 > lowest * SPREAD_MAX_BP {
        return Err(PriceError::Apart);
    }
    let middle = prices.len() / 2;
    Ok(Price(if prices.len() % 2 == 1 { prices[middle] } else { (prices[middle - 1] + prices[middle]) / 2 }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn said(texts: &[&str]) -> Vec<Quote> {
        let quote = |text: &&str| Quote { source: "x".to_owned(), price: price(text), at: noon() };
        texts.iter().map(quote).collect()
    }

    #[test]
    fn prices_are_decimal_numbers_above_zero() {
        for (text, shown) in
            [("87123.45", "87123.45"), ("1", "1"), ("0.00000001", "0.00000001"), ("9.100000000", "9.1")]
        {
            assert_eq!(price(text).to_string(), shown);
        }
        for text in ["", "0", "0.0", "-1", "1.", ".5", "1e5", "NaN", "1,5", "99999999999999", "0.000000001"] {
            assert_eq!(text.parse::<Price>(), Err(PriceError::Unreadable), "{text}");
        }
    }

    #[test]
    fn the_amount_is_rounded_up_so_that_nobody_pays_short_by_rounding() {
        let eur = Money::new(1190, Currency::EUR);
        assert_eq!(price("87123.45").coins_for(eur, Coin::Bitcoin), Ok(CoinAmount::new(13_659, Coin::Bitcoin)));
        assert_eq!(price("100000").coins_for(Money::new(1, Currency::EUR), Coin::Bitcoin).unwrap().units, 10);
        assert_eq!(price("15000000").coins_for(Money::new(500, Currency::JPY), Coin::Bitcoin).unwrap().units, 3_334);
        assert_eq!(price("27000").coins_for(Money::new(1_000, Currency::KWD), Coin::Bitcoin).unwrap().units, 3_704);
        assert_eq!(price("1").coins_for(Money::new(-1, Currency::EUR), Coin::Bitcoin), Err(PriceError::Overflow));
        assert_eq!(
            price("0.00000001").worth(CoinAmount::new(u128::MAX, Coin::Bitcoin), Currency::EUR),
            Err(PriceError::Overflow)
        );
    }

    #[test]
    fn sources_agree_on_their_median() {
        assert_eq!(agreed(&said(&["100", "101", "100.5"]), noon()), Ok(price("100.5")));
        assert_eq!(agreed(&said(&["100", "101"]), noon()), Ok(price("100.5")));
        assert_eq!(agreed(&said(&["100", "102"]), noon()), Ok(price("101")), "two percent apart is near enough");
        assert_eq!(agreed(&said(&["100", "102.01"]), noon()), Err(PriceError::Apart));
        assert_eq!(agreed(&said(&["100"]), noon()), Err(PriceError::TooFew(1)));
        assert_eq!(agreed(&[], noon()), Err(PriceError::TooFew(0)));
    }

    #[test]
    fn a_word_older_than_a_minute_is_none() {
        let mut quotes = said(&["100", "101", "100"]);
        quotes[0].at = noon() - TimeDelta::seconds(61);
        assert_eq!(agreed(&quotes, noon()), Ok(price("100.5")));
        quotes[1].at = noon() + TimeDelta::seconds(61);
        assert_eq!(agreed(&quotes, noon()), Err(PriceError::TooFew(1)));
    }

    #[test]
    fn ether_is_priced_to_the_wei_and_what_does_not_fit_is_said() {
        let price = price("3000.5");
        let owed = Money::new(1_000, Currency::EUR);
        let coins = price.coins_for(owed, Coin::Ether).unwrap();
        assert_eq!(coins.to_string(), "0.003332777870354941 ETH");
        assert_eq!(price.worth(coins, Currency::EUR), Ok(owed));
        assert_eq!(price.worth(CoinAmount::new(coins.units - 1, Coin::Ether), Currency::EUR).unwrap().minor, 999);
        assert_eq!(price.worth(CoinAmount::new(u128::MAX, Coin::Ether), Currency::EUR), Err(PriceError::Overflow));
        assert_eq!(price.coins_for(Money::new(i64::MAX, Currency::EUR), Coin::Ether), Err(PriceError::Overflow));
    }

    proptest! {
        #[test]
        fn what_is_asked_for_is_worth_what_is_owed(minor in 1_i64..1_000_000_000, whole in 1_000_u64..10_000_000, rest in 0_u32..100_000_000) {
            let price = price(&format!("{whole}.{rest:08}"));
            let owed = Money::new(minor, Currency::EUR);
            let coins = price.coins_for(owed, Coin::Bitcoin).unwrap();
            prop_assert!(price.worth(coins, Currency::EUR).unwrap().minor >= minor);
            let less = CoinAmount::new(coins.units - 1, Coin::Bitcoin);
            prop_assert!(price.worth(less, Currency::EUR).unwrap().minor < minor, "no unit more than needed");
        }
    }
}
