//! One call to Stripe: what is sent, and what an answer means.

use ottery_kit::http::GuardedClient;
use reqwest::{Method, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::decline::StripeError;
use crate::provider::answer::unanswered;
use crate::provider::{Access, CallError};

pub use crate::provider::answer::{parse, segment};

/// The version of the API this adapter was written against; answers and events have its shape whatever the account's default is.
pub const API_VERSION: &str = "2026-10-28.endive";

/// Stripe's word for an object that is not there.
pub const MISSING: &str = "resource_missing";

/// A call as it will be sent: pure, so that it can be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `GET`, `POST`.
    pub method: Method,
    /// Below the base address, with its query: `/v1/refunds`.
    pub path: String,
    /// Bracketed names and their values, in order.
    pub form: Vec<(String, String)>,
    /// What makes a repetition harmless; every POST has one.
    pub key: Option<String>,
}

impl Call {
    /// A question.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), form: Vec::new(), key: None }
    }

    /// Something to be done once.
    pub fn post(path: impl Into<String>, key: impl Into<String>) -> Self {
        Self { method: Method::POST, path: path.into(), form: Vec::new(), key: Some(key.into()) }
    }

    /// With one more field.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.form.push((name.to_owned(), value.to_string()));
        self
    }

    /// With one more field, when there is something to say.
    pub fn with_some(self, name: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.with(name, value) }
    }

    /// What goes over the wire.
    pub fn body(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.form).finish()
    }
}

/// An answer that was given.
#[derive(Debug)]
pub enum Reply {
    /// It was done.
    Done(Vec<u8>),
    /// The bank said no.
    Declined(Box<StripeError>),
}

impl Reply {
    /// The object; a decline where nothing is charged is a refusal.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, CallError> {
        match self {
            Self::Done(body) => parse(&body),
            Self::Declined(error) => Err(CallError::Refused { code: error.word().to_owned() }),
        }
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: StripeError,
}

/// Sends a call; never twice.
pub async fn send(client: &GuardedClient, access: &Access, call: &Call) -> Result<Reply, CallError> {
    let url = format!("{}{}", access.base_url.trim_end_matches('/'), call.path);
    let not_sent = |error: &dyn std::fmt::Display| CallError::NotSent(error.to_string());
    let mut request = client.request(call.method.clone(), &url).map_err(|error| not_sent(&error))?;
    request = request.bearer_auth(access.api_key.expose()).header("stripe-version", API_VERSION);
    if let Some(key) = &call.key {
        request = request
            .header("idempotency-key", key)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(call.body());
    }
    let response = client.send(request).await.map_err(|error| unanswered(&error))?;
    let text =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (request_id, should_retry) = (text("request-id"), text("stripe-should-retry"));
    access.trace.note(&request_id);
    let status = response.status();
    let body = response.bytes().await.map_err(|error| CallError::Ambiguous(error.to_string()))?;
    tracing::debug!(provider = "stripe", request.path = %call.path, status = status.as_u16(), request.id = %request_id, "provider answered");
    meaning(status, &should_retry, &body)
}

/// What an answer means. Whatever does not come from Stripe itself, such as a proxy's page, says nothing about what was done.
pub fn meaning(status: StatusCode, should_retry: &str, body: &[u8]) -> Result<Reply, CallError> {
    if status.is_success() {
        return Ok(Reply::Done(body.to_vec()));
    }
    let error = serde_json::from_slice::<ErrorBody>(body).map(|body| body.error);
    Err(match (status, error) {
        (StatusCode::PAYMENT_REQUIRED, Ok(error)) => return Ok(Reply::Declined(Box::new(error))),
        // Refused at the door.
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Ok(error)) => {
            CallError::NotSent(format!("the key is not good for this: {}", error.word()))
        }
        (StatusCode::TOO_MANY_REQUESTS, _) => CallError::NotSent("too many requests".to_owned()),
        // The first call with this key was another one: whatever it did is read back.
        (StatusCode::BAD_REQUEST, Ok(error)) if error.kind.as_deref() == Some("idempotency_error") => {
            CallError::Ambiguous("the key was used for another call".to_owned())
        }
        (StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY, Ok(_))
            if should_retry == "true" =>
        {
            CallError::NotSent("the provider asks to try again".to_owned())
        }
        // Peers for tests say it without the word.
        (StatusCode::NOT_FOUND, Ok(error)) => {
            CallError::Refused { code: error.code.unwrap_or_else(|| MISSING.to_owned()) }
        }
        (StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY, Ok(error)) => {
            CallError::Refused { code: error.word().to_owned() }
        }
        // Our first call is still running there (409), or nobody knows.
        (status, _) => CallError::Ambiguous(format!("status {}", status.as_u16())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, should_retry: &str, body: &str) -> Result<Reply, CallError> {
        meaning(StatusCode::from_u16(status).unwrap(), should_retry, body.as_bytes())
    }

    fn error(kind: &str, code: &str) -> String {
        serde_json::json!({"error": {"type": kind, "code": code, "message": "words for people"}}).to_string()
    }

    #[test]
    fn case_059_answers_are_told_apart_by_whether_something_may_have_been_done() {
        let bad = error("invalid_request_error", "parameter_missing");
        assert!(matches!(answer(401, "", &error("invalid_request_error", "")), Err(CallError::NotSent(_))));
        assert!(matches!(
            answer(403, "", &error("invalid_request_error", "more_permissions_required")),
            Err(CallError::NotSent(_))
        ));
        assert!(matches!(answer(429, "", &error("invalid_request_error", "lock_timeout")), Err(CallError::NotSent(_))));
        assert_eq!(answer(400, "", &bad).unwrap_err(), CallError::Refused { code: "parameter_missing".into() });
        assert!(matches!(
            answer(404, "", &error("invalid_request_error", "resource_missing")),
            Err(CallError::Refused { .. })
        ));
        assert!(matches!(answer(400, "true", &bad), Err(CallError::NotSent(_))));
        assert!(matches!(answer(409, "true", &error("idempotency_error", "")), Err(CallError::Ambiguous(_))));
        assert!(matches!(answer(400, "", &error("idempotency_error", "")), Err(CallError::Ambiguous(_))));
        for status in [500, 502, 503, 504] {
            assert!(
                matches!(answer(status, "false", &error("api_error", "")), Err(CallError::Ambiguous(_))),
                "{status}"
            );
        }
        // A proxy's page says nothing about what the provider did.
        for status in [400, 401, 402, 403, 404] {
            assert!(matches!(answer(status, "", "<html>"), Err(CallError::Ambiguous(_))), "{status}");
        }
        assert!(matches!(answer(402, "", &error("card_error", "card_declined")), Ok(Reply::Declined(_))));
    }

    #[test]
    fn bracketed_names_are_written_as_a_form() {
        let call = Call::post("/v1/x", "k").with("metadata[payment]", "pay_1").with("a", "b c&d").with_some("e", "");
        assert_eq!(call.body(), "metadata%5Bpayment%5D=pay_1&a=b+c%26d");
    }
}
