//! Stripe: against localstripe and stripe-stateful-mock, which are not ours, and what they lack done by a front of the tests.

mod accounts;
mod charges;
mod disputes;
mod front;
mod idempotency;
mod methods;
mod pages;
mod peers;
mod polls;
mod refunds;
mod reports;
mod till;
mod webhooks;
mod wholes;
