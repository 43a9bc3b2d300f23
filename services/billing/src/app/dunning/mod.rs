//! Dunning around the scheduler: campaigns and what they would do, what may be done now, and what staff decide.

mod admit;
mod campaign;
mod facts;
mod held;
mod notice;
mod refusal;
mod watch;

pub use campaign::{Asked, Put, Sample, Timeline};
pub use held::{Decision, HeldList};
pub use notice::Shown;
pub use watch::watch;

pub(super) use admit::{Waiting, admit, decided, let_happen};
pub(super) use facts::facts;
pub(super) use refusal::refused;
