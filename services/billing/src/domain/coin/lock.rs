//! A price that holds for a while.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::Money;

use super::{Coin, CoinAmount, Price, PriceError};

/// How long a price holds.
pub const LIFETIME: TimeDelta = TimeDelta::minutes(15);
/// How long after that a transfer is taken as sent in time: wallets and networks need a moment.
pub const GRACE: TimeDelta = TimeDelta::minutes(2);

/// A price, how much of the coin it asks for, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What a coin costs.
    pub price: Price,
    /// What is asked for.
    pub due: CoinAmount,
    /// Since when it holds.
    pub from: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
}

/// Why an amount cannot be asked for in a coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockRefused {
    /// The network would not carry so little.
    #[error("so little cannot be sent in this coin")]
    TooSmall,
    /// It does not fit.
    #[error(transparent)]
    Price(#[from] PriceError),
}

impl Lock {
    /// Locks a price for what is owed.
    ///
    /// # Errors
    /// When it is too little, or does not fit.
    pub fn new(price: Price, owed: Money, coin: Coin, now: DateTime<Utc>) -> Result<Self, LockRefused> {
        let due = price.coins_for(owed, coin)?;
        if due.units < coin.units_min() {
            return Err(LockRefused::TooSmall);
        }
        Ok(Self { price, due, from: now, until: now + LIFETIME })
    }

    /// Whether a transfer that was seen then is paid at this price.
    #[must_use]
    pub fn covers(&self, seen: DateTime<Utc>) -> bool {
        self.from <= seen && seen <= self.until + GRACE
    }
}

#[cfg(test)]
mod tests {
    use ottery_kernel::Currency;

    use super::*;

    #[test]
    fn a_price_holds_a_quarter_of_an_hour_and_a_moment() {
        let noon = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let lock = Lock::new("50000".parse().unwrap(), Money::new(1_000, Currency::EUR), Coin::Bitcoin, noon).unwrap();
        assert_eq!(lock.due, CoinAmount::new(20_000, Coin::Bitcoin));
        for (seconds, is_covered) in [(-1, false), (0, true), (900, true), (1_020, true), (1_021, false)] {
            assert_eq!(lock.covers(noon + TimeDelta::seconds(seconds)), is_covered, "{seconds}");
        }
        let cents = Money::new(1, Currency::EUR);
        assert_eq!(Lock::new("50000".parse().unwrap(), cents, Coin::Bitcoin, noon), Err(LockRefused::TooSmall));
    }
}
