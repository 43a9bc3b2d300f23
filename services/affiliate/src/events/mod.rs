//! What affiliate hears and says.

pub mod consume;
pub mod publish;
