//! What other services hear from billing, and what billing hears from them.

pub mod by_hand;
pub mod consume;
pub mod dispute;
pub mod dunning;
pub mod method;
pub mod payment;
pub mod publish;
