//! Stripe, over its public API: thin calls, no library. Customers and saved cards live at Stripe; the page on which a card is
//! typed is Stripe's own, so that no card number ever comes near us. We own subscriptions, invoices and dunning; Stripe saves
//! instruments, charges them, gives money back and tells us what happened.
//!
//! The token of a saved method is `cus_…/pm_…`: a method is charged together with the customer it belongs to.

mod amount;
mod ask;
mod call;
mod decline;
mod event;
mod wire;

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, Currency, PaymentId};
use ottery_kit::http::GuardedClient;
use ottery_kit::secret::Secret;
use serde::de::DeserializeOwned;

use self::call::{Call, Reply};
use self::wire::{Balance, Dispute, Expandable, Intent, List, Mandate, Method, Only, Refund, Session, SetupIntent};
use super::signature::{self, Forged};
use super::{
    Access, CallError, Capabilities, ChargeAsk, Checkout, CheckoutAsk, ConfirmAsk, Confirmation, EventPage,
    EvidenceAsk, Lookup, MethodFact, Notice, PaymentProvider, Probe, RefundAsk, RefundFact, ReportAsk, ReportPage,
    SetupAsk, SetupTruth, Subject,
};
use crate::domain::decline::Advice;
use crate::domain::pay_way::PayKind;
use crate::domain::payment::{SavedToken, Truth};
use crate::domain::reconcile::Kind;
use crate::domain::{dispute, refund};

pub use call::API_VERSION;
pub use event::EVENTS;

/// Header of its signatures.
const SIGNATURE_HEADER: &str = "stripe-signature";
/// Stripe forgets an idempotency key after 24 hours at the earliest; a little is kept for clocks that differ.
const KEY_LIFETIME: TimeDelta = TimeDelta::hours(23);
/// Pages of a customer's payments that are looked through for one of ours, of 100 each.
const PAGES_MAX: usize = 10;

/// The adapter.
#[derive(Clone, Debug)]
pub struct Stripe {
    client: GuardedClient,
}

impl Stripe {
    /// The adapter over that client.
    #[must_use]
    pub fn new(client: GuardedClient) -> Self {
        Self { client }
    }

    async fn send(&self, access: &Access, call: &Call) -> Result<Reply, CallError> {
        call::send(&self.client, access, call).await
    }

    async fn read<T: DeserializeOwned>(&self, access: &Access, call: &Call) -> Result<T, CallError> {
        self.send(access, call).await?.read()
    }

    /// As [`read`](Self::read); none when Stripe knows of no such object.
    async fn find<T: DeserializeOwned>(&self, access: &Access, call: &Call) -> Result<Option<T>, CallError> {
        match self.read(access, call).await {
            Ok(found) => Ok(Some(found)),
            Err(CallError::Refused { code }) if code == call::MISSING => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The name of a customer; made now when Stripe has not heard of them. A second call of a kind, and harmless: nothing is
    /// charged by it, and its key finds the same customer again.
    async fn customer(
        &self,
        access: &Access,
        known: &str,
        account: AccountId,
        email: &str,
    ) -> Result<String, CallError> {
        if !known.is_empty() {
            return Ok(known.to_owned());
        }
        let made: Only = match self.read(access, &ask::customer(account, email)).await {
            Ok(made) => made,
            // Nothing that matters can have happened.
            Err(CallError::Ambiguous(why)) => return Err(CallError::NotSent(why)),
            Err(error) => return Err(error),
        };
        Ok(made.id)
    }

    async fn by_reference(&self, access: &Access, payment: PaymentId, customer: &str) -> Result<Truth, CallError> {
        if customer.is_empty() {
            return Ok(Truth::Absent);
        }
        let (reference, mut before) = (payment.to_string(), None::<String>);
        for _ in 0..PAGES_MAX {
            let list: List<Intent> = self.read(access, &ask::payments_of(customer, before.as_deref())?).await?;
            let is_ours = |intent: &&Intent| intent.metadata.get(wire::PAYMENT) == Some(&reference);
            if let Some(found) = list.data.iter().find(is_ours) {
                return self.payment(access, &found.id).await;
            }
            before = list.data.last().map(|intent| intent.id.clone());
            if !list.has_more || before.is_none() {
                break;
            }
        }
        Ok(Truth::Absent)
    }

    async fn payment(&self, access: &Access, id: &str) -> Result<Truth, CallError> {
        match self.find::<Intent>(access, &ask::payment(id)?).await? {
            Some(intent) => intent.truth(),
            None => Ok(Truth::Absent),
        }
    }

    async fn page(&self, access: &Access, id: &str) -> Result<Truth, CallError> {
        let Some(page) = self.find::<Session>(access, &ask::page(id)?).await? else { return Ok(Truth::Absent) };
        match (page.status.as_deref(), &page.payment_intent) {
            (Some("expired"), _) => Ok(Truth::Expired),
            // Whether money came, or is still on its way, is the payment's to say.
            (Some("complete"), Some(Expandable::Object(intent))) => intent.truth(),
            (Some("complete"), Some(Expandable::Id(intent))) => self.payment(access, intent).await,
            (Some("complete"), None) => Err(CallError::Ambiguous("a finished page without its payment".to_owned())),
            // A refused card is no end: the customer may take another one.
            (Some(_) | None, _) => Ok(Truth::Open),
        }
    }
}

#[async_trait]
impl PaymentProvider for Stripe {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            saves_methods: true,
            charges_off_session: true,
            partial_refunds: true,
            is_test_mode: false,
            saves_without_payment: true,
            confirms_charges: true,
            takes_evidence: true,
            makes_secret: true,
            takes_when_asked: false,
            refunds_disputes: false,
            finds_by_reference: true,
        }
    }

    fn pay_kind(&self) -> PayKind {
        PayKind::Card
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
        "https://api.stripe.com"
    }

    fn events(&self) -> &'static [&'static str] {
        &EVENTS
    }

    fn api_version(&self) -> &'static str {
        API_VERSION
    }

    fn is_live_key(&self, key: &Secret, _base_url: &str) -> Option<bool> {
        let mut parts = key.expose().split('_');
        match (parts.next(), parts.next()) {
            (Some("sk" | "rk"), Some("live")) => Some(true),
            (Some("sk" | "rk"), Some("test")) => Some(false),
            _ => None,
        }
    }

    fn key_form(&self) -> &'static str {
        "a secret or restricted key (sk_…, rk_…)"
    }

    fn key_lifetime(&self) -> Option<TimeDelta> {
        Some(KEY_LIFETIME)
    }

    fn advice(&self, code: &str) -> Advice {
        decline::advice(code)
    }

    fn is_customer_gone(&self, code: &str) -> bool {
        // A page names nothing else of theirs than the customer.
        code == call::MISSING
    }

    async fn probe(&self, access: &Access) -> Result<Probe, CallError> {
        let balance: Balance = self.read(access, &Call::get("/v1/balance")).await?;
        Ok(Probe { is_live: balance.livemode })
    }

    async fn create_checkout(&self, access: &Access, ask: &CheckoutAsk) -> Result<Checkout, CallError> {
        // What cannot be asked for is refused before anything is made.
        ask::checkout(ask, "")?;
        let customer = self.customer(access, &ask.customer, ask.account, &ask.email).await?;
        let page: Session = self.read(access, &ask::checkout(ask, &customer)?).await?;
        made(page, customer)
    }

    async fn expire_checkout(&self, access: &Access, reference: &str) -> Result<(), CallError> {
        self.read::<Session>(access, &ask::expire(reference)?).await.map(|_| ())
    }

    async fn charge_saved(&self, access: &Access, ask: &ChargeAsk) -> Result<Truth, CallError> {
        match self.send(access, &ask::charge(ask)?).await? {
            Reply::Done(body) => call::parse::<Intent>(&body)?.truth(),
            Reply::Declined(error) => {
                let provider_ref = error.payment_intent.as_ref().map(|intent| intent.id.clone()).unwrap_or_default();
                Ok(Truth::Declined { provider_ref, decline: error.decline() })
            }
        }
    }

    async fn fetch_payment(&self, access: &Access, lookup: Lookup<'_>) -> Result<Truth, CallError> {
        match lookup {
            Lookup::Payment(id) => self.payment(access, id).await,
            Lookup::Checkout(id) => self.page(access, id).await,
            Lookup::Reference { payment, customer } => self.by_reference(access, payment, customer).await,
        }
    }

    async fn refund(&self, access: &Access, ask: &RefundAsk) -> Result<refund::Truth, CallError> {
        Ok(self.read::<Refund>(access, &ask::refund(ask)?).await?.truth())
    }

    async fn fetch_refund(&self, access: &Access, reference: &str) -> Result<Option<RefundFact>, CallError> {
        let found: Option<Refund> = self.find(access, &ask::object("refunds", reference)?).await?;
        found.map(|refund| refund.fact()).transpose()
    }

    async fn confirm(&self, access: &Access, ask: &ConfirmAsk) -> Result<Confirmation, CallError> {
        let intent: Intent = match self.send(access, &ask::confirm(ask)?).await? {
            Reply::Done(body) => call::parse(&body)?,
            Reply::Declined(error) => {
                let truth = Truth::Declined { provider_ref: ask.payment_ref.clone(), decline: error.decline() };
                return Ok(Confirmation::Decided(truth));
            }
        };
        match intent.next_action.as_ref().and_then(|next| next.redirect_to_url.as_ref()) {
            Some(bank) => Ok(Confirmation::GoTo(bank.url.clone())),
            None => intent.truth().map(Confirmation::Decided),
        }
    }

    async fn cancel_payment(&self, access: &Access, reference: &str) -> Result<Truth, CallError> {
        match self.read::<Intent>(access, &ask::cancel(reference)?).await {
            // What cannot be given up any more has come to an end of its own.
            Ok(_) | Err(CallError::Refused { .. }) => self.payment(access, reference).await,
            Err(error) => Err(error),
        }
    }

    async fn reference_of(&self, access: &Access, payment: &str) -> Result<Option<String>, CallError> {
        let intent: Option<Intent> = self.find(access, &ask::object("payment_intents", payment)?).await?;
        Ok(intent.and_then(|intent| intent.metadata.get(wire::PAYMENT).cloned()))
    }

    async fn find_refund(&self, access: &Access, ask: &RefundAsk) -> Result<Option<refund::Truth>, CallError> {
        let list: List<Refund> = self.read(access, &ask::refunds_of(&ask.payment_ref)?).await?;
        let reference = ask.refund.to_string();
        let is_ours = |refund: &&Refund| refund.metadata.get(wire::REFUND) == Some(&reference);
        Ok(list.data.iter().find(is_ours).map(Refund::truth))
    }

    async fn refunds_of(&self, access: &Access, payment: &str) -> Result<Vec<RefundFact>, CallError> {
        let list: List<Refund> = self.read(access, &ask::refunds_of(payment)?).await?;
        list.data.iter().map(Refund::fact).collect()
    }

    async fn fetch_dispute(&self, access: &Access, reference: &str) -> Result<Option<dispute::Truth>, CallError> {
        let found: Option<Dispute> = self.find(access, &ask::object("disputes", reference)?).await?;
        found.map(|dispute| dispute.truth()).transpose()
    }

    async fn submit_evidence(&self, access: &Access, ask: &EvidenceAsk) -> Result<dispute::Truth, CallError> {
        self.read::<Dispute>(access, &ask::evidence(ask)?).await?.truth()
    }

    async fn accept_dispute(&self, access: &Access, reference: &str) -> Result<dispute::Truth, CallError> {
        self.read::<Dispute>(access, &ask::accept(reference)?).await?.truth()
    }

    async fn events_after(&self, access: &Access, event: &str) -> Result<Option<EventPage>, CallError> {
        let list: List<serde_json::Value> = self.read(access, &ask::events_after(event)?).await?;
        // The newest first, and before `event` those that are next to it.
        let events = list.data.iter().rev().map(event::listed).collect::<Result<_, _>>()?;
        // Without an event to begin with, what there is more of is older.
        Ok(Some(EventPage { events, has_more: list.has_more && !event.is_empty() }))
    }

    async fn report(&self, access: &Access, ask: ReportAsk<'_>) -> Result<Option<ReportPage>, CallError> {
        let call = ask::report(ask)?;
        Ok(Some(match ask.kind {
            Kind::Payment => {
                let list: List<Intent> = self.read(access, &call).await?;
                ReportPage {
                    rows: list.data.iter().filter_map(Intent::reported).collect(),
                    next: list.next(|one| &one.id),
                }
            }
            Kind::Refund => {
                let list: List<Refund> = self.read(access, &call).await?;
                ReportPage { rows: list.data.iter().map(Refund::reported).collect(), next: list.next(|one| &one.id) }
            }
            Kind::Dispute => {
                let list: List<Dispute> = self.read(access, &call).await?;
                ReportPage { rows: list.data.iter().map(Dispute::reported).collect(), next: list.next(|one| &one.id) }
            }
        }))
    }

    async fn create_setup(&self, access: &Access, ask: &SetupAsk) -> Result<Checkout, CallError> {
        let customer = self.customer(access, &ask.customer, ask.account, &ask.email).await?;
        let page: Session = self.read(access, &ask::setup(ask, &customer)).await?;
        made(page, customer)
    }

    async fn fetch_setup(&self, access: &Access, reference: &str) -> Result<SetupTruth, CallError> {
        let Some(page) = self.find::<Session>(access, &ask::page(reference)?).await? else {
            return Ok(SetupTruth::Failed);
        };
        let intent: SetupIntent = match (page.status.as_deref(), page.setup_intent) {
            (Some("expired"), _) => return Ok(SetupTruth::Failed),
            (Some("complete"), Some(Expandable::Object(intent))) => *intent,
            (Some("complete"), Some(Expandable::Id(id))) => {
                self.read(access, &ask::object("setup_intents", &id)?).await?
            }
            (Some(_) | None, _) => return Ok(SetupTruth::Open),
        };
        match (intent.status.as_str(), intent.payment_method) {
            ("succeeded", Some(method)) => {
                let method = match method {
                    Expandable::Object(method) => *method,
                    Expandable::Id(id) => self.read(access, &ask::object("payment_methods", &id)?).await?,
                };
                Ok(method.saved().map_or(SetupTruth::Failed, SetupTruth::Saved))
            }
            ("canceled", _) => Ok(SetupTruth::Failed),
            _ => Ok(SetupTruth::Open),
        }
    }

    async fn fetch_method(&self, access: &Access, subject: &Subject) -> Result<Option<MethodFact>, CallError> {
        match subject {
            Subject::Method(id) => {
                let found: Option<Method> = self.find(access, &ask::object("payment_methods", id)?).await?;
                Ok(found.map(|method| method.fact()))
            }
            Subject::Mandate(id) => {
                let found: Option<Mandate> = self.find(access, &ask::object("mandates", id)?).await?;
                Ok(found.and_then(|mandate| mandate.fact()))
            }
            _ => Ok(None),
        }
    }

    async fn detach(&self, access: &Access, token: &SavedToken) -> Result<(), CallError> {
        match self.read::<Method>(access, &ask::detach(token.instrument())?).await {
            // It belonged to nobody any more.
            Ok(_) | Err(CallError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn verify_webhook(
        &self,
        _: &str,
        raw: &[u8],
        headers: &HashMap<String, String>,
        secrets: &[Secret],
        now: DateTime<Utc>,
    ) -> Result<Notice, Forged> {
        let header = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(SIGNATURE_HEADER));
        let (_, header) = header.ok_or(Forged::Unsigned)?;
        signature::verify(header, raw, secrets, now)?;
        event::read(raw)
    }

    fn read_event(&self, raw: &[u8]) -> Result<Notice, Forged> {
        event::read(raw)
    }
}

fn made(page: Session, customer: String) -> Result<Checkout, CallError> {
    let url = page.url.ok_or_else(|| CallError::Ambiguous("a page without an address".to_owned()))?;
    Ok(Checkout { reference: page.id, url, customer })
}

#[cfg(test)]
mod tests {
    use ottery_kit::http::GuardSettings;

    use super::*;

    fn stripe() -> Stripe {
        Stripe::new(GuardedClient::new(&GuardSettings::default()).unwrap())
    }

    #[test]
    fn case_076_a_key_says_whether_it_moves_real_money() {
        let live = |key: &str| stripe().is_live_key(&Secret::new(key), "");
        assert_eq!((live("sk_live_x"), live("rk_live_x")), (Some(true), Some(true)));
        assert_eq!((live("sk_test_x"), live("rk_test_x")), (Some(false), Some(false)));
        assert_eq!((live("pk_live_x"), live("x"), live("")), (None, None, None));
    }

    #[test]
    fn secure_s19_what_python_signs_is_known_here() {
        // Made with Python's hmac, as localstripe makes its own.
        let body =
            br#"{"id":"evt_1","type":"payment_intent.succeeded","livemode":false,"data":{"object":{"id":"pi_1"}}}"#;
        let now = DateTime::from_timestamp(1_795_769_701, 0).unwrap();
        let secrets = [Secret::new("whsec_test")];
        let header =
            |signature: &str| HashMap::from([("Stripe-Signature".to_owned(), format!("t=1795769701,v1={signature}"))]);
        let verify = |signature: &str| stripe().verify_webhook("", body, &header(signature), &secrets, now);
        let signed = "66ea2d6e2920fbe318b5233bf8ce0156692c419e46af58d78c7a60aee1b68416";
        assert_eq!(verify(signed).unwrap().subject, Subject::Payment("pi_1".into()));
        assert_eq!(verify(&signed.to_uppercase()), Err(Forged::Wrong));
        assert_eq!(stripe().verify_webhook("", body, &HashMap::new(), &secrets, now), Err(Forged::Unsigned));
    }
}
