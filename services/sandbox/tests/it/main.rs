//! The sandbox over the wire.

mod harness;
mod mail;
mod panel;
mod payments;
mod restart;
#[path = "../../transcripts/parse.rs"]
mod transcript;
mod transcripts;
mod video;
