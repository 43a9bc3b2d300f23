//! Support against a real PostgreSQL.

mod tickets;
