//! What analytics remembers; rows are the transaction's brand's only.

pub mod log;
pub mod movement;
