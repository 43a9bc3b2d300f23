//! Amounts of a coin, in its smallest units.

use std::fmt;

/// A coin that can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coin {
    /// Bitcoin, counted in satoshi.
    Bitcoin,
    /// Ethereum's own coin, counted in wei.
    Ether,
}

impl Coin {
    const ALL: [Self; 2] = [Self::Bitcoin, Self::Ether];

    /// Digits behind the point.
    #[must_use]
    pub const fn decimals(self) -> u32 {
        match self {
            Self::Bitcoin => 8,
            Self::Ether => 18,
        }
    }

    /// As exchanges and wallets write it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Bitcoin => "BTC",
            Self::Ether => "ETH",
        }
    }

    /// The least that is worth asking for, in its smallest units: below it the network does not carry the payment (Bitcoin Core's
    /// dust limit is 546 satoshi for the oldest kind of output), or its fee is more than the payment. Whoever collects ether pays 21000
    /// gas for each address: at 5 gwei that is 0.0001.
    #[must_use]
    pub const fn units_min(self) -> u128 {
        match self {
            Self::Bitcoin => 1_000,
            Self::Ether => 100_000_000_000_000,
        }
    }

    /// The coin with that code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|coin| coin.code() == code)
    }
}

/// An amount of a coin. 38 digits: more than every wei there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CoinAmount {
    /// Smallest units.
    pub units: u128,
    /// Of which coin.
    pub coin: Coin,
}

/// Amounts that do not add up to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoinAmountError {
    /// The sum does not fit.
    #[error("an amount of {} is too large", .0.code())]
    Overflow(Coin),
}

impl CoinAmount {
    /// That many smallest units.
    #[must_use]
    pub const fn new(units: u128, coin: Coin) -> Self {
        Self { units, coin }
    }

    /// The sum of amounts of one coin.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn sum(coin: Coin, units: impl IntoIterator<Item = u128>) -> Result<Self, CoinAmountError> {
        let sum = units.into_iter().try_fold(0_u128, u128::checked_add).ok_or(CoinAmountError::Overflow(coin))?;
        Ok(Self::new(sum, coin))
    }

    /// In whole coins, without noughts at the end: `0.00012345`.
    #[must_use]
    pub fn to_decimal(self) -> String {
        let decimals = self.coin.decimals() as usize;
        let digits = format!("{:0>width$}", self.units, width = decimals + 1);
        let (whole, rest) = digits.split_at(digits.len() - decimals);
        let rest = rest.trim_end_matches('0');
        if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }
    }
}

impl fmt::Display for CoinAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_decimal(), self.coin.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_whole_coins() {
        let written = |units| CoinAmount::new(units, Coin::Bitcoin).to_string();
        assert_eq!(written(0), "0 BTC");
        assert_eq!(written(1), "0.00000001 BTC");
        assert_eq!(written(12_345), "0.00012345 BTC");
        assert_eq!(written(100_000_000), "1 BTC");
        assert_eq!(written(2_100_000_000_000_000), "21000000 BTC");
        assert_eq!(written(123_450_000), "1.2345 BTC");
    }

    #[test]
    fn wei_are_written_to_the_last_of_eighteen_digits() {
        let written = |units| CoinAmount::new(units, Coin::Ether).to_string();
        assert_eq!(written(1), "0.000000000000000001 ETH");
        assert_eq!(written(1_000_000_000_000_000_000), "1 ETH");
        assert_eq!(
            written(120_520_000_123_456_789_012_345_678),
            "120520000.123456789012345678 ETH",
            "all there is fits"
        );
    }

    #[test]
    fn sums_that_do_not_fit_are_an_error() {
        assert_eq!(CoinAmount::sum(Coin::Bitcoin, [1, 2, 3]), Ok(CoinAmount::new(6, Coin::Bitcoin)));
        assert_eq!(CoinAmount::sum(Coin::Bitcoin, [u128::MAX, 1]), Err(CoinAmountError::Overflow(Coin::Bitcoin)));
        assert_eq!(Coin::from_code("BTC"), Some(Coin::Bitcoin));
        assert_eq!(Coin::from_code("btc"), None);
    }
}
