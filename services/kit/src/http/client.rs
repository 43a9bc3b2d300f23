//! The client: settings, requests, errors.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::{Method, RequestBuilder, redirect};
use serde::{Deserialize, Serialize};

use super::response::GuardedResponse;
use super::tls::client_config;
use super::{Guard, Lookup, Refused, SystemLookup, Trust};

/// Limits of outgoing requests; the platform owner's, never a brand's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardSettings {
    /// Internal networks that may be dialled all the same, for panels on the local network: `["10.20.0.0/16"]`.
    pub allow: Vec<IpNet>,
    /// When not empty, the only ports that may be dialled; otherwise all but the well-known ones of other protocols.
    pub ports_allowed: Vec<u16>,
    /// Time to connect, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Time for the whole request, in milliseconds; a request may set its own.
    pub timeout_ms: u64,
    /// Bytes of an answer's body that are read before giving up.
    pub body_max_bytes: usize,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            ports_allowed: Vec::new(),
            connect_timeout_ms: 5_000,
            timeout_ms: 10_000,
            body_max_bytes: 5 * 1024 * 1024,
        }
    }
}

/// Why a request brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL or its address must not be requested; nothing was sent.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No connection came about; nothing was sent.
    #[error("could not connect")]
    Connect(#[source] reqwest::Error),
    /// No answer in time; the request may have arrived.
    #[error("no answer in time")]
    Timeout(#[source] reqwest::Error),
    /// The connection broke; the request may have arrived.
    #[error("the request failed on the way")]
    Broken(#[source] reqwest::Error),
    /// The request was built wrongly; nothing was sent.
    #[error("the request is not valid")]
    Request(#[source] reqwest::Error),
    /// The answer is larger than the limit.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The answer is not what was expected; its body is not repeated.
    #[error("the answer is not valid {expected}")]
    Unreadable {
        /// What was expected: `JSON`, `UTF-8 text`.
        expected: &'static str,
    },
    /// The authority's certificate is not PEM.
    #[error("the certificate authority is not a valid PEM certificate")]
    Authority,
    /// TLS could not be set up.
    #[error("TLS could not be set up")]
    Tls(#[source] rustls::Error),
    /// The client could not be built.
    #[error("the HTTP client could not be built")]
    Build(#[source] reqwest::Error),
}

impl HttpError {
    /// Whether the other side surely saw nothing of the request, so that sending it again is safe.
    #[must_use]
    pub fn surely_not_sent(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Connect(_) | Self::Request(_) => true,
            Self::Authority | Self::Tls(_) | Self::Build(_) => true,
            Self::Timeout(_) | Self::Broken(_) | Self::TooLarge(_) | Self::Unreadable { .. } => false,
        }
    }

    pub(super) fn of(error: reqwest::Error) -> Self {
        // URLs may carry tokens; the caller knows where it sent the request.
        let error = error.without_url();
        let mut cause = error.source();
        while let Some(inner) = cause {
            if let Some(refused) = inner.downcast_ref::<Refused>() {
                return Self::Refused(refused.clone());
            }
            cause = inner.source();
        }
        if error.is_builder() {
            Self::Request(error)
        } else if error.is_connect() {
            Self::Connect(error)
        } else if error.is_timeout() {
            Self::Timeout(error)
        } else {
            Self::Broken(error)
        }
    }
}

/// The one client for addresses that users typed. Cheap to clone; keeps connections open.
#[derive(Clone, Debug)]
pub struct GuardedClient {
    client: reqwest::Client,
    guard: Guard,
    body_max_bytes: usize,
}

impl GuardedClient {
    /// A client that trusts the public certificate authorities.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(settings: &GuardSettings) -> Result<Self, HttpError> {
        Self::with_trust(settings, &Trust::Public)
    }

    /// A client with its own trust, for one panel.
    ///
    /// # Errors
    /// When the authority is no certificate.
    pub fn with_trust(settings: &GuardSettings, trust: &Trust) -> Result<Self, HttpError> {
        Self::with_lookup(settings, trust, Arc::new(SystemLookup))
    }

    /// A client that resolves names its own way.
    ///
    /// # Errors
    /// When the authority is no certificate.
    pub fn with_lookup(settings: &GuardSettings, trust: &Trust, lookup: Arc<dyn Lookup>) -> Result<Self, HttpError> {
        let guard = Guard::new(&settings.allow, &settings.ports_allowed, lookup);
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(client_config(trust)?)
            .dns_resolver(guard.clone())
            .redirect(redirect::Policy::none())
            // A proxy would resolve and dial for us, past every check.
            .no_proxy()
            .referer(false)
            .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
            // Shorter than servers keep idle connections: a request on one they just closed has an unknown outcome.
            .pool_idle_timeout(Duration::from_secs(15))
            .timeout(Duration::from_millis(settings.timeout_ms))
            .build()
            .map_err(HttpError::Build)?;
        Ok(Self { client, guard, body_max_bytes: settings.body_max_bytes })
    }

    /// The guard, for checking an address when it is typed.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Starts a request; finish it with [`send`](Self::send).
    ///
    /// # Errors
    /// When the URL is refused.
    pub fn request(&self, method: Method, url: &str) -> Result<RequestBuilder, Refused> {
        let url = self.guard.check(url)?;
        Ok(self.client.request(method, url))
    }

    /// Sends a request and returns status and headers; the body is read, within the limit, from the answer.
    ///
    /// # Errors
    /// When there is no answer; [`HttpError::surely_not_sent`] tells whether a repetition is safe.
    pub async fn send(&self, request: RequestBuilder) -> Result<GuardedResponse, HttpError> {
        let request = request.build().map_err(HttpError::of)?;
        // The builder may come from elsewhere; literal addresses never reach the resolver.
        self.guard.check_url(request.url())?;
        let response = self.client.execute(request).await.map_err(HttpError::of)?;
        Ok(GuardedResponse::new(response, self.body_max_bytes))
    }
}
