//! Payments: attempts, hosted pages, charges, and what providers say about them.

mod account;
mod by_hand;
mod checkout;
mod confirm;
mod decline;
mod deposit;
mod dispute;
mod dispute_refund;
mod errand;
mod expiry;
mod hosted;
mod invariants;
mod mass;
mod method;
mod minimum;
mod poll;
mod reach;
mod reconcile;
mod reconcile_books;
mod reconcile_heal;
mod settle;
mod setup;
mod take;
mod watch;
mod workers;

pub use crate::store::reconcile::Run as ReconcileRun;
pub use account::{PutAccount, Rotate};
pub use by_hand::{Arrived, ArrivedOf, Expected, Payout, Shown as ShownByHand, Sought};
pub use checkout::open_checkout;
pub use deposit::{APART, Ask as DepositAsk, Shown as ShownDeposit};
pub use expiry::run as announce;
pub use hosted::HostedPage;
pub use invariants::invariants;
pub use workers::{waiting, workers};

pub(crate) use reach::Reached;
pub(crate) use settle::{Teller, apply, lock};

/// Task of a payment whose outcome stays unknown.
pub(crate) const UNKNOWN_TASK: &str = "payment_unknown";
