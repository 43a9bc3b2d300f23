//! Billing against a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod accounts;
mod calls;
mod changes;
mod coupons;
mod lifecycle;
mod money;
mod numbers;
mod payments;
mod refunds;
mod scheduler;
mod shop;
mod walls;
mod webhooks;
mod world;
