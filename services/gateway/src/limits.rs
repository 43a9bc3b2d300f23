//! What may not be done too often, and how much may come at once.

use std::fmt::Write as _;
use std::net::IpAddr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ottery_kit::limit::{Decision, Rate};
use serde::de::DeserializeOwned;

use crate::problem::Refusal;
use crate::request::RequestInfo;
use crate::session::Caller;
use crate::state::AppState;

/// Bytes of a request body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The budget a request was counted against, for the answer's headers.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    limit: u32,
    remaining: u32,
}

impl Budget {
    pub(crate) fn add_headers(self, headers: &mut HeaderMap) {
        const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
        const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
        const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from_static(if self.remaining == 0 { "1" } else { "0" }));
    }
}

/// Counts one attempt.
///
/// # Errors
/// 429 `rate_limited` with the time to wait.
pub async fn take(state: &AppState, key: &str, rate: Rate) -> Result<Budget, Refusal> {
    match state.host.limiter.check(key, rate).await {
        Decision::Allowed { remaining } => Ok(Budget { limit: rate.burst_size(), remaining }),
        Decision::Denied { retry_after } => {
            let wait = retry_after.as_secs().max(1);
            let mut refusal = Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limited",
                format!("too many requests; try again in {wait} s"),
            );
            refusal.retry_after_s = Some(wait);
            refusal.facts.insert("limit".into(), rate.burst_size().to_string());
            Err(refusal)
        }
    }
}

/// The bucket of one client: an IPv4 address, or the /64 of an IPv6 address, which one customer owns whole.
fn client_bucket(kind: &str, ip: IpAddr) -> String {
    // As long as the longest of them, so that it is made in one go.
    let mut bucket = String::with_capacity(64);
    let written = match ip {
        IpAddr::V4(ip) => write!(bucket, "gateway:{kind}:{ip}"),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            write!(bucket, "gateway:{kind}:{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    };
    written.expect("writing to a string cannot fail");
    bucket
}

/// Every request counts against its client address.
pub(crate) async fn client(state: &AppState, request: &RequestInfo) -> Result<Budget, Refusal> {
    let limits = &state.config.limits;
    let rate = Rate::per_second(limits.client_per_second).burst(limits.client_burst);
    take(state, &client_bucket("client", request.client_ip), rate).await
}

/// Requests of somebody known count against them as well.
pub(crate) async fn account(state: &AppState, caller: &Caller) -> Result<(), Refusal> {
    if caller.session.is_none() {
        return Ok(());
    }
    let limits = &state.config.limits;
    let rate = Rate::per_second(limits.account_per_second).burst(limits.account_burst);
    take(state, &format!("gateway:account:{}", caller.actor.subject), rate).await.map(|_| ())
}

/// Passwords, codes and mails asked for.
///
/// # Errors
/// 429.
pub async fn credentials(state: &AppState, request: &RequestInfo) -> Result<(), Refusal> {
    let rate = Rate::per_minute(state.config.limits.credentials_per_minute);
    take(state, &client_bucket("credentials", request.client_ip), rate).await.map(|_| ())
}

/// New accounts.
///
/// # Errors
/// 429.
pub async fn sign_up(state: &AppState, request: &RequestInfo) -> Result<(), Refusal> {
    let rate = Rate::per_hour(state.config.limits.sign_ups_per_hour);
    take(state, &client_bucket("signup", request.client_ip), rate).await.map(|_| ())
}

/// Orders and payments.
///
/// # Errors
/// 429.
pub async fn order(state: &AppState, request: &RequestInfo) -> Result<(), Refusal> {
    let rate = Rate::per_minute(state.config.limits.orders_per_minute);
    take(state, &client_bucket("order", request.client_ip), rate).await.map(|_| ())
}

/// Links to pay that are looked at: nobody has more than a few.
///
/// # Errors
/// 429.
pub async fn pay_link(state: &AppState, request: &RequestInfo) -> Result<(), Refusal> {
    let rate = Rate::per_minute(state.config.limits.pay_links_per_minute);
    take(state, &client_bucket("paylink", request.client_ip), rate).await.map(|_| ())
}

/// Codes that are tried: by address, and by account as well, because addresses are cheap.
///
/// # Errors
/// 429.
pub async fn gift_code(state: &AppState, caller: &Caller) -> Result<(), Refusal> {
    let rate = Rate::per_minute(state.config.limits.gift_codes_per_minute);
    take(state, &client_bucket("giftcode", caller.request.client_ip), rate).await?;
    take(state, &format!("gateway:giftcode:{}", caller.actor.subject), rate).await.map(|_| ())
}

/// The whole body, within the limit.
///
/// # Errors
/// 413 `body_too_large`, 400 when it breaks off.
pub async fn read_body(request: Request, bytes_max: usize) -> Result<Bytes, Refusal> {
    use http_body_util::{BodyExt as _, LengthLimitError, Limited};
    match Limited::new(request.into_body(), bytes_max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the body may have {bytes_max} bytes"),
        )),
        Err(_) => Err(Refusal::new(StatusCode::BAD_REQUEST, "body_broken", "the body ended too early")),
    }
}

/// A JSON body whose every field is known; a problem names the field.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, Refusal> {
        let body = read_body(request, BODY_BYTES_MAX).await?;
        let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
        let mut reader = serde_json::Deserializer::from_slice(body);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| invalid_body(&error))?;
        reader.end().map_err(|_| Refusal::invalid("", "json_invalid", "there is text behind the JSON value"))?;
        Ok(Self(value))
    }
}

impl<T: serde::Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Refusal::internal(&error).into_response(),
        }
    }
}

/// Parameters behind the question mark.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let text = parts.uri.query().unwrap_or_default();
        let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
        serde_path_to_error::deserialize(reader).map(Self).map_err(|error| {
            let mut refusal = Refusal::invalid(field_of(&error), "query_invalid", error.inner().to_string());
            refusal.field = refusal.field.filter(|field| !field.is_empty());
            refusal
        })
    }
}

/// A form sent by one of our pages.
#[derive(Clone, Debug)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for Form<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, Refusal> {
        let body = read_body(request, BODY_BYTES_MAX).await?;
        let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(&body));
        serde_path_to_error::deserialize(reader).map(Self).map_err(|error| {
            let field = field_of(&error);
            Refusal::invalid(field, "form_invalid", format!("the form cannot be read: {}", error.inner()))
        })
    }
}

fn field_of<E: std::error::Error>(error: &serde_path_to_error::Error<E>) -> String {
    Some(error.path().to_string()).filter(|path| path != ".").unwrap_or_default()
}

fn invalid_body(error: &serde_path_to_error::Error<serde_json::Error>) -> Refusal {
    // The position is in a text the client sent; the rest of the sentence says what was expected.
    let text = error.inner().to_string();
    let detail = text.split(" at line ").next().unwrap_or_default().to_owned();
    let code = if error.inner().is_data() { "input_invalid" } else { "json_invalid" };
    let mut refusal = Refusal::invalid(field_of(error), code, detail);
    refusal.field = refusal.field.filter(|field| !field.is_empty());
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_s25_a_client_cannot_take_another_bucket_within_its_own_network() {
        let bucket = |ip: &str| client_bucket("client", ip.parse().unwrap());
        assert_eq!(bucket("203.0.113.7"), "gateway:client:203.0.113.7");
        assert_eq!(bucket("2001:db8:0:7::1"), "gateway:client:2001:db8:0:7::/64");
        assert_eq!(bucket("2001:db8:0:7:1:2:3:4"), bucket("2001:db8:0:7::1"));
        assert_ne!(bucket("2001:db8:0:8::1"), bucket("2001:db8:0:7::1"));
    }
}
