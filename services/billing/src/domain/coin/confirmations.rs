//! After how many blocks a transfer is money.

use super::{Coin, CoinAmount};

/// Steps by amount, the smallest first. In coins, not in money: what a block is worth to whoever would undo it is paid in coins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmations {
    steps: [(u128, u32); 2],
    beyond: u32,
}

impl Confirmations {
    /// Of Bitcoin: one below 0.0005, two below 0.005, six from there on. At 90 000 euros that is 45 and 450 euros.
    ///
    /// Of Ethereum: twelve below 0.05 (two and a half minutes), 32 below 0.5, 65 from there on: two epochs of 32 slots after a block it is
    /// final, and undoing it costs a third of all stakes.
    #[must_use]
    pub const fn usual(coin: Coin) -> Self {
        match coin {
            Coin::Bitcoin => Self { steps: [(50_000, 1), (500_000, 2)], beyond: 6 },
            Coin::Ether => Self { steps: [(50_000_000_000_000_000, 12), (500_000_000_000_000_000, 32)], beyond: 65 },
        }
    }

    /// How many blocks, the one that holds the transfer included, make this amount money; never none.
    #[must_use]
    pub fn needed(self, amount: CoinAmount) -> u32 {
        let step = self.steps.into_iter().find(|(below, _)| amount.units < *below);
        step.map_or(self.beyond, |(_, needed)| needed).max(1)
    }

    /// How deep a transfer is before nobody looks at it any more: a longer fork than twelve blocks has not been seen on Bitcoin since
    /// 2013, and on Ethereum a block of three epochs ago is final.
    #[must_use]
    pub const fn watched_depth(coin: Coin) -> u32 {
        match coin {
            Coin::Bitcoin => 12,
            Coin::Ether => 96,
        }
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
        let policy = Confirmations::usual(Coin::Ether);
        let needed = |milli: u128| policy.needed(CoinAmount::new(milli * 1_000_000_000_000_000, Coin::Ether));
        assert_eq!([0, 49, 50, 499, 500, 9_000_000].map(needed), [12, 12, 32, 32, 65, 65]);
        for coin in [Coin::Bitcoin, Coin::Ether] {
            assert!(
                Confirmations::watched_depth(coin) > Confirmations::usual(coin).beyond,
                "what counts is still looked at"
            );
        }
    }
}
