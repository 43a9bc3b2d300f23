//! Payments by coins: addresses of a wallet, a price that holds for a while, and a chain that changes its mind.
//!
//! The chain is our own front, which speaks Esplora's words, and where blocks are undone also two real nodes (bcoin, in regtest); the
//! addresses are Electrum's. Ethereum's chain is always a real node (anvil).

mod accounts;
mod addresses;
mod chains;
mod ether;
mod front;
mod nodes;
mod payments;
mod till;
