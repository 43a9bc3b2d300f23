//! Payments at PayPal, over the wire against a stub of our own: no independent one exists. What the stub answers is checked
//! against PayPal's own API descriptions, and webhooks are signed by openssl and Python.

mod charges;
mod payments;
mod polls;
mod refunds;
mod reports;
mod schema;
mod signer;
mod stub;
mod till;
mod webhooks;
