//! HTTP towards addresses that users typed: panels, webhooks, logos.
//!
//! Whoever may type an address may type one of our own network. So there is one client for all of them: it checks the
//! URL, checks every resolved address at the moment of dialling and connects to exactly those, follows no redirect,
//! uses no proxy of the environment, reads no more than a limit and waits no longer than one. A request answered with
//! a redirect is answered with a redirect; it never carries a credential elsewhere.

mod address;
mod client;
mod guard;
mod response;
mod tls;

pub use client::{GuardSettings, GuardedClient, HttpError};
pub use guard::{Guard, Lookup, Refused, SystemLookup};
pub use response::GuardedResponse;
pub use tls::{Fingerprint, FingerprintError, Trust};

#[cfg(test)]
mod tests;
