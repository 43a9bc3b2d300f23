//! The simulated provider, spoken to over the wire like any other: JSON, a bearer key, `Idempotency-Key`.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ottery_kernel::{Currency, Money};
use ottery_kit::http::{GuardedClient, HttpError};
use ottery_kit::secret::Secret;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::signature::{self, Forged};
use super::{
    Access, CallError, Capabilities, ChargeAsk, Checkout, CheckoutAsk, Lookup, Notice, PaymentProvider, Probe,
    RefundAsk, RefundFact, ReportAsk, ReportPage, Subject, from_provider, last_day, report, to_provider,
};
use crate::domain::pay_way::PayKind;
use crate::domain::payment::{Capture, Decline, DeclineClass, Fingerprint, SavedToken, Truth};
use crate::domain::reconcile::{Kind, Theirs};
use crate::domain::refund;

/// Header of its signatures.
const SIGNATURE_HEADER: &str = "sandbox-signature";
/// Rows of a page of a report.
const REPORT_ROWS: usize = 100;
/// Currencies it counts in whole units.
const NO_DIGITS: [&str; 17] = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
    "XPF",
];
/// Currencies it counts in thousandths.
const THREE_DIGITS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

/// The adapter.
#[derive(Clone, Debug)]
pub struct Sandbox {
    client: GuardedClient,
}

#[derive(Deserialize)]
struct Amount {
    currency: String,
    minor: i64,
}

#[derive(Deserialize)]
struct Card {
    #[serde(default)]
    brand: String,
    #[serde(default)]
    last4: String,
    #[serde(default)]
    exp_month: Option<u32>,
    #[serde(default)]
    exp_year: Option<i32>,
    #[serde(default)]
    fingerprint: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: String,
    #[serde(default)]
    class: String,
}

#[derive(Deserialize)]
struct Payment {
    id: String,
    #[serde(default)]
    reference: String,
    amount: Amount,
    #[serde(default)]
    fee: Option<Amount>,
    status: String,
    #[serde(default)]
    decline: Option<Refusal>,
    #[serde(default)]
    payment_method: Option<String>,
    #[serde(default)]
    card: Option<Card>,
    #[serde(default)]
    off_session: bool,
}

#[derive(Deserialize)]
struct Page {
    id: String,
    url: String,
    status: String,
    payment: Option<String>,
}

#[derive(Deserialize)]
#[serde(bound = "T: serde::de::DeserializeOwned")]
struct List<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
struct Refund {
    id: String,
    payment: String,
    amount: Amount,
    status: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: Refusal,
    #[serde(default)]
    payment: Option<Payment>,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    object: Value,
}

impl Sandbox {
    /// The adapter over that client.
    #[must_use]
    pub fn new(client: GuardedClient) -> Self {
        Self { client }
    }

    /// One call. The status and the body, whatever they are; an error only when there is none.
    async fn call(
        &self,
        access: &Access,
        method: Method,
        path: &str,
        sent: Option<(&str, &Value)>,
    ) -> Result<(StatusCode, Vec<u8>), CallError> {
        let url = format!("{}{path}", access.base_url.trim_end_matches('/'));
        let not_sent = |error: &dyn std::fmt::Display| CallError::NotSent(error.to_string());
        let mut request = self.client.request(method, &url).map_err(|error| not_sent(&error))?;
        request = request.bearer_auth(access.api_key.expose());
        if let Some((key, body)) = sent {
            request = request.header("idempotency-key", key).json(body);
        }
        let lost = |error: HttpError| {
            if error.surely_not_sent() { not_sent(&error) } else { CallError::Ambiguous(error.to_string()) }
        };
        let response = self.client.send(request).await.map_err(lost)?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| CallError::Ambiguous(error.to_string()))?;
        Ok((status, body.to_vec()))
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, access: &Access, path: &str) -> Result<Option<T>, CallError> {
        let (status, body) = self.call(access, Method::GET, path, None).await?;
        match status {
            StatusCode::OK => parse(&body).map(Some),
            StatusCode::NOT_FOUND if is_sandbox_error(&body) => Ok(None),
            _ => Err(refusal(status, &body)),
        }
    }

    fn money(&self, amount: &Amount) -> Result<Money, CallError> {
        let currency: Currency =
            amount.currency.parse().map_err(|_| CallError::Ambiguous(format!("an amount in `{}`", amount.currency)))?;
        Ok(from_provider(amount.minor, currency, self.exponent(currency)))
    }

    fn amount(&self, money: Money) -> Result<Value, CallError> {
        let minor = to_provider(money, self.exponent(money.currency))?;
        Ok(json!({"currency": money.currency.code(), "minor": minor}))
    }

    fn truth(&self, payment: Payment) -> Result<Truth, CallError> {
        match payment.status.as_str() {
            "succeeded" => {
                // A charge names the method it used; only a page can have saved a new one.
                let saved = payment.payment_method.filter(|_| !payment.off_session).map(SavedToken);
                let card = payment.card.as_ref();
                Ok(Truth::Captured(Capture {
                    provider_ref: payment.id,
                    amount: self.money(&payment.amount)?,
                    fee: payment.fee.as_ref().map(|fee| self.money(fee)).transpose()?,
                    expires_on: saved.as_ref().and(card).and_then(|card| last_day(card.exp_year?, card.exp_month?)),
                    saved,
                    label: card.map(label).unwrap_or_default(),
                    fingerprint: fingerprint(payment.card),
                }))
            }
            "failed" => Ok(Truth::Declined { provider_ref: payment.id, decline: decline(payment.decline) }),
            // Everything a later version may invent is "not decided yet".
            _ => Ok(Truth::Processing { provider_ref: payment.id }),
        }
    }

    fn refund_fact(&self, refund: Refund) -> Result<RefundFact, CallError> {
        let (payment_ref, amount) = (refund.payment.clone(), self.money(&refund.amount)?);
        Ok(RefundFact { payment_ref, amount, truth: refund_truth(refund), ours: None })
    }

    async fn by_reference(&self, access: &Access, reference: &str) -> Result<Truth, CallError> {
        let mut last = Truth::Absent;
        let mut after = String::new();
        loop {
            let path = format!("/v1/payments?reference={reference}&limit=100{after}");
            let Some(list) = self.get::<List<Payment>>(access, &path).await? else { return Ok(last) };
            after = list.data.last().map(|payment| format!("&starting_after={}", payment.id)).unwrap_or_default();
            let is_last = !list.has_more || after.is_empty();
            for payment in list.data {
                last = self.truth(payment)?;
                if matches!(last, Truth::Captured(_) | Truth::Processing { .. }) {
                    return Ok(last);
                }
            }
            if is_last {
                return Ok(last);
            }
        }
    }
}

fn fingerprint(card: Option<Card>) -> Option<Fingerprint> {
    card.map(|card| card.fingerprint).filter(|text| !text.is_empty()).map(Fingerprint)
}

fn label(card: &Card) -> String {
    let mut brand = card.brand.clone();
    if let Some(first) = brand.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    format!("{brand} ending {}", card.last4)
}

fn decline(refusal: Option<Refusal>) -> Decline {
    let refusal = refusal.unwrap_or(Refusal { code: String::new(), class: String::new() });
    let class = match refusal.class.as_str() {
        "hard" => DeclineClass::Hard,
        "action" => DeclineClass::Action,
        _ => DeclineClass::Soft,
    };
    let code = if refusal.code.is_empty() { "declined".to_owned() } else { refusal.code };
    Decline { class, code }
}

fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|_| CallError::Ambiguous("an answer that is not as documented".to_owned()))
}

fn is_sandbox_error(body: &[u8]) -> bool {
    serde_json::from_slice::<ErrorBody>(body).is_ok()
}

/// What an answer that is no success means.
fn refusal(status: StatusCode, body: &[u8]) -> CallError {
    let code = serde_json::from_slice::<ErrorBody>(body).map(|body| body.error.code);
    match (status, code) {
        // Refused at the door.
        (StatusCode::UNAUTHORIZED, Ok(code)) => CallError::NotSent(code),
        (StatusCode::TOO_MANY_REQUESTS, _) => CallError::NotSent("too many requests".to_owned()),
        (StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY, Ok(code)) => {
            CallError::Refused { code }
        }
        // Our first call is still running there (409), or something between us and it answered.
        (status, _) => CallError::Ambiguous(format!("status {}", status.as_u16())),
    }
}

#[async_trait]
impl PaymentProvider for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            saves_methods: true,
            charges_off_session: true,
            partial_refunds: true,
            is_test_mode: true,
            saves_without_payment: false,
            confirms_charges: false,
            takes_evidence: false,
            makes_secret: false,
            takes_when_asked: false,
            refunds_disputes: false,
            finds_by_reference: true,
        }
    }

    fn pay_kind(&self) -> PayKind {
        PayKind::Sandbox
    }

    fn exponent(&self, currency: Currency) -> u32 {
        if NO_DIGITS.contains(&currency.code()) {
            0
        } else if THREE_DIGITS.contains(&currency.code()) {
            3
        } else {
            2
        }
    }

    fn minimum(&self, currency: Currency) -> i64 {
        super::minimum::of(currency)
    }

    async fn probe(&self, access: &Access) -> Result<Probe, CallError> {
        let list: Option<List<Payment>> = self.get(access, "/v1/payments?limit=1").await?;
        list.map(|_| Probe { is_live: None }).ok_or_else(|| CallError::Refused { code: "not_a_provider".to_owned() })
    }

    async fn create_checkout(&self, access: &Access, ask: &CheckoutAsk) -> Result<Checkout, CallError> {
        let key = ask.payment.to_string();
        let body = json!({
            "reference": key, "amount": self.amount(ask.amount)?, "success_url": ask.return_url,
            "cancel_url": ask.cancel_url, "customer_email": ask.email, "save_method": ask.save_method,
        });
        let (status, body) = self.call(access, Method::POST, "/v1/checkouts", Some((&key, &body))).await?;
        if !status.is_success() {
            return Err(refusal(status, &body));
        }
        let page: Page = parse(&body)?;
        Ok(Checkout { reference: page.id, url: page.url, customer: String::new() })
    }

    async fn expire_checkout(&self, access: &Access, reference: &str) -> Result<(), CallError> {
        let path = format!("/v1/checkouts/{}/expire", segment(reference)?);
        let key = format!("expire-{reference}");
        let (status, body) = self.call(access, Method::POST, &path, Some((&key, &json!({})))).await?;
        if status.is_success() { Ok(()) } else { Err(refusal(status, &body)) }
    }

    async fn charge_saved(&self, access: &Access, ask: &ChargeAsk) -> Result<Truth, CallError> {
        let key = ask.payment.to_string();
        let body = json!({
            "reference": key, "amount": self.amount(ask.amount)?, "payment_method": ask.token.0, "off_session": true,
        });
        let (status, body) = self.call(access, Method::POST, "/v1/charges", Some((&key, &body))).await?;
        match status {
            StatusCode::OK => self.truth(parse(&body)?),
            StatusCode::PAYMENT_REQUIRED => {
                let answer: ErrorBody = parse(&body)?;
                let provider_ref = answer.payment.map(|payment| payment.id).unwrap_or_default();
                Ok(Truth::Declined { provider_ref, decline: decline(Some(answer.error)) })
            }
            _ => Err(refusal(status, &body)),
        }
    }

    async fn fetch_payment(&self, access: &Access, lookup: Lookup<'_>) -> Result<Truth, CallError> {
        match lookup {
            Lookup::Reference { payment, .. } => self.by_reference(access, &payment.to_string()).await,
            Lookup::Payment(id) => match self.get(access, &format!("/v1/payments/{}", segment(id)?)).await? {
                Some(payment) => self.truth(payment),
                None => Ok(Truth::Absent),
            },
            Lookup::Checkout(id) => {
                let Some(page) = self.get::<Page>(access, &format!("/v1/checkouts/{}", segment(id)?)).await? else {
                    return Ok(Truth::Absent);
                };
                match (page.status.as_str(), page.payment) {
                    ("expired", _) => Ok(Truth::Expired),
                    ("complete", Some(payment)) => {
                        let path = format!("/v1/payments/{}", segment(&payment)?);
                        match self.get(access, &path).await? {
                            Some(payment) => self.truth(payment),
                            None => Err(CallError::Ambiguous("a paid page without its payment".to_owned())),
                        }
                    }
                    _ => Ok(Truth::Open),
                }
            }
        }
    }

    async fn refund(&self, access: &Access, ask: &RefundAsk) -> Result<refund::Truth, CallError> {
        let key = ask.refund.to_string();
        let body = json!({"payment": ask.payment_ref, "amount": self.amount(ask.amount)?});
        let (status, body) = self.call(access, Method::POST, "/v1/refunds", Some((&key, &body))).await?;
        if !status.is_success() {
            return Err(refusal(status, &body));
        }
        Ok(refund_truth(parse(&body)?))
    }

    async fn fetch_refund(&self, access: &Access, reference: &str) -> Result<Option<RefundFact>, CallError> {
        let path = format!("/v1/refunds/{}", segment(reference)?);
        let Some(refund) = self.get::<Refund>(access, &path).await? else { return Ok(None) };
        self.refund_fact(refund).map(Some)
    }

    async fn reference_of(&self, access: &Access, payment: &str) -> Result<Option<String>, CallError> {
        let found: Option<Payment> = self.get(access, &format!("/v1/payments/{}", segment(payment)?)).await?;
        Ok(found.map(|payment| payment.reference).filter(|reference| !reference.is_empty()))
    }

    async fn report(&self, access: &Access, ask: ReportAsk<'_>) -> Result<Option<ReportPage>, CallError> {
        let list = match ask.kind {
            Kind::Payment => "payments",
            Kind::Refund => "refunds",
            // It tells of objections by its events alone, and those leave them to staff.
            Kind::Dispute => return Ok(None),
        };
        let (from, until) = (ask.from.timestamp(), ask.until.timestamp());
        let mut path = format!("/v1/{list}?limit={REPORT_ROWS}&created_gte={from}&created_lt={until}");
        if !ask.cursor.is_empty() {
            path = format!("{path}&starting_after={}", segment(ask.cursor)?);
        }
        let gone = || CallError::Refused { code: "not_found".to_owned() };
        let (rows, has_more): (Vec<Theirs>, bool) = if ask.kind == Kind::Payment {
            let page: List<Payment> = self.get(access, &path).await?.ok_or_else(gone)?;
            let row = |payment: Payment| {
                let (id, ours) = (payment.id.clone(), payment.reference.clone());
                match self.truth(payment) {
                    Ok(truth) => report::payment(&id, &ours, &truth),
                    Err(_) => Some(report::unreadable(ask.kind, &id, "", &ours)),
                }
            };
            (page.data.into_iter().filter_map(row).collect(), page.has_more)
        } else {
            let page: List<Refund> = self.get(access, &path).await?.ok_or_else(gone)?;
            let row = |refund: Refund| {
                let (id, payment) = (refund.id.clone(), refund.payment.clone());
                self.refund_fact(refund)
                    .map_or_else(|_| report::unreadable(ask.kind, &id, &payment, ""), |fact| report::refund(&fact))
            };
            (page.data.into_iter().map(row).collect(), page.has_more)
        };
        let next = rows.last().map(|row| row.reference.clone()).filter(|_| has_more);
        Ok(Some(ReportPage { rows, next }))
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
        self.read_event(raw)
    }

    fn read_event(&self, raw: &[u8]) -> Result<Notice, Forged> {
        let event: Event = serde_json::from_slice(raw).map_err(|_| Forged::Unreadable)?;
        if event.id.is_empty() || event.id.len() > 255 {
            return Err(Forged::Unreadable);
        }
        let object = event.data.object;
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let subject = match event.kind.split('.').next() {
            Some("payment") => Subject::Payment(text("id")),
            Some("checkout") => Subject::Checkout(text("id")),
            Some("refund") => Subject::Refund { refund: text("id"), payment: text("payment") },
            Some("dispute") => Subject::Dispute { dispute: text("id"), payment: text("payment") },
            Some(_) | None => Subject::Other,
        };
        Ok(Notice { event_id: event.id, kind: event.kind, reference: text("reference"), subject, is_live: None })
    }
}

fn refund_truth(refund: Refund) -> refund::Truth {
    let state = match refund.status.as_str() {
        "succeeded" => refund::State::Succeeded,
        "failed" => refund::State::Failed,
        _ => refund::State::Pending,
    };
    refund::Truth { provider_ref: refund.id, state }
}

/// An id as one segment of an address. Ids arrive in events, so nothing but their alphabet gets into a path.
fn segment(id: &str) -> Result<&str, CallError> {
    let is_id = (1..=200).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if is_id { Ok(id) } else { Err(CallError::Refused { code: "id_invalid".to_owned() }) }
}

#[cfg(test)]
mod tests {
    use ottery_kit::http::GuardSettings;

    use super::*;

    fn sandbox() -> Sandbox {
        Sandbox::new(GuardedClient::new(&GuardSettings::default()).unwrap())
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_address() {
        for id in ["", "../charges", "a/b", "a?b", "a b", "é"] {
            assert!(segment(id).is_err(), "{id}");
        }
        assert_eq!(segment("pay_0aZ-9"), Ok("pay_0aZ-9"));
    }

    #[tokio::test]
    async fn unknown_states_are_not_decided_yet_and_unknown_events_are_no_error() {
        let sandbox = sandbox();
        let payment = json!({"id": "pay_1", "amount": {"currency": "EUR", "minor": 5}, "status": "in_review"});
        let truth = sandbox.truth(serde_json::from_value(payment).unwrap()).unwrap();
        assert_eq!(truth, Truth::Processing { provider_ref: "pay_1".into() });
        let event = json!({"id": "evt_1", "type": "moon.rose", "data": {"object": {}}});
        assert_eq!(sandbox.read_event(event.to_string().as_bytes()).unwrap().subject, Subject::Other);
        assert_eq!(sandbox.read_event(b"\xff{"), Err(Forged::Unreadable));
    }

    #[test]
    fn case_018_the_providers_own_list_of_decimals_decides_and_not_the_standard() {
        let sandbox = sandbox();
        let sent = |minor, code: &str| {
            let amount = Money::new(minor, code.parse().unwrap());
            sandbox.amount(amount).map(|amount| amount["minor"].as_i64().unwrap())
        };
        // In the standard forint and Taiwan dollar have two decimals, shilling and krona none; here it is the same.
        assert_eq!(
            [sent(50_000, "HUF"), sent(300, "TWD"), sent(9_900, "UGX"), sent(700, "ISK")].map(Result::unwrap),
            [50_000, 300, 9_900, 700]
        );
        // The unidad de fomento has four decimals in the standard and two here: what it cannot say is refused, never rounded.
        assert_eq!(sent(12_300, "CLF"), Ok(123));
        assert_eq!(sent(12_345, "CLF"), Err(CallError::Amount(Money::new(12_345, "CLF".parse().unwrap()))));
        let told = Amount { currency: "CLF".into(), minor: 123 };
        assert_eq!(sandbox.money(&told), Ok(Money::new(12_300, "CLF".parse().unwrap())));
    }

    #[test]
    fn refusals_are_told_apart() {
        let body = |code: &str| json!({"error": {"type": "x", "code": code, "message": ""}}).to_string().into_bytes();
        let of = |status: u16, body: &[u8]| refusal(StatusCode::from_u16(status).unwrap(), body);
        assert!(matches!(of(401, &body("invalid_api_key")), CallError::NotSent(_)));
        assert!(matches!(of(400, &body("parameter_invalid")), CallError::Refused { .. }));
        assert!(matches!(of(409, &body("idempotency_key_in_use")), CallError::Ambiguous(_)));
        assert!(matches!(of(503, &body("unavailable")), CallError::Ambiguous(_)));
        // A proxy's page says nothing about what the provider did.
        assert!(matches!(of(404, b"<html>"), CallError::Ambiguous(_)));
    }
}
