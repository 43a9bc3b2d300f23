//! The gRPC face: parse, call a use case, convert.

mod convert;
mod parse;
mod service;

pub use service::Api;
