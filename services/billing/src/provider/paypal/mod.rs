//! PayPal, over its public API: Orders v2, vaulted wallets, refunds, disputes. Thin calls, no library. The payer agrees on
//! PayPal's own page, and we take the money then: an order that is approved and never captured is no payment.
//!
//! The token of a saved method is `<customer>/<payment token>`, and the last part alone charges it. An order is found by the
//! id PayPal gives it, never by ours: a charge whose answer was lost is made again with the same key, which PayPal answers with
//! the first one for six hours.

mod amount;
mod ask;
mod call;
mod certificate;
mod decline;
mod event;
mod host;
mod token;
mod window;
mod wire;

use std::collections::HashMap;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{Currency, Money};
use ottery_kit::http::GuardedClient;
use ottery_kit::secret::Secret;
use serde::de::DeserializeOwned;
use url::Url;

use self::call::{Call, Reply};
use self::certificate::Certificates;
use self::event::Transmission;
use self::token::{Tokens, credentials};
use self::window::Window;
use self::wire::{Capture, Dispute, DisputeList, EventList, Order, Refund, VaultToken};
use super::answer::parse;
use super::{
    Access, CallError, Capabilities, ChargeAsk, Checkout, CheckoutAsk, EventPage, Forged, LateMethod, Listed, Lookup,
    MethodFact, Notice, PageTruth, PaymentProvider, Probe, RefundAsk, RefundFact, ReportAsk, ReportPage, SetupAsk,
    SetupTruth, Subject, report,
};
use crate::domain::decline::Advice;
use crate::domain::pay_way::PayKind;
use crate::domain::payment::{Decline, DeclineClass, SavedToken, Truth};
use crate::domain::reconcile::Kind;
use crate::domain::{dispute, refund};

pub use certificate::Anchors;
pub use event::EVENTS;

/// PayPal forgets the key of an order after six hours; a little is kept for clocks that differ.
const KEY_LIFETIME: TimeDelta = TimeDelta::minutes(345);
/// Answers that are read of one list of events: two thousand events.
const EVENT_PAGES_MAX: usize = 40;
/// The word for an event a provider has forgotten.
const EVENT_GONE: &str = "resource_missing";
/// PayPal's word, as we keep it, for a saved method that is not there.
const METHOD_GONE: &str = "token_id_not_found";
/// PayPal's word, as we keep it, for a customer it does not know.
const CUSTOMER_GONE: &str = "invalid_customer_id";
/// PayPal's word, as we keep it, for a payment of which nothing is left.
const ALL_GIVEN_BACK: &str = "capture_fully_refunded";

/// The adapter.
#[derive(Clone, Debug)]
pub struct PayPal {
    client: GuardedClient,
    tokens: Tokens,
    certificates: Certificates,
}

impl PayPal {
    /// The adapter over that client; certificates of webhooks lead to one of the anchors.
    #[must_use]
    pub fn new(client: GuardedClient, anchors: Anchors) -> Self {
        Self { client, tokens: Tokens::default(), certificates: Certificates::new(anchors) }
    }

    async fn send(&self, access: &Access, call: &Call) -> Result<Reply, CallError> {
        call::send(&self.client, &self.tokens, access, call).await
    }

    async fn read<T: DeserializeOwned>(&self, access: &Access, call: &Call) -> Result<T, CallError> {
        self.send(access, call).await?.read()
    }

    /// As [`read`](Self::read); none when PayPal knows of no such object.
    async fn find<T: DeserializeOwned>(&self, access: &Access, call: &Call) -> Result<Option<T>, CallError> {
        match self.read(access, call).await {
            Ok(found) => Ok(Some(found)),
            Err(CallError::Refused { code }) if code == call::MISSING || code == METHOD_GONE => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What an order we were given the id of says. One that is not there any more nobody agreed to while it was.
    async fn order(&self, access: &Access, id: &str) -> Result<Truth, CallError> {
        let found: Option<Order> = self.find(access, &ask::order(id)?).await?;
        found.map_or(Ok(Truth::Expired), |order| order.truth())
    }

    /// What a capture says; its order says more, such as what was saved.
    async fn captured(&self, access: &Access, id: &str) -> Result<Truth, CallError> {
        let Some(capture) = self.find::<Capture>(access, &ask::captured(id)?).await? else { return Ok(Truth::Absent) };
        let order: Option<Order> = match capture.order() {
            Some(order) => self.find(access, &ask::order(order)?).await?,
            None => None,
        };
        match order.filter(Order::has_captures) {
            Some(order) => order.truth(),
            None => capture.truth(None),
        }
    }

    /// Takes what was agreed to. What is lost on the way may have been done, now or before: then the order says so.
    async fn capture(&self, access: &Access, order: &str) -> Result<Truth, CallError> {
        match self.send(access, &ask::capture(order)?).await {
            Ok(Reply::Done(body)) => parse::<Order>(&body)?.truth(),
            Ok(Reply::Declined(decline)) => Ok(Truth::Declined { provider_ref: String::new(), decline }),
            Err(CallError::Ambiguous(why)) => match self.order(access, order).await {
                Ok(Truth::Open | Truth::Expired | Truth::Absent) | Err(_) => Err(CallError::Ambiguous(why)),
                Ok(decided) => Ok(decided),
            },
            Err(error) => Err(error),
        }
    }

    /// The events between two times, the oldest first, and whether these are all of them.
    async fn events_between(
        &self,
        access: &Access,
        since: DateTime<Utc>,
        until: Option<DateTime<Utc>>,
    ) -> Result<(Vec<Listed>, bool), CallError> {
        let (mut events, mut next) = (Vec::new(), Some(ask::events(Some(since), until)));
        for _ in 0..EVENT_PAGES_MAX {
            let Some(call) = next.take() else { break };
            let page: EventList = self.read(access, &call).await?;
            for event in &page.events {
                events.push(event::listed(event)?);
            }
            next = ask::events_next(&page.links);
        }
        Ok((window::in_order(events), next.is_none()))
    }

    /// The order a capture was taken for, with its refunds.
    async fn order_of(&self, access: &Access, capture: &str) -> Result<Option<Order>, CallError> {
        let found: Option<Capture> = self.find(access, &ask::captured(capture)?).await?;
        match found.as_ref().and_then(Capture::order) {
            Some(order) => self.find(access, &ask::order(order)?).await,
            None => Ok(None),
        }
    }
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
            takes_evidence: false,
            makes_secret: true,
            takes_when_asked: true,
            refunds_disputes: true,
            finds_by_reference: false,
        }
    }

    fn pay_kind(&self) -> PayKind {
        PayKind::PayPal
    }

    fn exponent(&self, currency: Currency) -> u32 {
        amount::exponent(currency)
    }

    fn minimum(&self, _: Currency) -> i64 {
        0
    }

    fn takes(&self, currency: Currency) -> bool {
        amount::takes(currency)
    }

    fn expresses(&self, amount: Money) -> bool {
        amount::expresses(amount)
    }

    fn base_url(&self) -> &'static str {
        "https://api-m.paypal.com"
    }

    fn events(&self) -> &'static [&'static str] {
        &EVENTS
    }

    fn is_live_key(&self, key: &Secret, base_url: &str) -> Option<bool> {
        credentials(key)?;
        Some(host::is_live(&Url::parse(base_url).ok()?))
    }

    fn is_safe_address(&self, base_url: &Url) -> bool {
        base_url.scheme() == "https" || !base_url.host_str().is_some_and(host::is_paypals)
    }

    fn key_form(&self) -> &'static str {
        "the client id and the secret of a REST app with a colon between them (AbC…:EfG…)"
    }

    fn key_lifetime(&self) -> Option<TimeDelta> {
        Some(KEY_LIFETIME)
    }

    fn advice(&self, code: &str) -> Advice {
        decline::advice(code)
    }

    fn is_customer_gone(&self, code: &str) -> bool {
        // A page names nothing else of theirs than the customer.
        code == call::MISSING || code == CUSTOMER_GONE
    }

    async fn probe(&self, access: &Access) -> Result<Probe, CallError> {
        self.tokens.renew(&self.client, access).await?;
        Ok(Probe { is_live: None })
    }

    async fn create_checkout(&self, access: &Access, ask: &CheckoutAsk) -> Result<Checkout, CallError> {
        let order = match self.read::<Order>(access, &ask::checkout(ask)?).await {
            // PayPal allows an account to save wallets when it pleases: better paid by hand every time than not at all.
            Err(CallError::Refused { code }) if ask.save_method && decline::is_without_vault(&code) => {
                tracing::warn!(payment.id = %ask.payment, %code, "PayPal saves no wallets for this account");
                let once = CheckoutAsk { save_method: false, ..ask.clone() };
                self.read::<Order>(access, &ask::checkout(&once)?).await?
            }
            made => made?,
        };
        let url = wire::page(&order.links).ok_or_else(|| CallError::Ambiguous("an order without a page".to_owned()))?;
        Ok(Checkout { url: url.to_owned(), reference: order.id, customer: ask.customer.clone() })
    }

    /// There is no such call, and none is needed: what we do not take is not taken.
    async fn expire_checkout(&self, _: &Access, _: &str) -> Result<(), CallError> {
        Ok(())
    }

    async fn charge_saved(&self, access: &Access, ask: &ChargeAsk) -> Result<Truth, CallError> {
        let order: Order = match self.send(access, &ask::charge(ask)?).await? {
            Reply::Done(body) => parse(&body)?,
            Reply::Declined(decline) => return Ok(Truth::Declined { provider_ref: String::new(), decline }),
        };
        if order.waits_for_us() {
            return match self.capture(access, &order.id).await? {
                // Nobody was told of this order: only the same call with the same key finds it again.
                Truth::Open | Truth::Expired => Err(CallError::Ambiguous("captured without a capture".to_owned())),
                decided => Ok(decided),
            };
        }
        match order.truth()? {
            // Nobody stands before a page.
            Truth::Open => Ok(Truth::Declined {
                provider_ref: String::new(),
                decline: Decline { class: DeclineClass::Action, code: "payer_action_required".to_owned() },
            }),
            decided => Ok(decided),
        }
    }

    async fn fetch_payment(&self, access: &Access, lookup: Lookup<'_>) -> Result<Truth, CallError> {
        match lookup {
            Lookup::Payment(id) => self.captured(access, id).await,
            Lookup::Checkout(id) => self.order(access, id).await,
            // PayPal finds nothing by our id: the key, or the webhook, tells.
            Lookup::Reference { .. } => Ok(Truth::Absent),
        }
    }

    async fn read_checkout(&self, access: &Access, reference: &str) -> Result<PageTruth, CallError> {
        let found: Option<Order> = self.find(access, &ask::order(reference)?).await?;
        Ok(match found {
            None => PageTruth::Told(Truth::Expired),
            Some(order) if order.status == "APPROVED" && order.waits_for_us() => PageTruth::Agreed,
            Some(order) => PageTruth::Told(order.truth()?),
        })
    }

    async fn take_checkout(&self, access: &Access, reference: &str) -> Result<Truth, CallError> {
        self.capture(access, reference).await
    }

    async fn refund(&self, access: &Access, ask: &RefundAsk) -> Result<refund::Truth, CallError> {
        match self.read::<Refund>(access, &ask::refund(ask)?).await {
            Ok(refund) => Ok(refund.truth()),
            // Perhaps it was this one that gave the rest back.
            Err(CallError::Refused { code }) if code == ALL_GIVEN_BACK => {
                self.find_refund(access, ask).await?.ok_or(CallError::Refused { code })
            }
            Err(error) => Err(error),
        }
    }

    async fn fetch_refund(&self, access: &Access, reference: &str) -> Result<Option<RefundFact>, CallError> {
        let found: Option<Refund> = self.find(access, &ask::refunded(reference)?).await?;
        found.map(|refund| refund.fact(None)).transpose()
    }

    async fn reference_of(&self, access: &Access, payment: &str) -> Result<Option<String>, CallError> {
        let capture: Option<Capture> = self.find(access, &ask::captured(payment)?).await?;
        Ok(capture.and_then(|capture| capture.custom_id))
    }

    async fn find_refund(&self, access: &Access, ask: &RefundAsk) -> Result<Option<refund::Truth>, CallError> {
        let order = self.order_of(access, &ask.payment_ref).await?;
        let reference = ask.refund.to_string();
        let ours = order
            .as_ref()
            .and_then(|order| order.refunds().find(|refund| refund.custom_id.as_deref() == Some(reference.as_str())));
        Ok(ours.map(Refund::truth))
    }

    async fn refunds_of(&self, access: &Access, payment: &str) -> Result<Vec<RefundFact>, CallError> {
        let order = self.order_of(access, payment).await?;
        order.iter().flat_map(Order::refunds).map(|refund| refund.fact(Some(payment))).collect()
    }

    async fn fetch_dispute(&self, access: &Access, reference: &str) -> Result<Option<dispute::Truth>, CallError> {
        let found: Option<Dispute> = self.find(access, &ask::dispute(reference)?).await?;
        found.map(|dispute| dispute.truth()).transpose()
    }

    /// PayPal lists by time, in no order we rely on, so all of a span of time is read before anything is told: everything since the
    /// time of `event`, or as much of it as is read at a time.
    async fn events_after(&self, access: &Access, event: &str) -> Result<Option<EventPage>, CallError> {
        if event.is_empty() {
            // Without a time to begin at, what there is more of is older.
            let page: EventList = self.read(access, &ask::events(None, None)).await?;
            let events = page.events.iter().map(event::listed).collect::<Result<Vec<_>, _>>()?;
            return Ok(Some(EventPage { events: window::in_order(events), has_more: false }));
        }
        let begun: Option<serde_json::Value> = self.find(access, &ask::event(event)?).await?;
        let gone = || CallError::Refused { code: EVENT_GONE.to_owned() };
        let begun = event::listed(&begun.ok_or_else(gone)?)?;
        let (events, is_all) = self.events_between(access, begun.at, None).await?;
        if is_all {
            return Ok(Some(EventPage { events, has_more: false }));
        }
        // One of them is beyond the first, so that some window brings it, and with it a place from which to go on.
        let mut window = Window::after(&begun, &events).ok_or_else(window::too_many)?;
        loop {
            let (events, is_all) = self.events_between(access, window.since, Some(window.until)).await?;
            window = if !is_all {
                window.narrower().ok_or_else(window::too_many)?
            } else if window::goes_beyond(&begun, &events) {
                return Ok(Some(EventPage { events, has_more: true }));
            } else {
                window.behind().ok_or_else(window::too_many)?
            };
        }
    }

    async fn create_setup(&self, access: &Access, ask: &SetupAsk) -> Result<Checkout, CallError> {
        let made: VaultToken = self.read(access, &ask::setup(ask)).await?;
        let url = wire::page(&made.links).ok_or_else(|| CallError::Ambiguous("a token without a page".to_owned()))?;
        let customer = made.customer.as_ref().and_then(|customer| customer.id.clone());
        Ok(Checkout {
            url: url.to_owned(),
            reference: made.id,
            customer: customer.unwrap_or_else(|| ask.customer.clone()),
        })
    }

    async fn fetch_setup(&self, access: &Access, reference: &str) -> Result<SetupTruth, CallError> {
        let Some(made) = self.find::<VaultToken>(access, &ask::set_up(reference)?).await? else {
            return Ok(SetupTruth::Failed);
        };
        if !matches!(made.status.as_str(), "APPROVED" | "VAULTED" | "TOKENIZED") {
            return Ok(SetupTruth::Open);
        }
        match self.read::<VaultToken>(access, &ask::keep(reference)?).await {
            Ok(kept) => Ok(SetupTruth::Saved(kept.saved())),
            Err(CallError::Refused { .. }) => Ok(SetupTruth::Failed),
            Err(error) => Err(error),
        }
    }

    /// Payments and refunds are in no list of the API that is described to us: the transaction search is not part of it. Objections
    /// are listed in short, and each is read.
    async fn report(&self, access: &Access, ask: ReportAsk<'_>) -> Result<Option<ReportPage>, CallError> {
        if ask.kind != Kind::Dispute {
            return Ok(None);
        }
        let list: DisputeList = self.read(access, &ask::disputes(ask)).await?;
        let mut rows = Vec::new();
        for listed in &list.items {
            let found: Option<Dispute> = self.find(access, &ask::dispute(&listed.dispute_id)?).await?;
            rows.extend(found.map(|dispute| match dispute.truth() {
                Ok(truth) => report::dispute(&truth),
                Err(_) => report::unreadable(Kind::Dispute, &dispute.dispute_id, "", ""),
            }));
        }
        Ok(Some(ReportPage { rows, next: ask::disputes_next(&list.links) }))
    }

    async fn fetch_method(&self, access: &Access, subject: &Subject) -> Result<Option<MethodFact>, CallError> {
        let Subject::Method(id) = subject else { return Ok(None) };
        let found: Option<VaultToken> = self.find(access, &ask::method(id)?).await?;
        let label = found.as_ref().map(|found| found.saved().label).unwrap_or_default();
        Ok(Some(MethodFact { instrument: id.clone(), is_usable: found.is_some(), label, expires_on: None }))
    }

    async fn late_method(
        &self,
        access: &Access,
        method: &str,
        checkout: &str,
    ) -> Result<Option<LateMethod>, CallError> {
        let order: Option<Order> = self.find(access, &ask::order(checkout)?).await?;
        let Some(reference) = order.as_ref().and_then(Order::reference) else { return Ok(None) };
        let kept: Option<VaultToken> = self.find(access, &ask::method(method)?).await?;
        Ok(kept.map(|kept| LateMethod { reference: reference.to_owned(), saved: kept.saved() }))
    }

    async fn detach(&self, access: &Access, token: &SavedToken) -> Result<(), CallError> {
        match self.send(access, &ask::forget(token.instrument())?).await {
            // It was forgotten before.
            Ok(_) | Err(CallError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn prepare_webhook(&self, base_url: &str, headers: &HashMap<String, String>) -> Result<(), Forged> {
        let transmission = Transmission::of(headers)?;
        self.certificates.prepare(&self.client, transmission.certificate, base_url).await
    }

    fn verify_webhook(
        &self,
        base_url: &str,
        raw: &[u8],
        headers: &HashMap<String, String>,
        secrets: &[Secret],
        now: DateTime<Utc>,
    ) -> Result<Notice, Forged> {
        let transmission = Transmission::of(headers)?;
        let is_late = transmission.is_late(now)?;
        let signature = STANDARD.decode(transmission.signature).map_err(|_| Forged::Unsigned)?;
        // What stands in place of a secret is the id PayPal gave our address: it is part of what is signed.
        let mut outcome = Err(Forged::Wrong);
        for id in secrets.iter().filter(|id| !id.is_empty()) {
            let signed = transmission.signed(id.expose(), raw);
            let at = (transmission.certificate, base_url);
            outcome = self.certificates.verify(at, signed.as_bytes(), &signature, now);
            if outcome.is_ok() {
                break;
            }
        }
        outcome?;
        if is_late {
            tracing::info!(transmission.id = %transmission.id, sent = %transmission.time, "webhook of PayPal that is days old");
        }
        event::read(raw)
    }

    fn read_event(&self, raw: &[u8]) -> Result<Notice, Forged> {
        event::read(raw)
    }
}

#[cfg(test)]
mod tests {
    use ottery_kit::http::GuardSettings;

    use super::*;

    #[test]
    fn case_076_the_address_says_whether_real_money_moves() {
        let client = GuardedClient::new(&GuardSettings::default()).unwrap();
        let paypal = PayPal::new(client, Anchors::web());
        let live = |key: &str, base: &str| paypal.is_live_key(&Secret::new(key), base);
        assert_eq!(live("id:secret", "https://api-m.paypal.com"), Some(true));
        assert_eq!(live("id:secret", "https://api-m.sandbox.paypal.com"), Some(false));
        assert_eq!(live("id:secret", "http://127.0.0.1:8000"), Some(false));
        assert_eq!((live("id", "https://api-m.paypal.com"), live("id:secret", "")), (None, None));
    }

    #[test]
    fn client_id_and_secret_are_sent_to_paypal_encrypted_alone() {
        let client = GuardedClient::new(&GuardSettings::default()).unwrap();
        let paypal = PayPal::new(client, Anchors::web());
        let is_safe = |url: &str| paypal.is_safe_address(&Url::parse(url).unwrap());
        assert!(is_safe("https://api-m.paypal.com") && is_safe("http://127.0.0.1:8000"));
        assert!(!is_safe("http://api-m.paypal.com") && !is_safe("http://api-m.sandbox.paypal.com"));
    }
}
