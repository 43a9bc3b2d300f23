//! Machinery of the services that knows nothing of the business.

pub mod local;
pub mod grpc;
pub mod telemetry;
pub mod audit;
pub mod broker;
pub mod clock;
pub mod consume;
pub mod crash;
pub mod db;
pub mod doctor;
pub mod idempotency;
pub mod lease;
pub mod outbox;
pub mod cache;
pub mod config;
pub mod http;
pub mod keyring;
pub mod limit;
pub mod secret;
pub mod health;
pub mod host;
pub mod serve;

pub use host::{Host, HostParts, Listen};
pub use serve::{RunSettings, Running, Service, WorkerContext, run, start};
pub mod upkeep;
