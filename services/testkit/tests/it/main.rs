//! testkit against real servers.

mod database;
mod servers;
