//! The gateway over real HTTP, with real services behind it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod addons;
mod apply;
mod browser;
mod consolidated;
mod coupons;
mod dunning;
mod edge;
mod https;
mod invoicing;
mod keys;
mod openapi;
mod options;
mod pages;
mod papers;
mod sessions;
mod setup;
mod stream;
mod taxes;
mod walls;
mod webhooks;
mod world;
