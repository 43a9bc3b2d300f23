//! From events to figures. Pure: the same events give the same figures, in whatever order they arrived.

pub mod history;
pub mod movement;
pub mod mrr;

pub use history::{Event, SubscriptionState};
pub use movement::{Movement, MovementKind, movements};
