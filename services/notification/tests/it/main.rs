//! Notification against a real PostgreSQL and the sandbox's mail server.

mod sending;
mod templates;
mod world;
