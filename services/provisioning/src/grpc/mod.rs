//! The contract: parse, call a use case, convert.

mod convert;
mod drift;
mod page;
mod service;

pub use service::Api;
