//! The service with a real PostgreSQL and a simulated panel over the wire.
#![allow(clippy::unwrap_used, reason = "a test ends where its world does not do as expected")]

mod diagnose;
mod drift;
mod drift_scan;
mod faults;
mod lifecycle;
mod panels;
mod replay;
mod reseller;
mod secrets;
mod transcripts;
mod world;
mod xtream;
mod xtream_panels;
