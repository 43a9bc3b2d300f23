//! Billing against a real PostgreSQL.

mod calls;
mod changes;
mod lifecycle;
mod money;
mod numbers;
mod scheduler;
mod walls;
mod world;
