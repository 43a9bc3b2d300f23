//! testkit against real servers.

mod database;
mod host;
mod servers;
