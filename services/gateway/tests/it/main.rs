//! The gateway over real HTTP, with real services behind it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod addons;
mod apply;
mod browser;
mod by_hand;
mod coins;
mod consolidated;
mod coupons;
mod disputes;
mod dunning;
mod edge;
mod ether;
mod gifts;
mod https;
mod invoicing;
mod keys;
mod openapi;
mod options;
mod pages;
mod papers;
mod providers;
mod resellers;
mod screening;
mod sessions;
mod setup;
mod stream;
mod taxes;
mod trials;
mod wallets;
mod walls;
mod webhooks;
mod world;
