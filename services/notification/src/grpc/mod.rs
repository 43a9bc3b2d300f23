//! The gRPC face: parse, call a use case, convert.

pub mod convert;
mod service;

pub use service::Api;
