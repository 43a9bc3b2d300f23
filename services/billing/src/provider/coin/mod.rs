//! Payments that are sent to an address of ours: no provider in between, a chain to look at, and sources of prices.
//!
//! What is the same for every coin is here; a coin's own adapter says how addresses are made and how they are looked at.

mod chain;
mod esplora;
mod json_rpc;
mod prices;
mod source_address;

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ottery_kernel::Currency;
use ottery_kit::secret::Secret;

use super::Access;
use crate::domain::coin::{Address, Coin, CoinAmount, NoAddress, Quote};

pub use chain::{ChainError, ChainSource, Sight, Tip};
pub use esplora::Esplora;
pub use json_rpc::JsonRpc;
pub use prices::{PriceSource, PriceSources};
pub use source_address::is_safe_source;

/// A provider whose customers send coins to addresses that are made here. It cannot spend: it holds no private key.
#[async_trait]
pub trait CoinProvider: Send + Sync + fmt::Debug {
    /// Which coin.
    fn coin(&self) -> Coin;

    /// The addresses that a key makes first, for comparing with one's own wallet; in the network of the key's kind of money, unless
    /// the chain's own is known.
    ///
    /// # Errors
    /// When it is no key to watch.
    fn first_addresses(&self, key: &Secret, network: &str, count: u32) -> Result<Vec<Address>, NoAddress>;

    /// The address with that number. `network` is what [`network`](Self::network) said.
    ///
    /// # Errors
    /// When it is no key to watch, or is of another network.
    fn place(&self, key: &Secret, network: &str, index: u32) -> Result<Address, NoAddress>;

    /// Which network the chain at that account's address is: a name that addresses depend on.
    ///
    /// # Errors
    /// When the chain does not tell.
    async fn network(&self, access: &Access) -> Result<String, ChainError>;

    /// Who is asked about the chain.
    fn chain(&self, access: &Access) -> Box<dyn ChainSource>;

    /// What sources of prices say at `now`, which is real time.
    async fn quotes(&self, currency: Currency, now: DateTime<Utc>) -> Vec<Quote>;

    /// A link that a wallet opens. `network` is what [`network`](Self::network) said when the address was made.
    fn link(&self, network: &str, address: &str, amount: CoinAmount, label: &str) -> String;
}
