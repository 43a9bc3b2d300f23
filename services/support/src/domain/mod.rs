//! What may happen to a ticket. Pure.

pub mod card;
pub mod text;
pub mod ticket;

pub use ticket::{Author, Command, Outcome, State};
