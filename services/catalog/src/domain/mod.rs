//! What a brand, a plan, a coupon and a tax rule may look like. Pure: nothing here waits or knows a database.

pub mod addon;
pub mod brand;
pub mod clock;
pub mod coupon;
pub mod option;
pub mod plan;
pub mod sale;
pub mod saving;
pub mod tax;
pub mod tokens;
mod words;

pub use brand::{Brand, LegalEntity};
pub use clock::{ClockRefused, TestClock};
pub use coupon::{Coupon, CouponState};
pub use plan::{Content, Plan, PlanState, PlanVersion, Price};
pub use sale::Sale;
pub use tokens::DesignTokens;
pub use words::Slug;

/// A field that cannot be right: which, a stable reason, and a sentence with the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Invalid {
    /// Path of the field in the request, for example `prices[1].amount`.
    pub field: String,
    /// Stable, `UPPER_SNAKE`.
    pub reason: &'static str,
    /// What is wrong and what would be accepted.
    pub message: String,
}

impl Invalid {
    /// A refusal of one field.
    pub fn new(field: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), reason, message: message.into() }
    }

    /// The same refusal, of a field below `parent`.
    #[must_use]
    pub fn below(mut self, parent: &str) -> Self {
        self.field = format!("{parent}.{}", self.field);
        self
    }
}
