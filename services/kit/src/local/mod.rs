//! Servers of our own as child processes: PostgreSQL for `ottery up`, and RabbitMQ and Redis beside it for tests and
//! `make cluster`.
//!
//! Every one of them hangs on a [`Leash`]: it ends with the process that started it, even when that process is killed
//! with no chance to clean up. They listen on loopback only and keep everything they write below one folder.

mod account;
mod error;
mod folder;
mod leash;
pub mod postgres;
pub mod rabbitmq;
mod ready;
pub mod redis;

pub use error::LocalError;
pub use leash::{Leash, LeashedCommand, Signal};
pub use ready::free_port;
