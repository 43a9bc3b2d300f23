//! Documents as a customer sees them, and the child process as a service meets it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod documents;
mod hostile;
mod pages;
mod pictures;
mod scripts;
mod spawn;
