//! What is of Ethereum alone: keys that only watch, the addresses made of them, what a balance tells, and links to pay there.

mod address;
pub mod balance;
mod key;
pub mod link;

pub use address::{AddressError, EthAddress};
pub use key::{KeyRefused, WatchKey};
