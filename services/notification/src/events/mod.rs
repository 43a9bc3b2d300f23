//! What notification hears and says.

pub mod consume;
mod mails;
pub mod publish;
