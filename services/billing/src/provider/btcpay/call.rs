//! One call to BTCPay Server: what is sent, and what an answer means.

use ottery_kit::http::GuardedClient;
use reqwest::{Method, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::provider::answer::{parse, unanswered};
use crate::provider::{Access, CallError};

/// Our word for an object that is not there.
pub const MISSING: &str = "resource_not_found";
/// Its word for what has no word of its own, such as a rate nobody tells at the moment.
const GENERIC: &str = "generic-error";
/// Characters of its words for people that are kept.
const WORDS_MAX: usize = 200;

/// A call as it will be sent: pure, so that it can be looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// `GET`, `POST`.
    pub method: Method,
    /// Below the base address, with its query.
    pub path: String,
    /// The same where the server does not know that path: newer versions find the store of an object by themselves.
    pub other: Option<String>,
    /// What is sent along.
    pub body: Option<Value>,
}

impl Call {
    /// A question.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), other: None, body: None }
    }

    /// Something to be done. BTCPay Server knows no key that makes a repetition harmless.
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), other: None, body: Some(body) }
    }

    /// By that path where the first one is not known.
    pub fn or(self, path: impl Into<String>) -> Self {
        Self { other: Some(path.into()), ..self }
    }
}

/// What went wrong: one thing, or several with the fields that are meant.
#[derive(Deserialize)]
#[serde(untagged)]
enum Problem {
    One(Single),
    Fields(Vec<Field>),
}

#[derive(Deserialize)]
struct Single {
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default, rename = "missingPermission")]
    missing_permission: Option<String>,
}

#[derive(Deserialize)]
struct Field {
    #[serde(default)]
    path: String,
}

impl Problem {
    fn code(&self) -> String {
        match self {
            Self::One(one) => one.code.clone().unwrap_or_else(|| GENERIC.to_owned()),
            Self::Fields(fields) => {
                let path = fields.first().map(|field| field.path.as_str()).unwrap_or_default();
                format!("invalid_{}", path.chars().filter(|char| char.is_ascii_alphanumeric()).collect::<String>())
            }
        }
    }

    /// For people.
    fn words(&self) -> String {
        let told = match self {
            Self::One(one) => one.missing_permission.as_ref().map(|name| format!("it lacks the permission {name}")),
            Self::Fields(_) => None,
        };
        let message = match self {
            Self::One(one) => one.message.clone(),
            Self::Fields(_) => None,
        };
        told.or(message).unwrap_or_else(|| self.code()).chars().take(WORDS_MAX).collect()
    }
}

/// Asks, and reads the object that is answered.
pub async fn read<T: DeserializeOwned>(
    client: &GuardedClient,
    access: &Access,
    key: &str,
    call: &Call,
) -> Result<T, CallError> {
    parse(&send(client, access, key, call).await?)
}

/// As [`read`]; none when there is no such object.
pub async fn find<T: DeserializeOwned>(
    client: &GuardedClient,
    access: &Access,
    key: &str,
    call: &Call,
) -> Result<Option<T>, CallError> {
    match read(client, access, key, call).await {
        Ok(found) => Ok(Some(found)),
        Err(CallError::Refused { code }) if code == MISSING => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends a call; never twice, unless the server does not know the path.
async fn send(client: &GuardedClient, access: &Access, key: &str, call: &Call) -> Result<Vec<u8>, CallError> {
    let (status, body) = send_to(client, access, key, call, &call.path).await?;
    match &call.other {
        Some(other) if is_unknown_path(status, &body) => {
            let (status, body) = send_to(client, access, key, call, other).await?;
            meaning(&call.method, status, body)
        }
        Some(_) | None => meaning(&call.method, status, body),
    }
}

async fn send_to(
    client: &GuardedClient,
    access: &Access,
    key: &str,
    call: &Call,
    path: &str,
) -> Result<(StatusCode, Vec<u8>), CallError> {
    let url = format!("{}{path}", access.base_url.trim_end_matches('/'));
    let mut request =
        client.request(call.method.clone(), &url).map_err(|error| CallError::NotSent(error.to_string()))?;
    request = request.header(header::AUTHORIZATION, format!("token {key}"));
    if let Some(body) = &call.body {
        request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
    }
    let response = client.send(request).await.map_err(|error| unanswered(&error))?;
    let status = response.status();
    tracing::debug!(provider = "btcpay", request.path = %path, status = status.as_u16(), "provider answered");
    let body = response.bytes().await.map_err(|error| CallError::Ambiguous(error.to_string()))?;
    Ok((status, body.to_vec()))
}

/// An object that is not there is told in words; a path that is not there without any.
fn is_unknown_path(status: StatusCode, body: &[u8]) -> bool {
    let is_told = matches!(serde_json::from_slice(body), Ok(Problem::One(Single { code: Some(_), .. })));
    matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) && !is_told
}

/// What an answer means. Whatever does not come from BTCPay Server itself, such as a proxy's page, says nothing about what was done.
fn meaning(method: &Method, status: StatusCode, body: Vec<u8>) -> Result<Vec<u8>, CallError> {
    if status.is_success() {
        return Ok(body);
    }
    let problem = serde_json::from_slice::<Problem>(&body);
    Err(match (status, problem) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Ok(problem)) => {
            CallError::NotSent(format!("the key is not good for this: {}", problem.words()))
        }
        (StatusCode::TOO_MANY_REQUESTS, _) => CallError::NotSent("too many requests".to_owned()),
        (StatusCode::NOT_FOUND, Ok(Problem::One(Single { code: Some(_), .. }))) => {
            CallError::Refused { code: MISSING.to_owned() }
        }
        // Such as no rate, or no way to pay that is ready: nothing was made, and later it may be.
        (StatusCode::BAD_REQUEST, Ok(problem)) if method == Method::POST && problem.code() == GENERIC => {
            CallError::NotSent(problem.words())
        }
        (StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY, Ok(problem)) => {
            CallError::Refused { code: problem.code().replace('-', "_").to_ascii_lowercase() }
        }
        (status, _) => CallError::Ambiguous(format!("status {}", status.as_u16())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> CallError {
        meaning(&Method::POST, StatusCode::from_u16(status).unwrap(), body.as_bytes().to_vec()).unwrap_err()
    }

    #[test]
    fn case_059_answers_are_told_apart_by_whether_something_may_have_been_done() {
        let lacking =
            r#"{"code":"missing-permission","message":"no","missingPermission":"btcpay.store.canviewinvoices"}"#;
        let CallError::NotSent(words) = answer(403, lacking) else { panic!("it was turned away") };
        assert!(words.contains("btcpay.store.canviewinvoices"), "{words}");
        assert!(matches!(answer(401, r#"{"code":"unauthenticated","message":"no"}"#), CallError::NotSent(_)));
        assert!(matches!(answer(429, ""), CallError::NotSent(_)));
        let missing = r#"{"code":"invoice-not-found","message":"no"}"#;
        assert_eq!(answer(404, missing), CallError::Refused { code: MISSING.into() });
        let fields = r#"[{"path":"checkout.speedPolicy","message":"no"}]"#;
        assert_eq!(answer(422, fields), CallError::Refused { code: "invalid_checkoutspeedpolicy".into() });
        let refused = r#"{"code":"non-refundable","message":"no"}"#;
        assert_eq!(answer(400, refused), CallError::Refused { code: "non_refundable".into() });
        for status in [409, 500, 502, 503, 504] {
            assert!(matches!(answer(status, missing), CallError::Ambiguous(_)), "{status}");
        }
        // A proxy's page says nothing about what the server did.
        for status in [400, 401, 403, 404, 422] {
            assert!(matches!(answer(status, "<html>"), CallError::Ambiguous(_)), "{status}");
        }
    }

    #[test]
    fn case_084_no_rate_makes_no_invoice_and_is_tried_again() {
        let rates = r#"{"code":"generic-error","message":"The rate of BTC_EUR is not available"}"#;
        assert_eq!(answer(400, rates), CallError::NotSent("The rate of BTC_EUR is not available".into()));
    }

    #[test]
    fn a_path_that_is_not_known_is_no_object_that_is_not_there() {
        let told = br#"{"code":"invoice-not-found","message":"no"}"#;
        assert!(!is_unknown_path(StatusCode::NOT_FOUND, told));
        assert!(is_unknown_path(StatusCode::NOT_FOUND, b"") && is_unknown_path(StatusCode::METHOD_NOT_ALLOWED, b""));
        assert!(!is_unknown_path(StatusCode::INTERNAL_SERVER_ERROR, b""));
    }
}
