//! Identity against a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test gives up loudly")]

mod audit;
mod factors;
mod guessing;
mod keys;
mod passwords;
mod sessions;
mod setup;
mod staff;
mod walls;
mod wire;
mod world;
