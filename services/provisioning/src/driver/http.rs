//! One POST to a panel, split by phase: what went wrong before the first byte was sent, and what after.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use ottery_kit::http::{GuardedClient, HttpError, Refused};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use url::Url;

use super::error::Cause;

/// An answer as it came.
#[derive(Clone, Debug, Default)]
pub struct RawReply {
    /// HTTP status.
    pub status: u16,
    /// Body, up to the limit.
    pub body: Bytes,
    /// The body was longer than the limit or broke off.
    pub truncated: bool,
    /// `Date` header.
    pub date: Option<String>,
    /// `Retry-After` header in seconds.
    pub retry_after: Option<Duration>,
}

impl RawReply {
    /// The panel's own time, when it tells.
    #[must_use]
    pub fn time(&self) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc2822(self.date.as_deref()?).ok().map(|date| date.with_timezone(&Utc))
    }
}

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Nothing was sent.
    #[error("before sending: {0}")]
    Before(Cause),
    /// The request may have arrived.
    #[error("after sending: {0}")]
    After(Cause),
}

/// How requests leave: guarded against addresses that must not be called, without retries and redirects.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a form. Neither the address nor the body may be logged: they carry keys and passwords.
    async fn post_form(&self, url: &Url, body: String, timeout: Duration) -> Result<RawReply, WireError>;
}

#[async_trait]
impl Transport for GuardedClient {
    async fn post_form(&self, url: &Url, body: String, timeout: Duration) -> Result<RawReply, WireError> {
        let request = self
            .request(Method::POST, url.as_str())
            .map_err(|refused| WireError::Before(blocked(&refused)))?
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .timeout(timeout)
            .body(body);
        let response = self.send(request).await.map_err(|error| classify(&error))?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut reply = RawReply {
            status: response.status().as_u16(),
            date: header(DATE),
            retry_after: header(RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs),
            ..RawReply::default()
        };
        match response.bytes().await {
            Ok(body) => reply.body = body,
            Err(HttpError::TooLarge(_)) => reply.truncated = true,
            Err(error) => return Err(WireError::After(after(&error))),
        }
        Ok(reply)
    }
}

fn classify(error: &HttpError) -> WireError {
    match error {
        HttpError::Refused(refused) => WireError::Before(blocked(refused)),
        HttpError::Connect(cause) => WireError::Before(connecting(cause)),
        HttpError::Request(_) | HttpError::Authority | HttpError::Tls(_) | HttpError::Build(_) => {
            WireError::Before(Cause::Tls)
        }
        HttpError::Timeout(_) | HttpError::Broken(_) | HttpError::TooLarge(_) | HttpError::Unreadable { .. } => {
            WireError::After(after(error))
        }
    }
}

fn after(error: &HttpError) -> Cause {
    if matches!(error, HttpError::Timeout(_)) { Cause::Timeout } else { Cause::Broken }
}

fn blocked(refused: &Refused) -> Cause {
    match refused {
        Refused::NoAddress(_) => Cause::Dns,
        Refused::Malformed | Refused::Scheme(_) | Refused::UserInfo | Refused::Port(_) | Refused::Address { .. } => {
            Cause::AddressBlocked
        }
    }
}

/// Which part of connecting failed; nothing was sent in any of them.
#[must_use]
pub fn connecting(error: &reqwest::Error) -> Cause {
    if error.is_timeout() {
        return Cause::ConnectTimeout;
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            match io.kind() {
                std::io::ErrorKind::TimedOut => return Cause::ConnectTimeout,
                std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::ConnectionReset => {
                    return Cause::ConnectRefused;
                }
                // rustls reports what it did not like as invalid data.
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => return Cause::Tls,
                _ => {}
            }
        }
        source = cause.source();
    }
    if error.to_string().contains("dns") || format!("{error:?}").contains("dns error") {
        return Cause::Dns;
    }
    Cause::ConnectRefused
}
