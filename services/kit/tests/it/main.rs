//! The machinery against real servers.
#![allow(clippy::unwrap_used, reason = "tests")]

mod redis;
mod grpc;
mod stage;
mod database;
mod outbox;
mod brokers;
mod consume;
mod small;
mod faults;
mod serve;
mod rabbitmq;
