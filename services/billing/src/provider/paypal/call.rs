//! One call to PayPal: what is sent, and what an answer means.

use ottery_kit::http::GuardedClient;
use reqwest::{Method, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::decline;
use super::token::Tokens;
use crate::domain::payment::Decline;
use crate::provider::answer::{parse, unanswered};
use crate::provider::{Access, CallError};

/// Where saved methods are.
const VAULT: &str = "/v3/vault/";
/// Our word for an object that is not there.
pub const MISSING: &str = "resource_not_found";
/// An earlier call did what was asked for, or is doing it: it is read back.
const UNSETTLED: [&str; 6] = [
    "DUPLICATE_INVOICE_ID",
    "ORDER_ALREADY_CAPTURED",
    "ORDER_ALREADY_COMPLETED",
    "ORDER_COMPLETED_OR_VOIDED",
    "ORDER_COMPLETION_IN_PROGRESS",
    "PREVIOUS_REQUEST_IN_PROGRESS",
];
/// PayPal's words for an object that is not there, whatever the status.
const GONE: [&str; 2] = ["INVALID_RESOURCE_ID", "RESOURCE_NOT_FOUND"];
/// Works once the operator's balance allows it.
const LATER: &str = "REFUND_FAILED_INSUFFICIENT_FUNDS";

/// A call as it will be sent: pure, so that it can be looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// `GET`, `POST`, `DELETE`.
    pub method: Method,
    /// Below the base address, with its query.
    pub path: String,
    /// What is sent along.
    pub body: Option<Value>,
    /// What makes a repetition harmless; every POST has one.
    pub key: Option<String>,
}

impl Call {
    /// A question.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, key: None }
    }

    /// Something to be done once.
    pub fn post(path: impl Into<String>, key: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), body: Some(body), key: Some(key.into()) }
    }

    /// Something to be forgotten.
    pub fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, path: path.into(), body: None, key: None }
    }

    /// Its path, for the log: whoever knows the id of a saved method, and our key, can charge it.
    fn shown(&self) -> &str {
        match self.path.rsplit_once('/') {
            Some((kind, _)) if self.path.starts_with(VAULT) => kind,
            Some(_) | None => &self.path,
        }
    }
}

/// An answer that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was done.
    Done(Vec<u8>),
    /// It was refused as payments are.
    Declined(Decline),
}

impl Reply {
    /// The object; a decline where nothing is charged is a refusal.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, CallError> {
        match self {
            Self::Done(body) => parse(&body),
            Self::Declined(decline) => Err(CallError::Refused { code: decline.code }),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    name: String,
    details: Vec<Detail>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    issue: String,
}

impl Problem {
    /// Its words, the more telling ones first.
    fn words(&self) -> impl Iterator<Item = &str> {
        let issues = self.details.iter().map(|detail| detail.issue.as_str());
        issues.chain([self.name.as_str()]).filter(|word| !word.is_empty())
    }

    /// The most telling word of it.
    fn issue(&self) -> &str {
        self.words().next().unwrap_or("refused")
    }

    fn says(&self, words: &[&str]) -> Option<&str> {
        self.words().find(|word| words.contains(word))
    }
}

/// Sends a call; never twice, unless PayPal turned it away at the door because the token was old.
pub async fn send(client: &GuardedClient, tokens: &Tokens, access: &Access, call: &Call) -> Result<Reply, CallError> {
    let token = tokens.get(client, access).await?;
    let (status, body) = send_with(client, access, call, token.expose()).await?;
    if status != StatusCode::UNAUTHORIZED {
        return meaning(status, &body);
    }
    tokens.forget(access, &token).await;
    let token = tokens.get(client, access).await?;
    let (status, body) = send_with(client, access, call, token.expose()).await?;
    meaning(status, &body)
}

async fn send_with(
    client: &GuardedClient,
    access: &Access,
    call: &Call,
    token: &str,
) -> Result<(StatusCode, Vec<u8>), CallError> {
    let url = format!("{}{}", access.base_url.trim_end_matches('/'), call.path);
    let mut request =
        client.request(call.method.clone(), &url).map_err(|error| CallError::NotSent(error.to_string()))?;
    // The whole object comes back, not its id alone.
    request = request.bearer_auth(token).header("prefer", "return=representation");
    if let Some(key) = &call.key {
        request = request.header("paypal-request-id", key);
    }
    if let Some(body) = &call.body {
        request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
    }
    let response = client.send(request).await.map_err(|error| unanswered(&error))?;
    let name = response.headers().get("paypal-debug-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    access.trace.note(name);
    let status = response.status();
    tracing::debug!(provider = "paypal", request.path = %call.shown(), status = status.as_u16(), request.id = %name, "provider answered");
    let body = response.bytes().await.map_err(|error| CallError::Ambiguous(error.to_string()))?;
    Ok((status, body.to_vec()))
}

/// What an answer means. Whatever does not come from PayPal itself, such as a proxy's page, says nothing about what was done.
pub fn meaning(status: StatusCode, body: &[u8]) -> Result<Reply, CallError> {
    if status.is_success() {
        return Ok(Reply::Done(body.to_vec()));
    }
    let refused = |word: &str| CallError::Refused { code: word.to_ascii_lowercase() };
    Err(match (status, serde_json::from_slice::<Problem>(body)) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Ok(problem)) => {
            CallError::NotSent(format!("the key is not good for this: {}", problem.issue()))
        }
        (StatusCode::TOO_MANY_REQUESTS, _) => CallError::NotSent("too many requests".to_owned()),
        (StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST, Ok(problem)) => {
            // What may have been done comes first: of several words the one that says so counts.
            if let Some(word) = problem.says(&UNSETTLED) {
                CallError::Ambiguous(format!("an earlier call did it or does it: {word}"))
            } else if problem.says(&[LATER]).is_some() {
                CallError::NotSent("the account's balance is too low for this refund".to_owned())
            } else if let Some(decline) = problem.words().find_map(decline::of_issue) {
                return Ok(Reply::Declined(decline));
            } else if status == StatusCode::NOT_FOUND || problem.says(&GONE).is_some() {
                refused(MISSING)
            } else {
                refused(problem.issue())
            }
        }
        (status, _) => CallError::Ambiguous(format!("status {}", status.as_u16())),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::payment::DeclineClass;

    fn answer(status: u16, body: &str) -> Result<Reply, CallError> {
        meaning(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    fn problem(issue: &str) -> String {
        json!({"name": "UNPROCESSABLE_ENTITY", "debug_id": "1", "details": [{"issue": issue}]}).to_string()
    }

    #[test]
    fn the_id_of_a_saved_method_is_not_logged() {
        assert_eq!(Call::get("/v3/vault/payment-tokens/8kk8451t").shown(), "/v3/vault/payment-tokens");
        assert_eq!(Call::delete("/v3/vault/payment-tokens/8kk8451t").shown(), "/v3/vault/payment-tokens");
        assert_eq!(Call::get("/v2/checkout/orders/5O1").shown(), "/v2/checkout/orders/5O1");
    }

    #[test]
    fn case_059_answers_are_told_apart_by_whether_something_may_have_been_done() {
        assert!(matches!(answer(403, &problem("PERMISSION_DENIED")), Err(CallError::NotSent(_))));
        assert!(matches!(answer(429, "{}"), Err(CallError::NotSent(_))));
        assert_eq!(answer(404, "{}"), Err(CallError::Refused { code: MISSING.into() }));
        assert_eq!(
            answer(422, &problem("CURRENCY_MISMATCH")),
            Err(CallError::Refused { code: "currency_mismatch".into() })
        );
        for issue in UNSETTLED {
            assert!(matches!(answer(422, &problem(issue)), Err(CallError::Ambiguous(_))), "{issue}");
        }
        // Of several words the one that says that something may have been done counts.
        let both =
            json!({"name": "X", "details": [{"issue": "INSTRUMENT_DECLINED"}, {"issue": "ORDER_ALREADY_CAPTURED"}]});
        assert!(matches!(answer(422, &both.to_string()), Err(CallError::Ambiguous(_))));
        assert_eq!(answer(422, &problem("INVALID_RESOURCE_ID")), Err(CallError::Refused { code: MISSING.into() }));
        for status in [409, 500, 502, 503, 504] {
            assert!(matches!(answer(status, &problem("X")), Err(CallError::Ambiguous(_))), "{status}");
        }
        // A proxy's page says nothing about what PayPal did.
        for status in [400, 401, 403, 404, 422] {
            assert!(matches!(answer(status, "<html>"), Err(CallError::Ambiguous(_))), "{status}");
        }
        let Ok(Reply::Declined(decline)) = answer(422, &problem("INSTRUMENT_DECLINED")) else { panic!("a decline") };
        assert_eq!(decline.class, DeclineClass::Soft);
        // A wallet that is gone, which PayPal may tell as an object that is not there.
        let Ok(Reply::Declined(gone)) = answer(404, &problem("TOKEN_ID_NOT_FOUND")) else { panic!("a decline") };
        assert_eq!(gone.class, DeclineClass::Hard);
        assert!(matches!(answer(422, &problem("REFUND_FAILED_INSUFFICIENT_FUNDS")), Err(CallError::NotSent(_))));
    }
}
