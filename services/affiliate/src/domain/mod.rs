//! What a referral earns. Pure.

pub mod code;
pub mod commission;

pub use commission::{Claims, Commission, CommissionState, Disputed, Referral, Verdict, judge};
