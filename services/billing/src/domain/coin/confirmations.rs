//! After how many blocks a transfer is money.

use super::{Coin, CoinAmount};

/// Steps by amount, the smallest first. In coins, not in money: what a block is worth to whoever would undo it is paid in coins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmations {
    steps: [(u128, u32); 2],
    beyond: u32,
}

/// How deep a transfer is still looked at after it counted: a longer fork than this has not been seen on Bitcoin since 2013.
const WATCHED_DEPTH: u32 = 12;

impl Confirmations {
    /// Of Bitcoin: one below 0.0005, two below 0.005, six from there on. At 90 000 euros that is 45 and 450 euros.
    #[must_use]
    pub const fn usual(coin: Coin) -> Self {
        match coin {
            Coin::Bitcoin => Self { steps: [(50_000, 1), (500_000, 2)], beyond: 6 },
        }
    }

    /// How many blocks, the one that holds the transfer included, make this amount money; never none.
    #[must_use]
    pub fn needed(self, amount: CoinAmount) -> u32 {
        let step = self.steps.into_iter().find(|(below, _)| amount.units < *below);
        step.map_or(self.beyond, |(_, needed)| needed).max(1)
    }

    /// How deep a transfer is before nobody looks at it any more.
    #[must_use]
    pub const fn watched_depth() -> u32 {
        WATCHED_DEPTH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_amounts_wait_longer_and_none_counts_unmined() {
        let policy = Confirmations::usual(Coin::Bitcoin);
        let needed = |units| policy.needed(CoinAmount::new(units, Coin::Bitcoin));
        assert_eq!([0, 49_999, 50_000, 499_999, 500_000, u128::MAX].map(needed), [1, 1, 2, 2, 6, 6]);
    }
}
