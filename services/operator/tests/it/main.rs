//! Documents as they are shipped: definitions, demo, documentation.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod crds;
mod demo;
mod docs;
