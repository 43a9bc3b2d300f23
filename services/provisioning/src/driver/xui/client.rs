//! Calls of the API: one POST each, classified.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use url::Url;

use super::form::Form;
use super::parse::{self, Asked};
use crate::driver::Secret;
use crate::driver::asked::TIMEOUT;
use crate::driver::error::{Cause, PanelError};
use crate::driver::http::{RawReply, Transport};

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
        Ok(Timed { data: parse::answer(&reply, Asked::Read)?, date: reply.time(), took })
    }

    async fn send(&self, form: &Form, asked: Asked) -> Result<RawReply, PanelError> {
        let body = form.encode(&self.api_key);
        self.transport.post_form(&self.url, body, TIMEOUT).await.map_err(|error| asked.unanswered(error))
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
