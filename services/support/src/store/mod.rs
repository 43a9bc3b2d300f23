//! What support remembers; rows are the transaction's brand's only.

pub mod ticket;
