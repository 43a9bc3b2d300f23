//! PayPal, over its public API: thin calls, no library. We own subscriptions, invoices and dunning; PayPal saves wallets, charges
//! them, gives money back and tells us what happened.
//!
//! An account's key is `client id:secret`; its webhook secret is the id PayPal gives the webhook, which is part of what it signs.
//! The token of a saved method is `customer/payment token`. A payment is known by its capture, a page by its order.
//!
//! A payer approves an order, and then the money is still theirs: it is taken when the approved order is read, once, by a key of its
//! own. There is no looking up by our id, so a lost answer is had by the same call with the same key while PayPal remembers that;
//! after this the event of the capture, which carries our id, is all there is.

mod amount;
mod ask;
mod call;
mod decline;
mod event;
mod signature;
mod token;
mod wire;

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::Currency;
use ottery_kit::http::GuardedClient;
use ottery_kit::secret::Secret;
use reqwest::{Method as Verb, StatusCode};
use serde::de::DeserializeOwned;

use self::call::{Call, MISSING, meaning, parse};
use self::signature::{CHAIN_BYTES_MAX, Certificates, Claimed};
use self::token::Tokens;
use self::wire::{Capture, Dispute, Method, Order, Refund, SetupToken, approval};
use super::{
    Access, CallError, Capabilities, ChargeAsk, Checkout, CheckoutAsk, EvidenceAsk, Forged, Lookup, MethodFact, Notice,
    PaymentProvider, Probe, RefundAsk, RefundFact, SetupAsk, SetupTruth, Subject,
};
use crate::domain::decline::Advice;
use crate::domain::payment::{SavedToken, Truth};
use crate::domain::{dispute, refund};

pub use event::EVENTS;

/// PayPal forgets an order's key after six hours; a little is kept for clocks that differ.
const KEY_LIFETIME: TimeDelta = TimeDelta::minutes(350);
/// The one host at which real money moves.
const LIVE: &str = "https://api-m.paypal.com";

/// The adapter.
#[derive(Clone, Debug)]
pub struct PayPal {
    client: GuardedClient,
    tokens: Tokens,
    certificates: Certificates,
}

impl PayPal {
    /// The adapter over that client. Certificates of webhooks are vouched for by the public authorities.
    #[must_use]
    pub fn new(client: GuardedClient) -> Self {
        let certificates = Certificates::trusting(webpki_roots::TLS_SERVER_ROOTS.to_vec());
        Self { client, tokens: Tokens::default(), certificates }
    }

    async fn send(&self, access: &Access, call: &Call) -> Result<Vec<u8>, CallError> {
        let token = self.tokens.get(&self.client, access, None).await?;
        let mut answer = call::send(&self.client, access, &token, call).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            // Refused at the door: the token was taken back before its time.
            let token = self.tokens.get(&self.client, access, Some(&token)).await?;
            answer = call::send(&self.client, access, &token, call).await?;
        }
        meaning(answer.status, &answer.body)
    }

    async fn read<T: DeserializeOwned>(&self, access: &Access, call: &Call) -> Result<T, CallError> {
        parse(&self.send(access, call).await?)
    }

    /// As [`read`](Self::read); none when PayPal knows of no such object.
    async fn find<T: DeserializeOwned>(&self, access: &Access, call: &Call) -> Result<Option<T>, CallError> {
        match self.read(access, call).await {
            Ok(found) => Ok(Some(found)),
            Err(CallError::Refused { code }) if is_missing(&code) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An order; the money of an approved one is taken first.
    async fn page(&self, access: &Access, id: &str) -> Result<Truth, CallError> {
        let Some(order) = self.find::<Order>(access, &ask::order(id)?).await? else { return Ok(Truth::Absent) };
        if !order.waits_for_capture() {
            return order.truth();
        }
        match self.read::<Order>(access, &ask::capture(id)?).await {
            Ok(captured) => captured.truth(),
            // The payer chooses another way to pay on the page that is still open.
            Err(CallError::Refused { code }) if decline::of_word(&code).is_some() => Ok(Truth::Open),
            Err(error) => Err(error),
        }
    }

    async fn payment(&self, access: &Access, id: &str) -> Result<Truth, CallError> {
        let Some(capture) = self.find::<Capture>(access, &ask::captured(id)?).await? else {
            return Ok(Truth::Absent);
        };
        // What was saved with it, only the order tells.
        let order = match capture.order_id() {
            "" => None,
            order => self.find::<Order>(access, &ask::order(order)?).await?,
        };
        match order {
            Some(order) if order.capture().is_some() => order.truth(),
            Some(_) | None => capture.truth(None),
        }
    }
}

/// Whether a refusal says that there is no such thing.
fn is_missing(code: &str) -> bool {
    code == MISSING || code == "INVALID_RESOURCE_ID" || code == "TOKEN_ID_NOT_FOUND"
}

#[async_trait]
impl PaymentProvider for PayPal {
    fn name(&self) -> &'static str {
        "paypal"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            saves_methods: true,
            charges_off_session: true,
            partial_refunds: true,
            is_test_mode: false,
            saves_without_payment: true,
            confirms_charges: false,
            takes_evidence: true,
            makes_secret: true,
        }
    }

    fn exponent(&self, currency: Currency) -> u32 {
        amount::exponent(currency)
    }

    fn minimum(&self, currency: Currency) -> i64 {
        super::minimum::of(currency)
    }

    fn takes(&self, currency: Currency) -> bool {
        amount::takes(currency)
    }

    fn base_url(&self) -> &'static str {
        LIVE
    }

    fn events(&self) -> &'static [&'static str] {
        &EVENTS
    }

    /// A key does not tell; the address does.
    fn is_live_key(&self, key: &Secret) -> Option<bool> {
        token::halves(key).map(|_| true)
    }

    fn is_live_address(&self, base_url: &str) -> Option<bool> {
        Some(base_url.trim_end_matches('/') == LIVE)
    }

    fn key_lifetime(&self) -> Option<TimeDelta> {
        Some(KEY_LIFETIME)
    }

    fn advice(&self, code: &str) -> Advice {
        decline::advice(code)
    }

    async fn probe(&self, access: &Access) -> Result<Probe, CallError> {
        // A fresh token, whatever is kept: the secret may have been replaced since.
        Tokens::default().get(&self.client, access, None).await?;
        Ok(Probe { is_live: self.is_live_address(&access.base_url) })
    }

    async fn create_checkout(&self, access: &Access, ask: &CheckoutAsk) -> Result<Checkout, CallError> {
        let order: Order = self.read(access, &ask::checkout(ask)?).await?;
        let url = approval(&order.links).map(str::to_owned).ok_or_else(without_page)?;
        Ok(Checkout { reference: order.id, url, customer: ask.customer.clone() })
    }

    async fn expire_checkout(&self, access: &Access, reference: &str) -> Result<(), CallError> {
        self.send(access, &ask::withdraw(reference)?).await.map(|_| ())
    }

    async fn charge_saved(&self, access: &Access, ask: &ChargeAsk) -> Result<Truth, CallError> {
        let answer = match self.read::<Order>(access, &ask::charge(ask)?).await {
            Ok(order) if order.waits_for_capture() || order.status == "CREATED" => {
                self.read::<Order>(access, &ask::capture(&order.id)?).await
            }
            answer => answer,
        };
        match answer {
            Ok(order) => order.charged(),
            Err(CallError::Refused { code }) => match decline::of_word(&code) {
                Some(decline) => Ok(Truth::Declined { provider_ref: String::new(), decline }),
                None => Err(CallError::Refused { code }),
            },
            // The order is made: the call as a whole may have gone through.
            Err(error) => Err(error),
        }
    }

    async fn fetch_payment(&self, access: &Access, lookup: Lookup<'_>) -> Result<Truth, CallError> {
        match lookup {
            Lookup::Payment(id) => self.payment(access, id).await,
            Lookup::Checkout(id) => self.page(access, id).await,
            // The key alone can tell.
            Lookup::Reference { .. } => Ok(Truth::Absent),
        }
    }

    async fn refund(&self, access: &Access, ask: &RefundAsk) -> Result<refund::Truth, CallError> {
        Ok(self.read::<Refund>(access, &ask::refund(ask)?).await?.truth())
    }

    async fn fetch_refund(&self, access: &Access, reference: &str) -> Result<Option<RefundFact>, CallError> {
        let found: Option<Refund> = self.find(access, &ask::refunded(reference)?).await?;
        found.map(|refund| refund.fact()).transpose()
    }

    async fn reference_of(&self, access: &Access, payment: &str) -> Result<Option<String>, CallError> {
        let capture: Option<Capture> = self.find(access, &ask::captured(payment)?).await?;
        Ok(capture.map(|capture| capture.custom_id).filter(|reference| !reference.is_empty()))
    }

    async fn find_refund(&self, access: &Access, ask: &RefundAsk) -> Result<Option<refund::Truth>, CallError> {
        let facts = self.refunds_of(access, &ask.payment_ref).await?;
        Ok(facts.into_iter().find(|fact| fact.ours == Some(ask.refund)).map(|fact| fact.truth))
    }

    async fn refunds_of(&self, access: &Access, payment: &str) -> Result<Vec<RefundFact>, CallError> {
        let Some(capture) = self.find::<Capture>(access, &ask::captured(payment)?).await? else {
            return Ok(Vec::new());
        };
        if capture.order_id().is_empty() {
            return Ok(Vec::new());
        }
        let order: Option<Order> = self.find(access, &ask::order(capture.order_id())?).await?;
        let facts = order.iter().flat_map(|order| order.refunds()).map(Refund::fact);
        facts.map(|fact| fact.map(|fact| RefundFact { payment_ref: payment.to_owned(), ..fact })).collect()
    }

    async fn fetch_dispute(&self, access: &Access, reference: &str) -> Result<Option<dispute::Truth>, CallError> {
        let found: Option<Dispute> = self.find(access, &ask::dispute(reference)?).await?;
        found.map(|dispute| dispute.truth()).transpose()
    }

    async fn submit_evidence(&self, access: &Access, ask: &EvidenceAsk) -> Result<dispute::Truth, CallError> {
        self.send(access, &ask::evidence(ask)?).await?;
        let mut truth = self.read::<Dispute>(access, &ask::dispute(&ask.reference)?).await?.truth()?;
        truth.is_answered = true;
        Ok(truth)
    }

    async fn create_setup(&self, access: &Access, ask: &SetupAsk) -> Result<Checkout, CallError> {
        let made: SetupToken = self.read(access, &ask::setup(ask)).await?;
        let url = approval(&made.links).map(str::to_owned).ok_or_else(without_page)?;
        let customer = made.customer.map_or_else(|| ask.customer.clone(), |customer| customer.id);
        Ok(Checkout { reference: made.id, url, customer })
    }

    async fn fetch_setup(&self, access: &Access, reference: &str) -> Result<SetupTruth, CallError> {
        let Some(begun) = self.find::<SetupToken>(access, &ask::setup_token(reference)?).await? else {
            return Ok(SetupTruth::Failed);
        };
        if !matches!(begun.status.as_str(), "APPROVED" | "VAULTED" | "TOKENIZED") {
            return Ok(SetupTruth::Open);
        }
        match self.read::<Method>(access, &ask::save(&begun.id)?).await {
            Ok(method) => Ok(SetupTruth::Saved(method.saved())),
            Err(CallError::Refused { .. }) => Ok(SetupTruth::Failed),
            Err(error) => Err(error),
        }
    }

    async fn fetch_method(&self, access: &Access, subject: &Subject) -> Result<Option<MethodFact>, CallError> {
        let Subject::Method(id) = subject else { return Ok(None) };
        let gone = || MethodFact { instrument: id.clone(), is_usable: false, label: String::new(), expires_on: None };
        let found: Option<Method> = self.find(access, &ask::method(id)?).await?;
        Ok(Some(found.map_or_else(gone, |method| method.fact())))
    }

    async fn detach(&self, access: &Access, token: &SavedToken) -> Result<(), CallError> {
        match self.send(access, &ask::forget(token.instrument())?).await {
            // It was forgotten before.
            Ok(_) | Err(CallError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn prepares_webhooks(&self) -> bool {
        true
    }

    async fn prepare_webhook(&self, headers: &HashMap<String, String>, now: DateTime<Utc>) -> Result<(), CallError> {
        let Ok(claimed) = Claimed::read(headers) else { return Ok(()) };
        if self.certificates.get(claimed.certificate, now).is_some() {
            return Ok(());
        }
        let request = self.client.request(Verb::GET, claimed.certificate);
        let request = request.map_err(|error| CallError::NotSent(error.to_string()))?;
        let response = self.client.send(request).await.map_err(|error| call::lost(&error))?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(CallError::NotSent(format!("status {}", status.as_u16())));
        }
        // A redirect, or nothing there: no certificate, and the signature fits none.
        if status == StatusCode::OK {
            let chain = response.bytes().await.map_err(|error| call::lost(&error))?.to_vec();
            if chain.len() <= CHAIN_BYTES_MAX {
                self.certificates.keep(claimed.certificate, chain, now);
            }
        }
        Ok(())
    }

    fn verify_webhook(
        &self,
        raw: &[u8],
        headers: &HashMap<String, String>,
        secrets: &[Secret],
        now: DateTime<Utc>,
    ) -> Result<Notice, Forged> {
        self.certificates.verify(&Claimed::read(headers)?, raw, secrets, now)?;
        event::read(raw)
    }

    fn read_event(&self, raw: &[u8]) -> Result<Notice, Forged> {
        event::read(raw)
    }
}

fn without_page() -> CallError {
    CallError::Ambiguous("a page without an address".to_owned())
}

#[cfg(test)]
mod tests {
    use ottery_kit::http::GuardSettings;

    use super::*;

    #[test]
    fn case_076_the_address_says_whether_real_money_moves() {
        let paypal = PayPal::new(GuardedClient::new(&GuardSettings::default()).unwrap());
        assert_eq!(paypal.is_live_address("https://api-m.paypal.com"), Some(true));
        assert_eq!(paypal.is_live_address("https://api-m.sandbox.paypal.com"), Some(false));
        assert_eq!(paypal.is_live_address("http://127.0.0.1:8420"), Some(false));
        let key = |text: &str| paypal.is_live_key(&Secret::new(text));
        assert_eq!((key("AZ:EM"), key("sk_live_x"), key("")), (Some(true), None, None));
    }
}
