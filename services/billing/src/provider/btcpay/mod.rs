//! BTCPay Server, over its Greenfield API: invoices of a store with a page of their own, paid in coins, given back by pull payments
//! that the customer claims. Thin calls, no library.
//!
//! The key of an account is `<store id>:<API key>`. There are no keys that make a repetition harmless: an invoice, and a refund, whose
//! answer was lost is looked for by our id on it. Customers send what they like and when they like, so more, less and later is
//! ordinary here, and what was confirmed may be taken back.

mod amount;
mod ask;
mod call;
mod event;
mod key;
mod wire;

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::Currency;
use ottery_kit::http::GuardedClient;
use ottery_kit::secret::Secret;
use serde::de::DeserializeOwned;
use url::Url;

use self::call::Call;
use self::key::{Allowed, Contained, Key};
use self::wire::{Invoice, Method, Payout, PullPayment};
use super::{
    Access, CallError, Capabilities, ChargeAsk, Checkout, CheckoutAsk, Forged, Lookup, Notice, PaymentProvider, Probe,
    RefundAsk, RefundFact, unsupported,
};
use crate::domain::pay_way::PayKind;
use crate::domain::payment::Truth;
use crate::domain::refund;

pub use event::EVENTS;

/// How long an invoice can be paid at most, for whoever sets the store's expiry: beyond it nobody looks for what came late.
const EXPIRY_MAX: TimeDelta = TimeDelta::days(1);

/// The adapter.
#[derive(Clone, Debug)]
pub struct BtcPay {
    client: GuardedClient,
}

impl BtcPay {
    /// The adapter over that client.
    #[must_use]
    pub const fn new(client: GuardedClient) -> Self {
        Self { client }
    }

    async fn read<T: DeserializeOwned>(&self, access: &Access, key: &Key, call: &Call) -> Result<T, CallError> {
        call::read(&self.client, access, &key.token, call).await
    }

    async fn find<T: DeserializeOwned>(&self, access: &Access, key: &Key, call: &Call) -> Result<Option<T>, CallError> {
        call::find(&self.client, access, &key.token, call).await
    }

    /// An invoice of the account's store; those of others are none of its business.
    async fn invoice(&self, access: &Access, key: &Key, id: &str) -> Result<Option<Invoice>, CallError> {
        let found: Option<Invoice> = self.find(access, key, &ask::invoice(key, id)?).await?;
        Ok(found.filter(|invoice| invoice.store_id == key.store))
    }

    /// The invoice that was made for one of our payments; the one somebody paid when there are several.
    async fn of_order(&self, access: &Access, key: &Key, order: &str) -> Result<Option<Invoice>, CallError> {
        let mut found: Vec<Invoice> = self.read(access, key, &ask::of_order(key, order)?).await?;
        found.retain(|invoice| invoice.store_id == key.store && invoice.reference().as_deref() == Some(order));
        let place = found.iter().position(Invoice::is_touched).unwrap_or(0);
        Ok((!found.is_empty()).then(|| found.swap_remove(place)))
    }

    /// What an invoice says, with what was sent for it where it does not say enough itself.
    async fn truth(&self, access: &Access, key: &Key, invoice: &Invoice) -> Result<Truth, CallError> {
        let methods: Vec<Method> = if invoice.needs_payments() {
            self.read(access, key, &ask::paid(key, &invoice.id)?).await?
        } else {
            Vec::new()
        };
        invoice.truth(&methods)
    }

    async fn payouts(&self, access: &Access, key: &Key, pull: &str) -> Result<Vec<Payout>, CallError> {
        self.read(access, key, &ask::payouts(pull)?).await
    }
}

#[async_trait]
impl PaymentProvider for BtcPay {
    fn name(&self) -> &'static str {
        "btcpay"
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
            makes_secret: true,
            takes_when_asked: false,
            refunds_disputes: false,
            finds_by_reference: true,
        }
    }

    fn pay_kind(&self) -> PayKind {
        PayKind::Bitcoin
    }

    /// Those of the standard; what the server makes of an amount is compared with what was asked for.
    fn exponent(&self, currency: Currency) -> u32 {
        currency.exponent()
    }

    fn minimum(&self, _: Currency) -> i64 {
        0
    }

    fn events(&self) -> &'static [&'static str] {
        &EVENTS
    }

    fn is_safe_address(&self, base_url: &Url) -> bool {
        key::is_safe(base_url)
    }

    fn is_live_key(&self, key: &Secret, base_url: &str) -> Option<bool> {
        Key::of(key)?;
        Some(!key::is_test(&Url::parse(base_url).ok()?))
    }

    fn key_form(&self) -> &'static str {
        "the store's id and an API key with a colon between them (9CiNz…:a1b2…)"
    }

    fn takes_any_amount(&self) -> bool {
        true
    }

    fn watched_for(&self) -> Option<TimeDelta> {
        Some(EXPIRY_MAX + TimeDelta::minutes(ask::MONITORING_MINUTES.into()))
    }

    fn repeats_refunds(&self) -> bool {
        false
    }

    fn claim_link(&self, base_url: &str, refund: &str) -> Option<String> {
        Some(format!("{}/pull-payments/{refund}", base_url.trim_end_matches('/')))
    }

    fn is_of_account(&self, access: &Access, event: &[u8]) -> bool {
        Key::of_access(access).is_ok_and(|key| event::is_of(event, &key.store))
    }

    /// Names what the key lacks, and sees whether it reaches the store.
    async fn probe(&self, access: &Access) -> Result<Probe, CallError> {
        let key = Key::of_access(access)?;
        let allowed: Allowed = self.read(access, &key, &ask::permissions()).await?;
        let contained: Vec<Contained> = self.read(access, &key, &ask::contained()).await?;
        let lacking = key::lacks(&allowed, &contained, &key.store);
        if !lacking.is_empty() {
            let code = format!("the key lacks {} at store {}", lacking.join(", "), key.store);
            return Err(CallError::Refused { code });
        }
        match self.find::<Vec<Invoice>>(access, &key, &ask::newest(&key)).await? {
            Some(_) => Ok(Probe { is_live: None }),
            None => Err(CallError::Refused { code: format!("there is no store {}", key.store) }),
        }
    }

    async fn create_checkout(&self, access: &Access, ask: &CheckoutAsk) -> Result<Checkout, CallError> {
        let key = Key::of_access(access)?;
        let invoice = match self.read::<Invoice>(access, &key, &ask::checkout(&key, ask)?).await {
            // It may have been made: then it is there.
            Err(CallError::Ambiguous(why)) => {
                let found = self.of_order(access, &key, &ask.payment.to_string()).await;
                found.ok().flatten().ok_or(CallError::Ambiguous(why))?
            }
            made => made?,
        };
        if invoice.asked()? != ask.amount {
            tracing::warn!(payment.id = %ask.payment, "BTCPay Server asks for another amount; nobody is sent there");
            return Err(CallError::Amount(ask.amount));
        }
        if invoice.checkout_link.is_empty() {
            return Err(CallError::Ambiguous("an invoice without a page".to_owned()));
        }
        Ok(Checkout { reference: invoice.id, url: invoice.checkout_link, customer: ask.customer.clone() })
    }

    /// Its page is left to expire: one that was marked invalid would lose what is on its way there.
    async fn expire_checkout(&self, _: &Access, _: &str) -> Result<(), CallError> {
        Ok(())
    }

    async fn charge_saved(&self, _: &Access, _: &ChargeAsk) -> Result<Truth, CallError> {
        Err(unsupported())
    }

    async fn fetch_payment(&self, access: &Access, lookup: Lookup<'_>) -> Result<Truth, CallError> {
        let key = Key::of_access(access)?;
        let (found, absent) = match lookup {
            Lookup::Checkout(id) => (self.invoice(access, &key, id).await?, Truth::Expired),
            Lookup::Payment(id) => (self.invoice(access, &key, id).await?, Truth::Absent),
            Lookup::Reference { payment, .. } => {
                (self.of_order(access, &key, &payment.to_string()).await?, Truth::Absent)
            }
        };
        match found {
            Some(invoice) => self.truth(access, &key, &invoice).await,
            None => Ok(absent),
        }
    }

    async fn refund(&self, access: &Access, ask: &RefundAsk) -> Result<refund::Truth, CallError> {
        let key = Key::of_access(access)?;
        let pull: PullPayment = self.read(access, &key, &ask::refund(&key, ask)?).await?;
        Ok(refund::Truth { provider_ref: pull.id, state: refund::State::Pending })
    }

    async fn fetch_refund(&self, access: &Access, reference: &str) -> Result<Option<RefundFact>, CallError> {
        let key = Key::of_access(access)?;
        let Some(pull) = self.find::<PullPayment>(access, &key, &ask::pull_payment(reference)?).await? else {
            return Ok(None);
        };
        let payouts = self.payouts(access, &key, &pull.id).await?;
        pull.fact(&payouts).map(Some)
    }

    async fn find_refund(&self, access: &Access, ask: &RefundAsk) -> Result<Option<refund::Truth>, CallError> {
        let key = Key::of_access(access)?;
        let all: Vec<PullPayment> = self.read(access, &key, &ask::pull_payments(&key)).await?;
        let ours = ask.refund.to_string();
        match all.into_iter().find(|pull| pull.description.as_deref().map(str::trim) == Some(ours.as_str())) {
            Some(pull) => pull.truth(&self.payouts(access, &key, &pull.id).await?).map(Some),
            None => Ok(None),
        }
    }

    /// Of an invoice, or of the one a pull payment gives back.
    async fn reference_of(&self, access: &Access, payment: &str) -> Result<Option<String>, CallError> {
        let key = Key::of_access(access)?;
        let pull: Option<PullPayment> = self.find(access, &key, &ask::pull_payment(payment)?).await?;
        let id = match &pull {
            Some(pull) => pull.payment().filter(|id| ask::invoice(&key, id).is_ok()),
            None => Some(payment),
        };
        let Some(id) = id else { return Ok(None) };
        Ok(self.invoice(access, &key, id).await?.and_then(|invoice| invoice.reference()))
    }

    fn verify_webhook(
        &self,
        _: &str,
        raw: &[u8],
        headers: &HashMap<String, String>,
        secrets: &[Secret],
        _: DateTime<Utc>,
    ) -> Result<Notice, Forged> {
        event::verify(raw, headers, secrets)?;
        event::read(raw)
    }

    fn read_event(&self, raw: &[u8]) -> Result<Notice, Forged> {
        event::read(raw)
    }
}
