//! Billing against a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod accounts;
mod books;
mod calls;
mod changes;
mod coupon_periods;
mod coupons;
mod deferrals;
mod documents;
mod dunning;
mod einvoice;
mod explain;
mod exports;
mod faults;
mod invoicing;
mod lifecycle;
mod lives;
mod mass;
mod merge;
mod money;
mod numbers;
mod payments;
mod periods;
mod refunds;
mod scenarios;
mod scheduler;
mod shop;
mod taxes;
mod vat;
mod wallets;
mod walls;
mod webhooks;
mod world;
