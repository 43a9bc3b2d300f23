//! What notification hears and says.

pub mod consume;
pub mod foresee;
mod mails;
pub mod publish;
