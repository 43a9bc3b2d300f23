//! What a sandbox consists of.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

/// A whole sandbox. Every part has a default, so `{}` is a working one on free ports.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxConfig {
    /// Panels: admin, reseller and player API. Port 0 takes a free one.
    pub panel_listen: SocketAddr,
    /// Payment provider: API and hosted checkout page.
    pub payments_listen: SocketAddr,
    /// Mail sink: SMTP.
    pub smtp_listen: SocketAddr,
    /// Mail sink: web page and JSON.
    pub mail_listen: SocketAddr,
    /// Control API; must be a loopback address.
    pub control_listen: SocketAddr,
    /// Makes every random name and id repeatable.
    pub seed: Option<u64>,
    /// Journal file; absent keeps everything in memory only.
    pub journal: Option<PathBuf>,
    /// The panels.
    pub panels: Vec<PanelSpec>,
    /// The payment provider.
    pub payments: PaymentsSpec,
    /// Largest mail accepted, in bytes.
    pub mail_size_max: usize,
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            panel_listen: loopback(0),
            payments_listen: loopback(0),
            smtp_listen: loopback(0),
            mail_listen: loopback(0),
            control_listen: loopback(0),
            seed: None,
            journal: None,
            panels: vec![PanelSpec::default()],
            payments: PaymentsSpec::default(),
            mail_size_max: 10 * 1024 * 1024,
        }
    }
}

/// One simulated panel.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PanelSpec {
    /// Access code of the admin API and the panel's name in the control API.
    pub code: String,
    /// Access code of the reseller API; absent is `<code>R`.
    pub reseller_code: Option<String>,
    /// A port of its own beside the shared one; on it only this panel answers.
    pub listen: Option<SocketAddr>,
    /// Key of the admin user (id 1).
    pub api_key: String,
    /// Password of `api.php`; empty asks for none.
    pub api_pass: String,
    /// Reseller users.
    pub resellers: Vec<ResellerSpec>,
    /// The panel's timezone: date strings are read and written in it.
    pub timezone: String,
    /// What can be sold.
    pub packages: Vec<PackageSpec>,
    /// Channel groups.
    pub bouquets: Vec<BouquetSpec>,
    /// Channels.
    pub streams: Vec<StreamSpec>,
    /// Requests a second and client address on the admin and reseller API; 0 is no limit.
    pub rate_per_second: u32,
    /// Burst above that rate.
    pub rate_burst: u32,
    /// Behaviour that can also be changed while running.
    pub settings: Settings,
}

/// Behaviour of a panel that the control API can change.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `false` answers nginx's 404 page, like a switched-off access code.
    pub enabled: bool,
    /// When not empty, other addresses get nginx's 403 page on the access codes.
    pub whitelist: Vec<IpAddr>,
    /// Every caller gets an empty 403, as after too many bad logins.
    pub flood_banned: bool,
    /// Whether bad player logins lead to that ban by themselves.
    pub flood_guard: bool,
    /// Player API answers bad logins the classic way (`auth: 0`) instead of the fake 404 page.
    pub classic_auth: bool,
    /// Player API names the refusal in an HTML heading at status 200.
    pub debug: bool,
    /// Milliseconds every admin and reseller call takes.
    pub latency_ms: u64,
    /// Lets parallel calls lose credit charges and create a name twice, as real panels do: what was read before
    /// the latency is written after it.
    pub racy: bool,
    /// Sends whole numbers as strings, as XUI.ONE does.
    pub numbers_as_strings: bool,
    /// Seconds after which streams of a disabled line end by themselves.
    pub cache_pass_s: u64,
    /// The countries of viewers' addresses, as real panels have them from a database. Others are in no country.
    pub countries: BTreeMap<IpAddr, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            whitelist: Vec::new(),
            flood_banned: false,
            flood_guard: false,
            classic_auth: false,
            debug: false,
            latency_ms: 0,
            racy: false,
            numbers_as_strings: false,
            cache_pass_s: 60,
            countries: BTreeMap::new(),
        }
    }
}

impl Default for PanelSpec {
    fn default() -> Self {
        Self {
            code: "SANDBOX1".into(),
            reseller_code: None,
            listen: None,
            api_key: "5a4d0b0c5a4d0b0c5a4d0b0c5a4d0b0c".into(),
            api_pass: String::new(),
            resellers: vec![ResellerSpec::default()],
            timezone: "Europe/Berlin".into(),
            packages: PackageSpec::samples(),
            bouquets: BouquetSpec::samples(),
            streams: StreamSpec::samples(),
            rate_per_second: 20,
            rate_burst: 1000,
            settings: Settings::default(),
        }
    }
}

impl PanelSpec {
    /// Access code of the reseller API.
    #[must_use]
    pub fn reseller_code(&self) -> String {
        self.reseller_code.clone().unwrap_or_else(|| format!("{}R", self.code))
    }
}

/// A reseller of a panel.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResellerSpec {
    /// User id on the panel; 1 is the admin.
    pub id: i64,
    /// User name.
    pub username: String,
    /// API key.
    pub api_key: String,
    /// Credits on the first start; four decimals are kept.
    pub credits: f64,
    /// The reseller above this one.
    pub parent: Option<i64>,
    /// May create lines.
    pub can_create: bool,
    /// May choose names; otherwise they are replaced by random ones.
    pub can_choose_username: bool,
    /// May choose passwords.
    pub can_choose_password: bool,
    /// Shortest name.
    pub username_min: usize,
    /// Shortest password.
    pub password_min: usize,
    /// Trials left in the period.
    pub trials: u32,
}

impl Default for ResellerSpec {
    fn default() -> Self {
        Self {
            id: 2,
            username: "reseller".into(),
            api_key: "7e5e11e57e5e11e57e5e11e57e5e11e5".into(),
            credits: 100.0,
            parent: None,
            can_create: true,
            can_choose_username: true,
            can_choose_password: true,
            username_min: 8,
            password_min: 8,
            trials: 10,
        }
    }
}

/// A package: what a reseller buys a line with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageSpec {
    /// Number.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Price in credits.
    pub credits: f64,
    /// How long it lasts.
    pub duration: i64,
    /// `hours`, `days`, `months` or `years`.
    pub duration_in: String,
    /// Trial length in hours; 0 is no trial.
    #[serde(default)]
    pub trial_hours: i64,
    /// Screens.
    pub max_connections: i64,
    /// Bouquets of the package.
    pub bouquets: Vec<i64>,
    /// Whether it is for lines at all (otherwise for devices only).
    #[serde(default = "yes")]
    pub is_line: bool,
}

const fn yes() -> bool {
    true
}

impl PackageSpec {
    fn samples() -> Vec<Self> {
        let package = |id, name: &str, credits, duration, duration_in: &str, screens, bouquets: &[i64]| Self {
            id,
            name: name.into(),
            credits,
            duration,
            duration_in: duration_in.into(),
            trial_hours: 24,
            max_connections: screens,
            bouquets: bouquets.to_vec(),
            is_line: true,
        };
        vec![
            package(1, "1 month, 1 screen", 1.0, 1, "months", 1, &[1, 2]),
            package(2, "1 month, 2 screens", 1.5, 1, "months", 2, &[1, 2, 3]),
            package(3, "12 months, 2 screens", 12.0, 1, "years", 2, &[1, 2, 3]),
            Self { is_line: false, ..package(4, "Set-top box only", 1.0, 1, "months", 1, &[1]) },
        ]
    }
}

/// A group of channels.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BouquetSpec {
    /// Number.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Channels in it.
    pub streams: Vec<i64>,
}

impl BouquetSpec {
    fn samples() -> Vec<Self> {
        [(1, "General", vec![101, 102]), (2, "Sport", vec![103, 104]), (3, "Cinema", vec![105, 106])]
            .into_iter()
            .map(|(id, name, streams)| Self { id, name: name.into(), streams })
            .collect()
    }
}

/// A live channel; its picture is generated.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamSpec {
    /// Number.
    pub id: i64,
    /// Name, also written into the picture.
    pub name: String,
    /// Category; categories are numbered by first appearance.
    pub category: String,
}

impl StreamSpec {
    fn samples() -> Vec<Self> {
        [
            (101, "Sandbox One", "General"),
            (102, "Sandbox News", "General"),
            (103, "Sandbox Sport", "Sport"),
            (104, "Sandbox Sport 2", "Sport"),
            (105, "Sandbox Cinema", "Cinema"),
            (106, "Sandbox Classics", "Cinema"),
        ]
        .into_iter()
        .map(|(id, name, category)| Self { id, name: name.into(), category: category.into() })
        .collect()
    }
}

/// The simulated payment provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaymentsSpec {
    /// Merchant accounts.
    pub accounts: Vec<AccountSpec>,
    /// Where customers' browsers reach the checkout page; absent is the address listened on.
    pub public_url: Option<String>,
    /// Seconds a checkout stays open.
    pub checkout_ttl_s: i64,
    /// First gap between two tries of a webhook, in milliseconds; each next one is three times as long, for three
    /// days in all.
    pub webhook_retry_ms: u64,
    /// How long a webhook may take, in milliseconds.
    pub webhook_timeout_ms: u64,
    /// Milliseconds every API call takes.
    pub latency_ms: u64,
    /// Milliseconds after which a payment of the slow card settles.
    pub processing_ms: u64,
}

impl Default for PaymentsSpec {
    fn default() -> Self {
        Self {
            accounts: vec![AccountSpec::default()],
            public_url: None,
            checkout_ttl_s: 3600,
            webhook_retry_ms: 5_000,
            webhook_timeout_ms: 10_000,
            latency_ms: 0,
            processing_ms: 3_000,
        }
    }
}

/// A merchant account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSpec {
    /// Account id.
    pub id: String,
    /// Name customers see on the checkout page.
    pub name: String,
    /// Bearer key.
    pub api_key: String,
    /// Where webhooks go; none are sent while absent (they wait and are sent once an address is set).
    pub webhook_url: Option<String>,
    /// Every secret signs; two while one is being replaced.
    pub webhook_secrets: Vec<String>,
}

impl Default for AccountSpec {
    fn default() -> Self {
        Self {
            id: "acct_sandbox".into(),
            name: "Sandbox merchant".into(),
            api_key: "sk_sandbox_demo".into(),
            webhook_url: None,
            webhook_secrets: vec!["whsec_sandbox_demo".into()],
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The control API must not be reachable from elsewhere.
    #[error("control_listen {0} is not a loopback address; use 127.0.0.1 or [::1]")]
    ControlExposed(SocketAddr),
    /// Unknown timezone.
    #[error("panel {code}: timezone {timezone:?} is unknown; use a name such as Europe/Berlin")]
    Timezone {
        /// The panel.
        code: String,
        /// What was given.
        timezone: String,
    },
    /// Two panels or roles share a code.
    #[error("access code {0:?} is used twice; every panel and role needs its own")]
    Code(String),
    /// A reseller took the admin's id, or another's.
    #[error("panel {code}: reseller id {id} is taken; ids start at 2 and are unique")]
    ResellerId {
        /// The panel.
        code: String,
        /// The id.
        id: i64,
    },
    /// Unknown unit.
    #[error("panel {code}: package {id} has duration_in {unit:?}; use hours, days, months or years")]
    Duration {
        /// The panel.
        code: String,
        /// The package.
        id: i64,
        /// What was given.
        unit: String,
    },
    /// Two accounts share an id or a key.
    #[error("payment account {0:?}: id and api_key must be unique")]
    Account(String),
}

impl SandboxConfig {
    /// Finds mistakes before anything is bound.
    ///
    /// # Errors
    /// The first mistake.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.control_listen.ip().is_loopback() {
            return Err(ConfigError::ControlExposed(self.control_listen));
        }
        let mut codes = std::collections::BTreeSet::new();
        for panel in &self.panels {
            for code in [panel.code.clone(), panel.reseller_code()] {
                if code.is_empty() || !codes.insert(code.clone()) {
                    return Err(ConfigError::Code(code));
                }
            }
            if panel.timezone.parse::<chrono_tz::Tz>().is_err() {
                return Err(ConfigError::Timezone { code: panel.code.clone(), timezone: panel.timezone.clone() });
            }
            let mut ids = std::collections::BTreeSet::from([1]);
            for reseller in &panel.resellers {
                if !ids.insert(reseller.id) {
                    return Err(ConfigError::ResellerId { code: panel.code.clone(), id: reseller.id });
                }
            }
            for package in &panel.packages {
                if !["hours", "days", "months", "years"].contains(&package.duration_in.as_str()) {
                    return Err(ConfigError::Duration {
                        code: panel.code.clone(),
                        id: package.id,
                        unit: package.duration_in.clone(),
                    });
                }
            }
        }
        let mut accounts = std::collections::BTreeSet::new();
        for account in &self.payments.accounts {
            if !accounts.insert(&account.id) || !accounts.insert(&account.api_key) {
                return Err(ConfigError::Account(account.id.clone()));
            }
        }
        Ok(())
    }
}
