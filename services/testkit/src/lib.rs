#![doc = include_str!("../README.md")]

pub mod actor;
pub mod anvil;
pub mod database;
pub mod host;
pub mod proxy;
pub mod recorder;
pub mod services;

pub use database::{TestDatabase, database};
pub use host::{TestHost, host, host_with};
pub use recorder::{Recorder, outbox, payload, publish};
pub use services::{amqp, postgres_admin_url, redis};
