//! Coins that customers send to an address of ours: what is the same of every one of them.
//!
//! A **deposit** is one address that waits for one invoice. Its price is **locked** for a while; what arrives is a **transfer**; how many
//! confirmations make it money is a policy; and from these alone follows what the customer is told and what is booked.

mod address;
mod amount;
mod confirmations;
mod deposit;
mod lock;
mod price;
mod schedule;

pub use address::{Address, NoAddress};
pub use amount::{Coin, CoinAmount, CoinAmountError};
pub use confirmations::Confirmations;
pub use deposit::{Change, Deposit, Observed, Place, Settle, Standing, Transfer, Verdict, observe};
pub use lock::{GRACE, LIFETIME, Lock, LockRefused};
pub use price::{Price, PriceError, Quote, agreed};
pub use schedule::next_look;
