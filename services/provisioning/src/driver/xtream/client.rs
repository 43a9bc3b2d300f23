//! Calls of `api.php`: one POST each, everything in its body, because names and passwords stay out of access logs there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use url::Url;

use super::parse;
use crate::driver::asked::{Asked, TIMEOUT};
use crate::driver::http::{RawReply, Transport};
use crate::driver::{Res, Secret};

/// The file that is the API.
const FILE: &str = "api.php";

/// Where calls are made.
pub struct Client {
    transport: Arc<dyn Transport>,
    url: Url,
    api_pass: Secret,
}

impl Client {
    /// With or without `api.php` at the end of the address.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, mut url: Url, api_pass: Secret) -> Self {
        if !url.path().ends_with(".php") {
            let path = format!("{}/{FILE}", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        url.set_query(None);
        url.set_fragment(None);
        Self { transport, url, api_pass }
    }

    /// One call.
    ///
    /// # Errors
    /// Classified by phase and by what was asked.
    pub async fn call(&self, action: &str, sub: &str, fields: &[(&str, &str)], asked: Asked) -> Res<Value> {
        parse::answer(&self.send(action, sub, fields, asked).await?, asked)
    }

    /// One read with the panel's time and the time it took.
    ///
    /// # Errors
    /// When no answer came; a verdict against us is in the answer.
    pub async fn timed(
        &self,
        action: &str,
        sub: &str,
        fields: &[(&str, &str)],
    ) -> Res<(Res<Value>, Option<DateTime<Utc>>, Duration)> {
        let started = Instant::now();
        let reply = self.send(action, sub, fields, Asked::Read).await?;
        Ok((parse::answer(&reply, Asked::Read), reply.time(), started.elapsed()))
    }

    async fn send(&self, action: &str, sub: &str, fields: &[(&str, &str)], asked: Asked) -> Res<RawReply> {
        let body = self.body(action, sub, fields);
        self.transport.post_form(&self.url, body, TIMEOUT).await.map_err(|error| asked.unanswered(error))
    }

    fn body(&self, action: &str, sub: &str, fields: &[(&str, &str)]) -> String {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        // A panel without a password of its own does not expect one.
        if !self.api_pass.is_empty() {
            body.append_pair("api_pass", self.api_pass.expose());
        }
        body.append_pair("action", action).append_pair("sub", sub).extend_pairs(fields);
        body.finish()
    }
}
