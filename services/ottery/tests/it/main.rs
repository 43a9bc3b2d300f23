//! The binary as people run it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod apply;
mod bench;
mod browser;
mod chaos;
mod copy;
mod faults;
mod options;
mod pages;
mod partitions;
mod shopper;
mod story;
mod system;
mod time_machine;
mod up;
