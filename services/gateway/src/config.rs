//! Settings of the gateway; `config.default.toml` says what each means.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Settings of the gateway.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How it listens.
    pub http: HttpConfig,
    /// What may not be done too often.
    pub limits: LimitConfig,
    /// How long things are remembered.
    pub cache: CacheConfig,
    /// Drawing of invoices.
    pub documents: DocumentConfig,
}

/// How the gateway listens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port.
    pub listen: String,
    /// Certificate chain (PEM); empty for plain HTTP.
    pub certificate: PathBuf,
    /// Private key (PEM).
    pub key: PathBuf,
    /// Whether a proxy in front speaks HTTPS.
    pub behind_tls: bool,
    /// Proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Header in which they say the country of a visitor; empty for none.
    pub country_header: String,
    /// Host names of the staff area.
    pub admin_hosts: Vec<String>,
    /// Requests at work at the same time.
    pub concurrent_max: usize,
    /// Milliseconds a request may take.
    pub timeout_ms: u64,
    /// Open live streams at the same time.
    pub streams_max: usize,
}

impl HttpConfig {
    /// Whether the gateway itself speaks HTTPS.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }

    /// Whether visitors come over HTTPS. Without, this is a demo mode and says so.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.has_certificate() || self.behind_tls
    }

    /// Time a request may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// What may not be done too often.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LimitConfig {
    /// Requests a second of one client address.
    pub client_per_second: u32,
    /// How many of them may come at once.
    pub client_burst: u32,
    /// Requests a second of one account or API key.
    pub account_per_second: u32,
    /// How many of them may come at once.
    pub account_burst: u32,
    /// Attempts a minute with credentials from one address.
    pub credentials_per_minute: u32,
    /// New accounts an hour from one address.
    pub sign_ups_per_hour: u32,
    /// Orders and payments a minute from one address.
    pub orders_per_minute: u32,
    /// Links to pay looked at a minute from one address.
    pub pay_links_per_minute: u32,
    /// Gift codes somebody may try, by address and by account.
    pub gift_codes_per_minute: u32,
    /// Webhooks a second per provider account.
    pub webhooks_per_second: u32,
}

/// How long things are remembered.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    /// Milliseconds of an authenticated session.
    pub session_ms: u64,
    /// Milliseconds of brands and plans.
    pub catalog_ms: u64,
}

/// Drawing of invoices.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentConfig {
    /// PDFs drawn at the same time.
    pub render_at_once: usize,
}
