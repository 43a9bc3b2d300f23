//! Between events and use cases.

pub mod consume;
pub mod publish;
