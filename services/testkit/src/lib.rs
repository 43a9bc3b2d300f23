#![doc = include_str!("../README.md")]

pub mod database;
pub mod proxy;
pub mod services;

pub use database::{TestDatabase, database};
pub use services::{amqp, postgres_admin_url, redis};
