//! A provider nobody runs: charges end as was assumed, and no call is made. For copies of a book whose time is moved.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ottery_kernel::{Currency, Money, PaymentId, PaymentMethodId};
use ottery_kit::secret::Secret;

use super::{
    Access, CallError, Capabilities, ChargeAsk, Checkout, CheckoutAsk, Forged, Lookup, Notice, PaymentProvider, Probe,
    RefundAsk, RefundFact,
};
use crate::domain::decline::Advice;
use crate::domain::pay_way::PayKind;
use crate::domain::payment::{Capture, Decline, Truth};
use crate::domain::refund;
use crate::domain::time_machine::Assumption;

/// What is known of a saved method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// How it is shown.
    pub label: String,
    /// How its last charge ended, if there was one.
    pub last: Option<Result<(), Decline>>,
}

/// What outcomes are derived from.
#[derive(Clone, Debug)]
pub struct Outcomes {
    /// What is assumed.
    pub assumption: Assumption,
    /// Every saved method.
    pub methods: HashMap<PaymentMethodId, Past>,
    /// Charges that were on their way when the copy was made.
    pub in_flight: HashMap<PaymentId, (PaymentMethodId, Money)>,
}

impl Outcomes {
    /// What becomes of a charge.
    fn of(&self, payment: PaymentId, method: PaymentMethodId, amount: Money) -> Truth {
        let past = self.methods.get(&method);
        let provider_ref = format!("assumed_{payment}");
        match self.assumption.refusal(method, past.and_then(|past| past.last.as_ref())) {
            Some(decline) => Truth::Declined { provider_ref, decline },
            None => Truth::Captured(Capture {
                provider_ref,
                amount,
                fee: None,
                saved: None,
                label: past.map(|past| past.label.clone()).unwrap_or_default(),
                fingerprint: None,
                expires_on: None,
            }),
        }
    }
}

/// Stands in for a provider of the same name.
#[derive(Clone, Debug)]
pub struct Assumed {
    like: Arc<dyn PaymentProvider>,
    outcomes: Arc<Outcomes>,
}

impl Assumed {
    /// In place of `like`.
    #[must_use]
    pub fn new(like: Arc<dyn PaymentProvider>, outcomes: Arc<Outcomes>) -> Self {
        Self { like, outcomes }
    }
}

#[async_trait]
impl PaymentProvider for Assumed {
    fn name(&self) -> &'static str {
        self.like.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.like.capabilities()
    }

    fn pay_kind(&self) -> PayKind {
        self.like.pay_kind()
    }

    fn exponent(&self, currency: Currency) -> u32 {
        self.like.exponent(currency)
    }

    fn minimum(&self, currency: Currency) -> i64 {
        self.like.minimum(currency)
    }

    fn takes(&self, currency: Currency) -> bool {
        self.like.takes(currency)
    }

    fn expresses(&self, amount: Money) -> bool {
        self.like.expresses(amount)
    }

    fn advice(&self, code: &str) -> Advice {
        self.like.advice(code)
    }

    fn is_customer_gone(&self, code: &str) -> bool {
        self.like.is_customer_gone(code)
    }

    async fn probe(&self, _: &Access) -> Result<Probe, CallError> {
        Ok(Probe { is_live: None })
    }

    async fn create_checkout(&self, _: &Access, _: &CheckoutAsk) -> Result<Checkout, CallError> {
        Err(CallError::NotSent("nobody pays by hand on a copy".to_owned()))
    }

    async fn expire_checkout(&self, _: &Access, _: &str) -> Result<(), CallError> {
        Ok(())
    }

    /// The token of a method on a copy is the method's id.
    async fn charge_saved(&self, _: &Access, ask: &ChargeAsk) -> Result<Truth, CallError> {
        let method = ask.token.0.parse().map_err(|_| CallError::Refused { code: "method_unknown".to_owned() })?;
        Ok(self.outcomes.of(ask.payment, method, ask.amount))
    }

    async fn fetch_payment(&self, _: &Access, lookup: Lookup<'_>) -> Result<Truth, CallError> {
        let known =
            |id| self.outcomes.in_flight.get(&id).map(|(method, amount)| self.outcomes.of(id, *method, *amount));
        Ok(match lookup {
            // The page of somebody who has not paid.
            Lookup::Checkout(_) => Truth::Open,
            Lookup::Reference { payment, .. } => known(payment).unwrap_or(Truth::Absent),
            Lookup::Payment(_) => Truth::Absent,
        })
    }

    async fn refund(&self, _: &Access, ask: &RefundAsk) -> Result<refund::Truth, CallError> {
        Ok(refund::Truth { provider_ref: format!("assumed_{}", ask.refund), state: refund::State::Succeeded })
    }

    async fn fetch_refund(&self, _: &Access, _: &str) -> Result<Option<RefundFact>, CallError> {
        Ok(None)
    }

    fn verify_webhook(
        &self,
        base_url: &str,
        raw: &[u8],
        headers: &HashMap<String, String>,
        secrets: &[Secret],
        now: DateTime<Utc>,
    ) -> Result<Notice, Forged> {
        self.like.verify_webhook(base_url, raw, headers, secrets, now)
    }

    fn read_event(&self, raw: &[u8]) -> Result<Notice, Forged> {
        self.like.read_event(raw)
    }
}
