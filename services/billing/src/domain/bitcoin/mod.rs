//! What is of Bitcoin alone: keys that only watch, the addresses made of them, and links to pay there.

pub mod key;
pub mod link;

pub use key::{KeyRefused, WatchKey};
