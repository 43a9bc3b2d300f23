//! Bank transfers and cash: providers nobody can be asked at. Every answer here is that nothing is known; what came, people record.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ottery_kernel::{Currency, Money};
use ottery_kit::secret::Secret;
use url::Url;

use super::{
    Access, CallError, Capabilities, ChargeAsk, Checkout, CheckoutAsk, Forged, Lookup, Notice, PaymentProvider, Probe,
    RefundAsk, RefundFact, unsupported,
};
use crate::domain::pay_way::PayKind;
use crate::domain::payment::Truth;
use crate::domain::refund;

/// A way to pay that people record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByHand {
    /// Sent to the operator's bank account.
    BankTransfer,
    /// Handed over.
    Cash,
}

impl ByHand {
    /// Its name in settings, ledger and addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BankTransfer => "bank_transfer",
            Self::Cash => "cash",
        }
    }

    /// For people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BankTransfer => "Bank transfer",
            Self::Cash => "Cash",
        }
    }

    /// Of every build.
    pub const ALL: [Self; 2] = [Self::BankTransfer, Self::Cash];
}

#[async_trait]
impl PaymentProvider for ByHand {
    fn name(&self) -> &'static str {
        (*self).name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            saves_methods: false,
            charges_off_session: false,
            partial_refunds: true,
            is_test_mode: false,
            saves_without_payment: false,
            confirms_charges: false,
            takes_evidence: false,
            // Nobody calls us.
            makes_secret: true,
            takes_when_asked: false,
            refunds_disputes: false,
            finds_by_reference: false,
        }
    }

    fn pay_kind(&self) -> PayKind {
        match self {
            Self::BankTransfer => PayKind::BankTransfer,
            Self::Cash => PayKind::Cash,
        }
    }

    fn exponent(&self, currency: Currency) -> u32 {
        currency.exponent()
    }

    fn minimum(&self, _: Currency) -> i64 {
        0
    }

    fn expresses(&self, amount: Money) -> bool {
        amount.is_positive()
    }

    fn is_safe_address(&self, _: &Url) -> bool {
        // It has none.
        false
    }

    fn takes_any_amount(&self) -> bool {
        true
    }

    fn by_hand(&self) -> Option<ByHand> {
        Some(*self)
    }

    async fn probe(&self, _: &Access) -> Result<Probe, CallError> {
        Ok(Probe { is_live: None })
    }

    async fn create_checkout(&self, _: &Access, _: &CheckoutAsk) -> Result<Checkout, CallError> {
        Err(unsupported())
    }

    async fn expire_checkout(&self, _: &Access, _: &str) -> Result<(), CallError> {
        Ok(())
    }

    async fn charge_saved(&self, _: &Access, _: &ChargeAsk) -> Result<Truth, CallError> {
        Err(unsupported())
    }

    async fn fetch_payment(&self, _: &Access, _: Lookup<'_>) -> Result<Truth, CallError> {
        Err(unsupported())
    }

    async fn refund(&self, _: &Access, _: &RefundAsk) -> Result<refund::Truth, CallError> {
        Err(unsupported())
    }

    async fn fetch_refund(&self, _: &Access, _: &str) -> Result<Option<RefundFact>, CallError> {
        Ok(None)
    }

    fn verify_webhook(
        &self,
        _: &str,
        _: &[u8],
        _: &HashMap<String, String>,
        _: &[Secret],
        _: DateTime<Utc>,
    ) -> Result<Notice, Forged> {
        Err(Forged::Unsigned)
    }

    fn read_event(&self, _: &[u8]) -> Result<Notice, Forged> {
        Err(Forged::Unreadable)
    }
}
