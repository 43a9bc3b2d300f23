//! The gRPC face: parse, call a use case, convert.

pub mod convert;
mod parse;
mod service;
mod tax;

pub use service::Api;
