//! The contract: parse, call a use case, convert.

mod convert;
mod page;
mod service;

pub use service::Api;
