//! Settings of notification; `config.default.toml` says what each means.

use std::time::Duration;

use ottery_kit::secret::Secret;
use serde::{Deserialize, Serialize};

/// Settings of notification.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Mails on their way at a time.
    pub concurrency: usize,
    /// How long the mails of a process that died wait until another takes them.
    pub lease_seconds: u64,
    /// When a mail that cannot be handed over is given up.
    pub give_up_after_hours: u32,
    /// The mail server.
    pub smtp: Smtp,
    /// Where links lead.
    pub public: Public,
    /// Mails to staff.
    pub platform: Platform,
}

impl Config {
    pub(crate) const fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }
}

/// The mail server.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether and when the connection is encrypted.
    pub tls: Tls,
    /// Empty: no authentication.
    pub user: String,
    /// Of the user.
    pub password: Secret,
    /// For each step, in seconds.
    pub timeout_s: u64,
}

/// Whether and when a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Never.
    None,
    /// After a greeting in the clear; a server without it is refused.
    Starttls,
    /// From the first byte.
    Tls,
}

/// Where links lead.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// `https` or `http`.
    pub scheme: String,
    /// 0: the scheme's own.
    pub port: u16,
}

impl Public {
    /// The address of a host's pages, without a slash at the end.
    #[must_use]
    pub fn base(&self, host: &str) -> String {
        match (self.scheme.as_str(), self.port) {
            (scheme, 0) | (scheme @ "https", 443) | (scheme @ "http", 80) => format!("{scheme}://{host}"),
            (scheme, port) => format!("{scheme}://{host}:{port}"),
        }
    }
}

/// Mails to staff, who belong to no brand.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// As the sender is shown.
    pub name: String,
    /// Host of the pages staff use.
    pub host: String,
    /// Empty: no-reply at that host.
    pub sender: String,
    /// Language when the account has none.
    pub locale: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_complete_and_links_name_only_unusual_ports() {
        let config: Config = toml::from_str(crate::DEFAULTS).unwrap();
        assert_eq!(config.public.base("tv.example"), "https://tv.example");
        let local = Public { scheme: "http".into(), port: 8080 };
        assert_eq!(local.base("b.localhost"), "http://b.localhost:8080");
        assert_eq!(Public { port: 443, ..config.public }.base("tv.example"), "https://tv.example");
    }
}
