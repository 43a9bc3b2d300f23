//! The JSON API merchants call.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Payments,
    book::{Attempt, Remembered, error},
    model::{Amount, Checkout},
};
use crate::{
    clock,
    http::{Reply, Request},
    store::Change,
};

/// Longest idempotency key.
const KEY_MAX: usize = 255;
/// Rows of a list.
const PAGE_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCheckout {
    reference: String,
    amount: Amount,
    success_url: String,
    cancel_url: String,
    #[serde(default)]
    customer_email: String,
    #[serde(default)]
    save_method: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCharge {
    reference: String,
    amount: Amount,
    payment_method: String,
    #[serde(default)]
    off_session: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRefund {
    payment: String,
    #[serde(default)]
    amount: Option<Amount>,
}

type Outcome = (StatusCode, Value);

impl Payments {
    /// Answers the provider's listener.
    pub async fn handle(&self, request: Request) -> Reply {
        let segments = request.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        if let ["checkout", id, rest @ ..] = parts.as_slice() {
            let action = if rest.is_empty() { "page.open" } else { "page.pay" };
            let apply = || async { self.page(&request, id, rest) };
            return self.context.faults.around("payments", action, unavailable, apply).await;
        }
        let action = match (request.method.as_str(), parts.as_slice()) {
            ("GET", []) => {
                return Reply::ok(
                    &json!({"sandbox": "SANDBOX", "provider": "Ottery sandbox payments", "livemode": false}),
                );
            }
            ("POST", ["v1", "checkouts"]) => "checkout.create",
            ("POST", ["v1", "checkouts", _, "expire"]) => "checkout.expire",
            ("GET", ["v1", "checkouts", _]) => "checkout.get",
            ("POST", ["v1", "charges"]) => "charge",
            ("GET", ["v1", "payments"]) => "payment.list",
            ("GET", ["v1", "payments", _]) => "payment.get",
            ("POST", ["v1", "refunds"]) => "refund",
            ("GET", ["v1", "refunds"]) => "refund.list",
            ("GET", ["v1", "refunds", _]) => "refund.get",
            ("GET", ["v1", "disputes", _]) => "dispute.get",
            ("GET", ["v1", "payment_methods", _]) => "method.get",
            ("DELETE", ["v1", "payment_methods", _]) => "method.delete",
            ("GET", ["v1", "events"]) => "event.list",
            _ => return Reply::json(StatusCode::NOT_FOUND, &error("invalid_request", "not_found", "No such address.")),
        };
        *self.state().calls.entry(action.to_owned()).or_default() += 1;
        let Some(account) = self.account_of(&request) else {
            let body =
                error("authentication_error", "invalid_api_key", "Send Authorization: Bearer with your sandbox key.");
            return Reply::json(StatusCode::UNAUTHORIZED, &body);
        };
        let apply = || async { self.answer(&request, &parts, action, &account).await };
        let said = format!(
            "{}?{} {}",
            request.path,
            request.query.as_deref().unwrap_or_default(),
            String::from_utf8_lossy(&request.body)
        );
        self.context
            .faults
            .around_about("payments", (action, &said), unavailable, apply)
            .await
            .with("request-id", &self.context.chance.id("req"))
    }

    fn account_of(&self, request: &Request) -> Option<String> {
        let key = request.header("authorization")?.strip_prefix("Bearer ")?;
        self.state().accounts.values().find(|account| account.api_key == key).map(|account| account.id.clone())
    }

    async fn answer(&self, request: &Request, parts: &[&str], action: &str, account: &str) -> Reply {
        let key = request.header("idempotency-key").filter(|_| request.method == http::Method::POST);
        if key.is_some_and(|key| key.is_empty() || key.len() > KEY_MAX) {
            let body =
                error("invalid_request", "idempotency_key_invalid", "Idempotency-Key must have 1 to 255 characters.");
            return Reply::json(StatusCode::BAD_REQUEST, &body);
        }
        let slot = key.map(|key| format!("{account}/{key}"));
        let fingerprint = hex::encode(Sha256::digest([request.path.as_bytes(), b"\n", &request.body].concat()));
        if let Some(slot) = &slot {
            let mut state = self.state();
            match state.idempotency.get(slot) {
                Some(remembered) if remembered.request != fingerprint => {
                    let body = error(
                        "idempotency_error",
                        "idempotency_key_reused",
                        "This key was used with other parameters.",
                    );
                    return Reply::json(StatusCode::BAD_REQUEST, &body);
                }
                Some(Remembered { answer: Some((status, body)), .. }) => {
                    let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::OK);
                    return Reply::json(status, body).with("idempotent-replayed", "true");
                }
                Some(Remembered { answer: None, .. }) => {
                    let body =
                        error("idempotency_error", "idempotency_key_in_use", "The first request is still running.");
                    return Reply::json(StatusCode::CONFLICT, &body);
                }
                None => {
                    state.idempotency.insert(slot.clone(), Remembered { request: fingerprint.clone(), answer: None });
                }
            }
        }
        // A caller that hangs up must not leave its key "running" for ever.
        let guard = Unfinished { payments: self, slot: slot.clone() };
        if self.spec.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.spec.latency_ms)).await;
        }
        let mut change = Change::default();
        let (status, body) = match action {
            "checkout.create" => self.create_checkout(request, account, &mut change),
            "charge" => self.charge(request, account, &mut change),
            "refund" => self.create_refund(request, account, &mut change),
            "checkout.expire" => {
                let mut state = self.state();
                if state.checkouts.get(parts[2]).is_some_and(|checkout| checkout.account == account) {
                    self.expire(&mut state, &mut change, parts[2]);
                }
                drop(state);
                self.read(request, parts, "checkout.get", account, &mut change)
            }
            _ => self.read(request, parts, action, account, &mut change),
        };
        if let Some(slot) = &slot {
            let remembered = Remembered { request: fingerprint, answer: Some((status.as_u16(), body.clone())) };
            change.put(format!("pay/idempotency/{slot}"), &remembered);
            self.state().idempotency.insert(slot.clone(), remembered);
        }
        self.context.store.commit(change);
        guard.done();
        Reply::json(status, &body)
    }

    fn create_checkout(&self, request: &Request, account: &str, change: &mut Change) -> Outcome {
        let new: NewCheckout = match parse(request) {
            Ok(new) => new,
            Err(refusal) => return refusal,
        };
        if let Some(refusal) = refuse_amount(&new.amount, new.save_method).or_else(|| refuse_reference(&new.reference))
        {
            return refusal;
        }
        let is_web = |address: &str| url::Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !is_web(&new.success_url) || !is_web(&new.cancel_url) {
            return invalid("success_url and cancel_url must be http or https addresses.");
        }
        let now = clock::now().timestamp();
        let checkout = Checkout {
            id: self.context.chance.id("co"),
            account: account.to_owned(),
            reference: new.reference,
            amount: new.amount,
            success_url: new.success_url,
            cancel_url: new.cancel_url,
            customer_email: new.customer_email,
            save_method: new.save_method,
            status: "open".into(),
            payment: None,
            payment_method: None,
            created: now,
            expires_at: now + self.spec.checkout_ttl_s,
            challenged: None,
        };
        self.save_checkout(&mut self.state(), change, &checkout);
        (StatusCode::CREATED, checkout.json(&self.public_url))
    }

    fn charge(&self, request: &Request, account: &str, change: &mut Change) -> Outcome {
        let new: NewCharge = match parse(request) {
            Ok(new) => new,
            Err(refusal) => return refusal,
        };
        if let Some(refusal) = refuse_amount(&new.amount, false).or_else(|| refuse_reference(&new.reference)) {
            return refusal;
        }
        let mut state = self.state();
        let method = state.methods.get(&new.payment_method);
        let Some(method) = method.filter(|method| method.account == account && !method.detached).cloned() else {
            let body = error("invalid_request", "payment_method_not_found", "There is no such saved payment method.");
            return (StatusCode::BAD_REQUEST, body);
        };
        // Without a page there is nobody to confirm, on-session or not.
        let outcome = method.card.outcome(new.off_session, false);
        let attempt = Attempt {
            account: account.to_owned(),
            reference: new.reference,
            amount: new.amount,
            checkout: None,
            payment_method: Some(method.id),
            off_session: new.off_session,
            card: method.card,
        };
        let payment = self.pay(&mut state, change, attempt, outcome);
        match &payment.decline {
            None => (StatusCode::OK, payment.json()),
            Some(decline) => {
                let body = json!({
                    "error": {
                        "type": "card_error", "code": decline.code, "class": decline.class, "message": decline.message,
                        "payment": payment.id,
                    },
                    "payment": payment.json(),
                });
                (StatusCode::PAYMENT_REQUIRED, body)
            }
        }
    }

    fn create_refund(&self, request: &Request, account: &str, change: &mut Change) -> Outcome {
        let new: NewRefund = match parse(request) {
            Ok(new) => new,
            Err(refusal) => return refusal,
        };
        let mut state = self.state();
        let Some(payment) = state.payments.get(&new.payment).filter(|payment| payment.account == account).cloned()
        else {
            return missing("payment");
        };
        let left = payment.amount.minor - payment.refunded_minor;
        let amount = new.amount.unwrap_or(Amount { currency: payment.amount.currency.clone(), minor: left });
        if amount.currency != payment.amount.currency {
            return invalid("amount.currency must be the payment's.");
        }
        match self.refund(&mut state, change, &payment.id, amount.minor) {
            Some(refund) => (StatusCode::CREATED, refund.json()),
            None => {
                let message = format!("{} minor units can still be refunded; asked for {}.", left.max(0), amount.minor);
                (StatusCode::BAD_REQUEST, error("invalid_request", "amount_too_large", &message))
            }
        }
    }

    fn read(&self, request: &Request, parts: &[&str], action: &str, account: &str, change: &mut Change) -> Outcome {
        let mut state = self.state();
        let id = parts.get(2).copied().unwrap_or_default();
        let found = match action {
            "checkout.get" => {
                state.checkouts.get(id).filter(|checkout| checkout.account == account).map(|c| c.json(&self.public_url))
            }
            "payment.get" => state.payments.get(id).filter(|payment| payment.account == account).map(|p| p.json()),
            "refund.get" => state.refunds.get(id).filter(|refund| refund.account == account).map(|r| r.json()),
            "dispute.get" => state.disputes.get(id).filter(|dispute| dispute.account == account).map(|d| d.json()),
            "method.get" => state.methods.get(id).filter(|method| method.account == account).map(|m| m.json()),
            "method.delete" => {
                let method = state.methods.get_mut(id).filter(|method| method.account == account);
                method.map(|method| {
                    method.detached = true;
                    change.put(format!("pay/method/{id}"), method);
                    method.json()
                })
            }
            "payment.list" => {
                let mut rows: Vec<_> = match request.query_value("reference") {
                    Some(reference) => {
                        let ids = state.by_reference.get(&(account.to_owned(), reference));
                        ids.into_iter().flatten().filter_map(|id| state.payments.get(id)).collect()
                    }
                    None => state.payments.values().filter(|payment| payment.account == account).collect(),
                };
                rows.retain(|payment| is_asked(request, payment.created));
                rows.sort_unstable_by_key(|payment| payment.seq);
                Some(page(request, rows.into_iter().map(|payment| (payment.id.as_str(), payment.json()))))
            }
            "refund.list" => {
                let mut rows: Vec<_> = state.refunds.values().filter(|refund| refund.account == account).collect();
                rows.retain(|refund| is_asked(request, refund.created));
                rows.sort_unstable_by_key(|refund| (refund.created, refund.id.as_str()));
                Some(page(request, rows.into_iter().map(|refund| (refund.id.as_str(), refund.json()))))
            }
            "event.list" => {
                let rows = state.events.values().filter(|event| event.account == account);
                Some(page(request, rows.map(|event| (event.id.as_str(), event.json()))))
            }
            _ => None,
        };
        found.map_or_else(|| missing("object"), |body| (StatusCode::OK, body))
    }
}

/// Whether something of that second lies between `created_gte` and `created_lt`; without them, everything does.
fn is_asked(request: &Request, created: i64) -> bool {
    let second = |name| request.query_value(name).and_then(|at| at.parse::<i64>().ok());
    let since = second("created_gte").unwrap_or(i64::MIN);
    created >= since && second("created_lt").is_none_or(|until| created < until)
}

/// `limit` rows after `starting_after`, oldest first.
fn page<'a>(request: &Request, rows: impl Iterator<Item = (&'a str, Value)>) -> Value {
    let limit =
        request.query_value("limit").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let after = request.query_value("starting_after");
    let mut is_past = after.is_none();
    let mut data: Vec<Value> = rows
        .filter(|(id, _)| {
            let take = is_past;
            is_past = is_past || after.as_deref() == Some(*id);
            take
        })
        .map(|(_, row)| row)
        .take(limit + 1)
        .collect();
    let has_more = data.len() > limit;
    data.truncate(limit);
    json!({"object": "list", "data": data, "has_more": has_more})
}

struct Unfinished<'a> {
    payments: &'a Payments,
    slot: Option<String>,
}

impl Unfinished<'_> {
    fn done(mut self) {
        self.slot = None;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            self.payments.state().idempotency.remove(slot);
        }
    }
}

fn unavailable() -> Reply {
    Reply::json(StatusCode::SERVICE_UNAVAILABLE, &error("api_error", "unavailable", "Try again."))
}

fn parse<T: DeserializeOwned>(request: &Request) -> Result<T, Outcome> {
    serde_json::from_slice(&request.body)
        .map_err(|problem| invalid(&format!("The body is not as expected: {problem}.")))
}

fn invalid(message: &str) -> Outcome {
    (StatusCode::BAD_REQUEST, error("invalid_request", "parameter_invalid", message))
}

fn missing(what: &str) -> Outcome {
    (StatusCode::NOT_FOUND, error("invalid_request", "resource_missing", &format!("There is no such {what}.")))
}

fn refuse_amount(amount: &Amount, may_be_zero: bool) -> Option<Outcome> {
    if !amount.is_currency() {
        return Some(invalid("amount.currency must be three capital letters."));
    }
    let is_fine = amount.minor > 0 || (may_be_zero && amount.minor == 0);
    (!is_fine).then(|| invalid("amount.minor must be above zero (zero only to save a card)."))
}

fn refuse_reference(reference: &str) -> Option<Outcome> {
    let is_fine = !reference.is_empty() && reference.len() <= 200;
    (!is_fine).then(|| invalid("reference must have 1 to 200 characters."))
}
