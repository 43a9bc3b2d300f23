//! What identity decides, without waiting for anybody.

pub mod account;
pub mod audit;
pub mod backoff;
mod blocklist;
pub mod device;
pub mod mail;
pub mod password;
pub mod role;
pub mod session;
pub mod token;
pub mod totp;

pub use account::{Account, Email, Realm};
pub use device::Device;
pub use role::Role;
pub use session::{Lifetimes, SessionKind};

/// A field that cannot be right, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// The request field.
    pub field: &'static str,
    /// Stable, for programs.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Invalid {
    /// A problem with one field.
    pub fn new(field: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { field, reason, message: message.into() }
    }
}
