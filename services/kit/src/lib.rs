//! Machinery of the services that knows nothing of the business.

pub mod audit;
pub mod broker;
pub mod cache;
pub mod clock;
pub mod config;
pub mod consume;
pub mod crash;
pub mod db;
pub mod doctor;
pub mod grpc;
pub mod health;
pub mod host;
pub mod http;
pub mod idempotency;
pub mod keyring;
pub mod lease;
pub mod limit;
pub mod local;
pub mod outbox;
pub mod secret;
pub mod serve;
pub mod telemetry;
pub mod upkeep;

pub use host::{Host, HostParts, Listen};
pub use serve::{RunSettings, Running, Service, WorkerContext, run, start};
