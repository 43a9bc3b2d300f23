//! What a referral earns. Pure.

pub mod code;
pub mod commission;

pub use commission::{Commission, CommissionState, Referral, Verdict, judge};
