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
