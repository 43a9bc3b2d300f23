//! Payments at BTCPay Server, over the wire against the sandbox's: no independent one exists. What it answers and what it is
//! asked is checked against BTCPay Server's own API description, and webhooks are signed by Python.

mod amounts;
mod payments;
mod refunds;
mod reversals;
mod schema;
mod signer;
mod till;
mod webhooks;
