//! Calls of the API: one POST each, classified.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use url::Url;

use super::form::Form;
use super::parse::{self, Asked};
use crate::driver::Secret;
use crate::driver::error::{Cause, PanelError};
use crate::driver::http::{RawReply, Transport, WireError};

/// Longest wait for a read.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a write; panels may still apply it up to 200 s later.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Where and as whom calls are made.
pub struct Client {
    transport: Arc<dyn Transport>,
    url: Url,
    api_key: Secret,
}

/// A parsed answer with what only the connection test wants to know.
pub struct Timed {
    /// What was in the envelope.
    pub data: Value,
    /// The panel's own time.
    pub date: Option<DateTime<Utc>>,
    /// How long it took.
    pub took: Duration,
}

impl Client {
    /// The address is the API's base with its access code.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, mut url: Url, api_key: Secret) -> Self {
        // Without the closing slash nginx answers with a redirect, which is never followed.
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        url.set_query(None);
        url.set_fragment(None);
        Self { transport, url, api_key }
    }

    /// One call.
    ///
    /// # Errors
    /// Classified by phase and by what was asked.
    pub async fn call(&self, form: &Form, asked: Asked) -> Result<Value, PanelError> {
        parse::answer(&self.send(form, asked).await?, asked)
    }

    /// One read with the panel's time and the time it took.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn timed(&self, form: &Form) -> Result<Timed, PanelError> {
        let started = Instant::now();
        let reply = self.send(form, Asked::Read).await?;
        let took = started.elapsed();
        let date = reply
            .date
            .as_deref()
            .and_then(|text| DateTime::parse_from_rfc2822(text).ok())
            .map(|date| date.with_timezone(&Utc));
        Ok(Timed { data: parse::answer(&reply, Asked::Read)?, date, took })
    }

    async fn send(&self, form: &Form, asked: Asked) -> Result<RawReply, PanelError> {
        let timeout = match asked {
            Asked::Read => READ_TIMEOUT,
            Asked::Write(_) | Asked::Create => WRITE_TIMEOUT,
        };
        self.transport.post_form(&self.url, form.encode(&self.api_key), timeout).await.map_err(|error| match error {
            WireError::Before(cause) => PanelError::retryable(cause),
            WireError::After(cause) => asked.no_verdict(cause),
        })
    }
}

/// A row that the documented answer must have.
///
/// # Errors
/// No verdict when it does not.
pub fn expect_line(data: Value, asked: Asked) -> Result<crate::driver::LineState, PanelError> {
    let row = parse::row(data, asked)?;
    super::row::line(&row).ok_or_else(|| asked.no_verdict(Cause::Rubbish))
}
