//! Payments at PayPal, over the wire against the sandbox's PayPal: no independent one exists. What it answers is checked against
//! PayPal's own API descriptions, and webhooks are signed by openssl.

mod charges;
mod payments;
mod polls;
mod refunds;
mod reports;
mod schema;
mod till;
mod webhooks;
