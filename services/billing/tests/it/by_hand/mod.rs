//! Payments that people record: bank transfers and cash, with two pairs of eyes above a limit.

mod accounts;
mod eyes;
mod payments;
mod proofs;
mod refunds;
mod till;
