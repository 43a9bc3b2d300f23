//! What affiliate remembers; rows are the transaction's brand's only, except `due`.

pub mod affiliate;
pub mod commission;
