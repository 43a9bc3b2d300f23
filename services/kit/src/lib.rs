//! Machinery of the services that knows nothing of the business.

pub mod local;
pub mod grpc;
pub mod telemetry;
