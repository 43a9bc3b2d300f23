//! Amounts of coins. They are their own type and never add to [`Money`](crate::Money): a coin enters the ledger as
//! fiat at the rate locked with the quote, and what was received is kept exactly beside it.

use std::fmt;
use std::str::FromStr;

use crate::text::{DecimalError, scaled_digits, serde_as_text};

/// A coin we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coin {
    /// Bitcoin, counted in satoshi.
    Btc,
    /// Ether, counted in wei.
    Eth,
    /// Tether on Ethereum, six decimals.
    Usdt,
    /// USD Coin on Ethereum, six decimals.
    Usdc,
}

impl Coin {
    /// Every coin.
    pub const ALL: [Self; 4] = [Self::Btc, Self::Eth, Self::Usdt, Self::Usdc];

    /// The ticker in capital letters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Btc => "BTC",
            Self::Eth => "ETH",
            Self::Usdt => "USDT",
            Self::Usdc => "USDC",
        }
    }

    /// How many decimals the smallest unit stands for.
    #[must_use]
    pub const fn decimals(self) -> u32 {
        match self {
            Self::Btc => 8,
            Self::Eth => 18,
            Self::Usdt | Self::Usdc => 6,
        }
    }
}

impl fmt::Display for Coin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for Coin {
    type Err = CoinError;

    fn from_str(text: &str) -> Result<Self, CoinError> {
        Self::ALL
            .into_iter()
            .find(|coin| coin.code() == text)
            .ok_or_else(|| CoinError::UnknownCoin(text.chars().take(16).collect()))
    }
}

serde_as_text!(Coin);

/// Why an amount of a coin could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoinError {
    /// No coin has this ticker.
    #[error("`{0}` is no coin we accept; expected BTC, ETH, USDT or USDC")]
    UnknownCoin(String),
    /// Two coins were mixed.
    #[error("cannot combine {0} with {1}")]
    Mismatch(Coin, Coin),
    /// The sum does not fit, or a difference would be negative.
    #[error("the amount is outside what {0} can hold (0 to 2^128 - 1 units)")]
    OutOfRange(Coin),
    /// The text is no decimal number.
    #[error("`{0}` is not an amount; expected digits with an optional point, such as `0.00012345`")]
    Malformed(String),
    /// More decimals than the coin has.
    #[error("{coin} has {decimals} decimals, `{text}` has more", decimals = coin.decimals())]
    TooPrecise {
        /// The coin.
        coin: Coin,
        /// What was given.
        text: String,
    },
}

/// An exact amount of one coin in its smallest units (satoshi, wei); never negative.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CoinAmount {
    units: u128,
    coin: Coin,
}

impl CoinAmount {
    /// That many smallest units.
    #[must_use]
    pub const fn new(units: u128, coin: Coin) -> Self {
        Self { units, coin }
    }

    /// Reads whole units from decimal text, as a `NUMERIC(78,0)` column or a chain's answer gives them.
    ///
    /// # Errors
    /// When the text is not digits only or is larger than 128 bits.
    pub fn from_units_text(text: &str, coin: Coin) -> Result<Self, CoinError> {
        match scaled_digits(text, 0) {
            Ok((false, units)) => Ok(Self { units, coin }),
            Ok((true, _)) | Err(DecimalError::Overflow) => Err(CoinError::OutOfRange(coin)),
            Err(DecimalError::Malformed | DecimalError::TooPrecise) => Err(malformed(text)),
        }
    }

    /// Reads an amount in whole coins, such as `0.00012345` for bitcoin.
    ///
    /// # Errors
    /// When the text is no number, is negative, too large, or finer than the coin.
    pub fn parse(text: &str, coin: Coin) -> Result<Self, CoinError> {
        match scaled_digits(text, coin.decimals()) {
            Ok((false, units)) => Ok(Self { units, coin }),
            Ok((true, _)) | Err(DecimalError::Overflow) => Err(CoinError::OutOfRange(coin)),
            Err(DecimalError::Malformed) => Err(malformed(text)),
            Err(DecimalError::TooPrecise) => Err(CoinError::TooPrecise { coin, text: text.chars().take(48).collect() }),
        }
    }

    /// The amount in smallest units.
    #[must_use]
    pub const fn units(self) -> u128 {
        self.units
    }

    /// The coin.
    #[must_use]
    pub const fn coin(self) -> Coin {
        self.coin
    }

    /// Whether nothing is there.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.units == 0
    }

    /// Adds two amounts of one coin.
    ///
    /// # Errors
    /// When the coins differ or the sum does not fit.
    pub fn checked_add(self, other: Self) -> Result<Self, CoinError> {
        self.same_coin(other)?;
        let units = self.units.checked_add(other.units).ok_or(CoinError::OutOfRange(self.coin))?;
        Ok(Self { units, ..self })
    }

    /// Takes `other` away; a negative rest is an error.
    ///
    /// # Errors
    /// When the coins differ or `other` is larger.
    pub fn checked_sub(self, other: Self) -> Result<Self, CoinError> {
        self.same_coin(other)?;
        let units = self.units.checked_sub(other.units).ok_or(CoinError::OutOfRange(self.coin))?;
        Ok(Self { units, ..self })
    }

    fn same_coin(self, other: Self) -> Result<(), CoinError> {
        if self.coin == other.coin { Ok(()) } else { Err(CoinError::Mismatch(self.coin, other.coin)) }
    }

    /// The amount in whole coins without the ticker, exact, without trailing zeros: `0.00012345`.
    #[must_use]
    pub fn to_decimal(self) -> String {
        let scale = 10_u128.pow(self.coin.decimals());
        let (whole, fraction) = (self.units / scale, self.units % scale);
        if fraction == 0 {
            return whole.to_string();
        }
        let digits = format!("{fraction:0width$}", width = self.coin.decimals() as usize);
        format!("{whole}.{}", digits.trim_end_matches('0'))
    }
}

fn malformed(text: &str) -> CoinError {
    CoinError::Malformed(text.chars().take(48).collect())
}

impl fmt::Display for CoinAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_decimal(), self.coin)
    }
}

impl fmt::Debug for CoinAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CoinAmount {
    type Err = CoinError;

    /// Reads what `Display` writes: `0.00012345 BTC`.
    fn from_str(text: &str) -> Result<Self, CoinError> {
        let (amount, coin) = text.split_once(' ').ok_or_else(|| malformed(text))?;
        Self::parse(amount, coin.parse()?)
    }
}

serde_as_text!(CoinAmount);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coins_display_exactly_and_read_back() {
        for (units, coin, text) in [
            (12_345, Coin::Btc, "0.00012345 BTC"),
            (2_100_000_000_000_000, Coin::Btc, "21000000 BTC"),
            (1, Coin::Eth, "0.000000000000000001 ETH"),
            (1_500_000_000_000_000_000, Coin::Eth, "1.5 ETH"),
            (10_000_001, Coin::Usdt, "10.000001 USDT"),
            (0, Coin::Usdc, "0 USDC"),
            (u128::MAX, Coin::Btc, "3402823669209384634633746074317.68211455 BTC"),
        ] {
            let amount = CoinAmount::new(units, coin);
            assert_eq!(amount.to_string(), text);
            assert_eq!(text.parse(), Ok(amount));
            assert_eq!(CoinAmount::from_units_text(&units.to_string(), coin), Ok(amount));
        }
    }

    #[test]
    fn coins_never_mix_and_never_go_below_zero() {
        let bitcoin = CoinAmount::new(5, Coin::Btc);
        let ether = CoinAmount::new(5, Coin::Eth);
        assert_eq!(bitcoin.checked_add(ether), Err(CoinError::Mismatch(Coin::Btc, Coin::Eth)));
        assert_eq!(bitcoin.checked_sub(CoinAmount::new(6, Coin::Btc)), Err(CoinError::OutOfRange(Coin::Btc)));
        assert_eq!(CoinAmount::new(u128::MAX, Coin::Btc).checked_add(bitcoin), Err(CoinError::OutOfRange(Coin::Btc)));
    }

    #[test]
    fn reading_a_coin_never_rounds() {
        assert!(matches!(CoinAmount::parse("0.0000001", Coin::Usdt), Err(CoinError::TooPrecise { .. })));
        assert_eq!(CoinAmount::parse("1.5000000", Coin::Usdt), Ok(CoinAmount::new(1_500_000, Coin::Usdt)));
        for text in ["", ".", "1.", ".5", "-1", "1e3", "1,5", " 1", "٣"] {
            assert!(CoinAmount::parse(text, Coin::Btc).is_err(), "{text:?} was accepted");
        }
    }
}
