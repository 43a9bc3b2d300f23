//! Who is asked about a chain.

use std::fmt;

use async_trait::async_trait;

use crate::domain::coin::{Observed, Transfer};
use crate::domain::ethereum::balance::BalanceError;

/// A witness of a chain: a node's index, of one's own where privacy matters, because it learns every address that is asked for.
#[async_trait]
pub trait ChainSource: Send + Sync + fmt::Debug {
    /// The newest block.
    ///
    /// # Errors
    /// When nothing of use was answered.
    async fn tip(&self) -> Result<Tip, ChainError>;

    /// The hash of the block at a height; none when there is none.
    ///
    /// # Errors
    /// When nothing of use was answered.
    async fn block_at(&self, height: u64) -> Result<Option<String>, ChainError>;

    /// Everything that was ever sent to an address and is known now, in blocks or waiting for one. `known` is what is remembered of it, and
    /// `tip` the newest block, for chains that tell no more than what an address holds.
    ///
    /// # Errors
    /// When nothing of use was answered: half an answer is none.
    async fn transfers_to(&self, address: &str, known: &[Transfer], tip: &Tip) -> Result<Vec<Observed>, ChainError>;

    /// Hands a signed transaction to the network.
    ///
    /// # Errors
    /// When it was not taken, or nobody knows.
    async fn broadcast(&self, transaction: &str) -> Result<String, ChainError>;

    /// An address as of one instant: the tip is read on both sides, so that a block in between is not half seen.
    ///
    /// # Errors
    /// When nothing of use was answered, or blocks come faster than they are read.
    async fn look(&self, address: &str, known: &[Transfer]) -> Result<Sight, ChainError> {
        let mut before = self.tip().await?;
        for _ in 0..LOOKS_MAX {
            let transfers = self.transfers_to(address, known, &before).await?;
            let after = self.tip().await?;
            if before == after {
                return Ok(Sight { tip: after, transfers });
            }
            before = after;
        }
        Err(ChainError::Moving)
    }
}

/// Tries to read an address between two blocks.
const LOOKS_MAX: u32 = 3;

/// The newest block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: String,
}

/// An address as of one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The newest block then.
    pub tip: Tip,
    /// What had been sent there.
    pub transfers: Vec<Observed>,
}

/// Why a chain told nothing. It never repeats an address: whoever reads a log would learn who pays what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Nobody answered.
    #[error("the chain source was not reached: {0}")]
    Away(String),
    /// It answered with an error.
    #[error("the chain source answers with status {0}")]
    Status(u16),
    /// What it answered is not as documented.
    #[error("the chain source's answer is not as documented: {0}")]
    Unreadable(&'static str),
    /// What it tells does not go together with what it told before.
    #[error("the chain source contradicts itself: {0}")]
    Contradiction(#[from] BalanceError),
    /// New blocks came while an address was read.
    #[error("new blocks came while the address was read")]
    Moving,
    /// The account's chain is none this build knows, or of the other kind of money.
    #[error("the chain source shows a network that this account's key is not for")]
    Network,
    /// The network refused a transaction.
    #[error("the network does not take the transaction")]
    Refused,
}
