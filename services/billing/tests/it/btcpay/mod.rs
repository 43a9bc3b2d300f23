//! Payments at BTCPay Server, over the wire against a stub of our own: no independent one exists. What the stub answers and what it is
//! asked is checked against BTCPay Server's own API description, and webhooks are signed by Python.

mod amounts;
mod payments;
mod refunds;
mod reversals;
mod schema;
mod signer;
mod stub;
mod till;
mod webhooks;
