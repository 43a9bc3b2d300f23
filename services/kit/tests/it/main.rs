//! The machinery against real servers.
#![allow(clippy::unwrap_used, reason = "tests")]

mod brokers;
mod company;
mod consume;
mod database;
mod faults;
mod grpc;
mod outbox;
mod partitions;
mod rabbitmq;
mod redis;
mod serve;
mod small;
mod stage;
