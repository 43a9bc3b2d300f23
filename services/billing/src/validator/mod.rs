//! Who says whether a VAT number is a business's: one trait, and the services this build knows.
//!
//! A validator makes one call and says what came of it; asking again is its caller's.

mod assumed;
mod vies;

use std::fmt;

use async_trait::async_trait;

use crate::domain::vat::VatNumber;

pub use assumed::Assumed;
pub use vies::Vies;

/// What a service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The number is a business's.
    Valid {
        /// The service's name of its answer, which proves that it was asked; empty when it gives none.
        reference: String,
        /// Registered name; empty when it does not tell.
        name: String,
        /// Registered address; empty when it does not tell.
        address: String,
    },
    /// The number is nobody's.
    Invalid,
}

/// Why there is no answer; asking again may bring one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the validation service gave no answer: {0}")]
pub struct NoAnswer(pub String);

/// A service that knows VAT numbers.
#[async_trait]
pub trait VatValidator: fmt::Debug + Send + Sync {
    /// As it stands in the proof.
    fn name(&self) -> &'static str;

    /// Whether it knows numbers of this kind at all.
    fn covers(&self, number: &VatNumber) -> bool;

    /// Asks about a number, in the name of the seller when that has a number of its own.
    ///
    /// # Errors
    /// When there is no answer; it says nothing about the number.
    async fn check(&self, number: &VatNumber, requester: Option<&VatNumber>) -> Result<Answer, NoAnswer>;
}
