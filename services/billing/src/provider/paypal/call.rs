//! One call to PayPal: what is sent, and what an answer means.

use ottery_kit::http::{GuardedClient, HttpError};
use reqwest::{Method, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::decline;
use crate::provider::{Access, CallError};

/// PayPal's word for something that is not there.
pub const MISSING: &str = "RESOURCE_NOT_FOUND";

/// What a call carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    None,
    /// JSON.
    Json(Value),
    /// JSON as the only part of a form, where PayPal would take files beside it.
    Part(Value),
}

/// A call as it will be sent: pure, so that it can be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `GET`, `POST`, `PATCH`, `DELETE`.
    pub method: Method,
    /// Below the base address.
    pub path: String,
    /// What it says.
    pub body: Body,
    /// `PayPal-Request-Id`: what makes a repetition harmless.
    pub key: Option<String>,
}

impl Call {
    /// A question.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: Body::None, key: None }
    }

    /// Something to be done once.
    pub fn post(path: impl Into<String>, key: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), body: Body::Json(body), key: Some(key.into()) }
    }
}

/// PayPal's error object, as far as it is used.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct PayPalError {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub debug_id: String,
    #[serde(default)]
    pub details: Vec<Detail>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Detail {
    pub issue: String,
}

impl PayPalError {
    /// The most telling word of it.
    pub fn word(&self) -> &str {
        let issue = self.details.iter().map(|detail| detail.issue.as_str()).find(|issue| !issue.is_empty());
        issue.unwrap_or(if self.name.is_empty() { "REFUSED" } else { &self.name })
    }
}

/// The object an answer holds.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(body)
        .map_err(|error| CallError::Ambiguous(format!("an answer that is not as documented: {error}")))
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Vec<u8>,
}

/// A call that brought no answer at all.
pub fn lost(error: &HttpError) -> CallError {
    if error.surely_not_sent() {
        CallError::NotSent(error.to_string())
    } else {
        CallError::Ambiguous(error.to_string())
    }
}

/// Sends a call; never twice.
pub async fn send(client: &GuardedClient, access: &Access, token: &str, call: &Call) -> Result<Answer, CallError> {
    let url = format!("{}{}", access.base_url.trim_end_matches('/'), call.path);
    let request = client.request(call.method.clone(), &url).map_err(|error| CallError::NotSent(error.to_string()))?;
    // Whole objects come back, so that one answer says what became of it.
    let mut request = request.bearer_auth(token).header("prefer", "return=representation");
    if let Some(key) = &call.key {
        request = request.header("paypal-request-id", key);
    }
    request = match &call.body {
        // Where a body is optional, PayPal still wants to hear of which kind it would be.
        Body::None => request.header(header::CONTENT_TYPE, "application/json"),
        Body::Json(body) => request.json(body),
        Body::Part(body) => {
            request.header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}")).body(part(body))
        }
    };
    let response = client.send(request).await.map_err(|error| lost(&error))?;
    let debug_id = response.headers().get("paypal-debug-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    access.trace.note(debug_id);
    let status = response.status();
    let body = response.bytes().await.map_err(|error| CallError::Ambiguous(error.to_string()))?;
    tracing::debug!(provider = "paypal", request.path = %call.path, status = status.as_u16(), "provider answered");
    Ok(Answer { status, body: body.to_vec() })
}

/// Between parts; JSON never holds it, because it escapes line ends.
const BOUNDARY: &str = "ottery-3b9d6f0c5e";

fn part(body: &Value) -> String {
    format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"input\"\r\ncontent-type: application/json\r\n\r\n\
         {body}\r\n--{BOUNDARY}--\r\n"
    )
}

/// What an answer means. Whatever does not come from PayPal itself, such as a proxy's page, says nothing about what was done.
pub fn meaning(status: StatusCode, body: &[u8]) -> Result<Vec<u8>, CallError> {
    if status.is_success() {
        return Ok(body.to_vec());
    }
    let error = serde_json::from_slice::<PayPalError>(body).ok().filter(|error| !error.name.is_empty());
    Err(match (status, error) {
        (StatusCode::TOO_MANY_REQUESTS, _) => CallError::NotSent("too many requests".to_owned()),
        // Refused at the door. Its answer has another shape than the others.
        (StatusCode::UNAUTHORIZED, _) => CallError::NotSent("the key is not good".to_owned()),
        (StatusCode::FORBIDDEN, Some(error)) => {
            CallError::NotSent(format!("the key is not good for this: {}", error.word()))
        }
        (StatusCode::NOT_FOUND, Some(error)) if error.details.is_empty() => {
            CallError::Refused { code: MISSING.to_owned() }
        }
        (StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY, Some(error))
            if decline::is_settled(error.word()) =>
        {
            CallError::Refused { code: error.word().to_owned() }
        }
        // Our first call is running there or was made long ago (409, and words for it), or nobody knows.
        (status, Some(error)) => CallError::Ambiguous(format!("status {}: {}", status.as_u16(), error.word())),
        (status, None) => CallError::Ambiguous(format!("status {}", status.as_u16())),
    })
}

/// An id as one segment of an address. Ids arrive in events, so nothing but their alphabet gets into a path.
pub fn segment(id: &str) -> Result<&str, CallError> {
    let is_id = (1..=255).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if is_id { Ok(id) } else { Err(CallError::Refused { code: "id_invalid".to_owned() }) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &str) -> Result<Vec<u8>, CallError> {
        meaning(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    fn error(name: &str, issue: &str) -> String {
        json!({"name": name, "debug_id": "d", "details": [{"issue": issue}]}).to_string()
    }

    #[test]
    fn case_059_answers_are_told_apart_by_whether_something_may_have_been_done() {
        assert!(matches!(answer(401, r#"{"error":"invalid_token"}"#), Err(CallError::NotSent(_))));
        assert!(matches!(answer(403, &error("NOT_AUTHORIZED", "PERMISSION_DENIED")), Err(CallError::NotSent(_))));
        assert!(matches!(answer(429, ""), Err(CallError::NotSent(_))));
        let refused = |code: &str| Err(CallError::Refused { code: code.into() });
        assert_eq!(answer(422, &error("UNPROCESSABLE_ENTITY", "INSTRUMENT_DECLINED")), refused("INSTRUMENT_DECLINED"));
        assert_eq!(answer(400, &error("INVALID_REQUEST", "DECIMALS_NOT_SUPPORTED")), refused("DECIMALS_NOT_SUPPORTED"));
        assert_eq!(answer(404, r#"{"name":"RESOURCE_NOT_FOUND"}"#), refused(MISSING));
        for word in ["DUPLICATE_INVOICE_ID", "ORDER_ALREADY_CAPTURED", "ORDER_COMPLETION_IN_PROGRESS"] {
            assert!(
                matches!(answer(422, &error("UNPROCESSABLE_ENTITY", word)), Err(CallError::Ambiguous(_))),
                "{word}"
            );
        }
        for status in [409, 500, 502, 503, 504] {
            assert!(matches!(answer(status, &error("X", "Y")), Err(CallError::Ambiguous(_))), "{status}");
        }
        // A proxy's page says nothing about what the provider did.
        for status in [400, 403, 404, 422] {
            assert!(matches!(answer(status, "<html>"), Err(CallError::Ambiguous(_))), "{status}");
        }
        assert_eq!(answer(204, ""), Ok(Vec::new()));
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_address() {
        for id in ["", "../refunds", "a/b", "a?b", "a b", "é"] {
            assert!(segment(id).is_err(), "{id}");
        }
        assert_eq!(segment("PP-D-1234"), Ok("PP-D-1234"));
    }
}
