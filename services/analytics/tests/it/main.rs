//! Analytics against a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod revenue;
