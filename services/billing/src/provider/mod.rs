//! Payment providers: what billing needs of one, and those it knows.
//!
//! An adapter makes one call and says what came of it; it never tries again by itself. Whoever calls has written the
//! attempt down and committed it before, and gives the attempt's id as idempotency key.

pub mod assumed;
mod minimum;
mod registry;
mod sandbox;
mod signature;

use std::collections::HashMap;
use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ottery_kernel::{Currency, Money, PaymentId, RefundId};
use ottery_kit::secret::Secret;

use crate::domain::payment::{SavedToken, Truth};
use crate::domain::refund;

pub use registry::Providers;
pub use sandbox::Sandbox;
pub use signature::{Forged, TOLERANCE, sign, verify};

/// How to reach an account at a provider.
#[derive(Clone)]
pub struct Access {
    /// Where its API is.
    pub base_url: String,
    /// The key.
    pub api_key: Secret,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// What a provider can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Saves an instrument while it is used on the hosted page.
    pub saves_methods: bool,
    /// Charges a saved instrument without the customer.
    pub charges_off_session: bool,
    /// Refunds a part.
    pub partial_refunds: bool,
    /// Real money never moves.
    pub is_test_mode: bool,
}

/// A hosted page to be made.
#[derive(Clone, Debug)]
pub struct CheckoutAsk {
    /// Key and reference.
    pub payment: PaymentId,
    /// What is to be paid.
    pub amount: Money,
    /// Where the page returns to.
    pub return_url: String,
    /// Where it returns to when the customer gives up.
    pub cancel_url: String,
    /// For the provider's receipt.
    pub email: String,
    /// Save the instrument for later.
    pub save_method: bool,
}

/// A hosted page that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// The provider's id of the page.
    pub reference: String,
    /// Where the customer goes.
    pub url: String,
}

/// A charge of a saved instrument.
#[derive(Clone, Debug)]
pub struct ChargeAsk {
    /// Key and reference.
    pub payment: PaymentId,
    /// What is to be paid.
    pub amount: Money,
    /// The instrument.
    pub token: SavedToken,
}

/// Money to be given back.
#[derive(Clone, Debug)]
pub struct RefundAsk {
    /// Key.
    pub refund: RefundId,
    /// The provider's id of the payment.
    pub payment_ref: String,
    /// How much.
    pub amount: Money,
}

/// A refund as the provider has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundFact {
    /// The provider's id of the payment.
    pub payment_ref: String,
    /// How much.
    pub amount: Money,
    /// Where it stands.
    pub truth: refund::Truth,
}

/// By what a payment is looked up.
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'a> {
    /// The hosted page.
    Checkout(&'a str),
    /// The provider's id of the payment.
    Payment(&'a str),
    /// Our id, for when the provider's answer was lost.
    Reference(PaymentId),
}

/// Why a call brought no answer to the question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The provider heard nothing, or refused before doing anything: the same call may be made again.
    #[error("the provider was not reached: {0}")]
    NotSent(String),
    /// The provider understood and refuses; making the call again is pointless.
    #[error("the provider refuses: {code}")]
    Refused {
        /// Stable, the provider's.
        code: String,
    },
    /// It may have been done.
    #[error("the provider's answer was lost: {0}")]
    Ambiguous(String),
    /// The amount cannot be written for this provider.
    #[error("{0} cannot be written in the minor units this provider uses")]
    Amount(Money),
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A payment, by the provider's id.
    Payment(String),
    /// A hosted page.
    Checkout(String),
    /// A refund.
    Refund {
        /// The provider's id of the refund.
        refund: String,
        /// The provider's id of its payment.
        payment: String,
    },
    /// An objection of the cardholder.
    Dispute(String),
    /// Something this service has no use for.
    Other,
}

/// A verified event, reduced to what it is about. What it claims is never believed: the provider is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The provider's id of the event.
    pub event_id: String,
    /// The provider's name of what happened.
    pub kind: String,
    /// Our reference on the object; empty for none.
    pub reference: String,
    /// What it is about.
    pub subject: Subject,
}

/// A payment provider.
#[async_trait]
pub trait PaymentProvider: Send + Sync + fmt::Debug {
    /// Its name in settings, ledger and addresses.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Digits behind the point in this provider's minor units; not always those of ISO 4217.
    fn exponent(&self, currency: Currency) -> u32;

    /// The least a payment can be, in our minor units; zero for no limit.
    fn minimum(&self, currency: Currency) -> i64;

    /// Makes a hosted page.
    async fn create_checkout(&self, access: &Access, ask: &CheckoutAsk) -> Result<Checkout, CallError>;

    /// Closes a hosted page, unless somebody paid on it.
    async fn expire_checkout(&self, access: &Access, reference: &str) -> Result<(), CallError>;

    /// Charges a saved instrument. A decline is an answer.
    async fn charge_saved(&self, access: &Access, ask: &ChargeAsk) -> Result<Truth, CallError>;

    /// What the provider says about a payment now.
    async fn fetch_payment(&self, access: &Access, lookup: Lookup<'_>) -> Result<Truth, CallError>;

    /// Gives money back.
    async fn refund(&self, access: &Access, ask: &RefundAsk) -> Result<refund::Truth, CallError>;

    /// What the provider says about a refund now; none when it knows of none.
    async fn fetch_refund(&self, access: &Access, reference: &str) -> Result<Option<RefundFact>, CallError>;

    /// Checks the signature of a webhook over the raw bytes and reads what it is about.
    ///
    /// # Errors
    /// When it is not signed with one of the secrets, or too old.
    fn verify_webhook(
        &self,
        raw: &[u8],
        headers: &HashMap<String, String>,
        secrets: &[Secret],
        now: DateTime<Utc>,
    ) -> Result<Notice, Forged>;

    /// Reads a stored event again; its signature was checked when it came.
    ///
    /// # Errors
    /// When the body is none of this provider's.
    fn read_event(&self, raw: &[u8]) -> Result<Notice, Forged>;
}

/// An amount in a provider's minor units; exact or not at all.
///
/// # Errors
/// When a fraction would be lost or the number does not fit.
pub fn to_provider(amount: Money, exponent: u32) -> Result<i64, CallError> {
    let refused = || CallError::Amount(amount);
    let ours = amount.currency.exponent();
    if exponent >= ours {
        let factor = 10_i64.checked_pow(exponent - ours).ok_or_else(refused)?;
        amount.minor.checked_mul(factor).ok_or_else(refused)
    } else {
        let factor = 10_i64.checked_pow(ours - exponent).ok_or_else(refused)?;
        if amount.minor % factor == 0 { Ok(amount.minor / factor) } else { Err(refused()) }
    }
}

/// An amount in our minor units from a provider's; a fraction we cannot write is cut.
#[must_use]
pub fn from_provider(minor: i64, currency: Currency, exponent: u32) -> Money {
    let ours = currency.exponent();
    let minor = if exponent >= ours {
        minor / 10_i64.saturating_pow(exponent - ours)
    } else {
        minor.saturating_mul(10_i64.saturating_pow(ours - exponent))
    };
    Money::new(minor, currency)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_converted_exactly_or_not_at_all() {
        let eur = Money::new(1299, Currency::EUR);
        assert_eq!(to_provider(eur, 2), Ok(1299));
        assert_eq!(to_provider(eur, 3), Ok(12_990));
        assert_eq!(to_provider(eur, 0), Err(CallError::Amount(eur)));
        assert_eq!(to_provider(Money::new(1300, Currency::EUR), 0), Ok(13));
        assert_eq!(to_provider(Money::new(500, Currency::JPY), 0), Ok(500));
        assert_eq!(from_provider(12_990, Currency::EUR, 3), eur);
        assert_eq!(from_provider(13, Currency::EUR, 0), Money::new(1300, Currency::EUR));
        assert_eq!(
            to_provider(Money::new(i64::MAX, Currency::EUR), 3),
            Err(CallError::Amount(Money::new(i64::MAX, Currency::EUR)))
        );
    }
}
