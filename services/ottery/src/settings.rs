//! Settings of the process itself; `process.default.toml` says what each means.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ottery_kit::config::{Section, Sources};
use ottery_kit::db::DatabaseSettings;
use ottery_kit::secret::Secret;
use ottery_kit::telemetry::TelemetrySettings;
use ottery_sandbox::SandboxConfig;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::services;

/// Section of the process.
pub const PROCESS: Section = Section { name: "process", defaults: include_str!("process.default.toml") };

/// Table of the simulated surroundings. It is read as it is (`ottery_sandbox::SandboxConfig` has all defaults), so that
/// this crate alone knows both; `ottery config` does not show it.
pub const SANDBOX: Section = Section { name: "sandbox", defaults: "" };

/// Variables that belong to no section.
const PLAIN_VARIABLES: [&str; 9] = [
    "OTTERY_CONFIG",
    // Of `ottery apply`; they may be set for a whole shell.
    "OTTERY_URL",
    "OTTERY_API_KEY",
    "OTTERY_PG_BIN",
    "OTTERY_CRASH_POINT",
    // Servers of a test run, in which the binary is started as well.
    "OTTERY_TEST_POSTGRES",
    "OTTERY_TEST_AMQP",
    "OTTERY_TEST_REDIS",
    "OTTERY_TEST_KEEP",
];

/// Settings of the process.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Where signing keys are.
    pub keys_folder: PathBuf,
    /// Where key-encryption keys are.
    pub keyring_file: PathBuf,
    /// The same as text.
    pub keyring: Option<Secret>,
    /// Default gRPC address.
    pub listen: String,
    /// gRPC addresses by service.
    pub listen_services: BTreeMap<String, String>,
    /// Addresses of other services.
    pub directory: BTreeMap<String, Vec<String>>,
    /// Address of the health pages.
    pub health: String,
    /// Wait before intake ends.
    pub pre_stop_ms: u64,
    /// Longest stop.
    pub finish_s: u64,
    /// PostgreSQL.
    pub database: Database,
    /// Events.
    pub broker: Broker,
    /// Cache and limits.
    pub cache: Cache,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
}

/// PostgreSQL.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    url: Secret,
    admin_url: Option<Secret>,
    password: Option<Secret>,
    prefix: String,
    pool_size: u32,
    acquire_timeout_ms: u64,
}

impl Database {
    /// As kit takes them.
    pub fn to_kit(&self) -> DatabaseSettings {
        DatabaseSettings {
            url: self.url.expose().to_owned(),
            admin_url: self.admin_url.as_ref().map(|url| url.expose().to_owned()),
            password: self.password.as_ref().map(|password| password.expose().to_owned()),
            database_prefix: self.prefix.clone(),
            pool_size: self.pool_size,
            acquire_timeout_ms: self.acquire_timeout_ms,
            ..DatabaseSettings::default()
        }
    }
}

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BrokerKind {
    /// RabbitMQ.
    Rabbitmq,
    /// A table.
    Table,
}

/// Events.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// Which broker.
    pub kind: BrokerKind,
    /// Address of RabbitMQ.
    pub url: Secret,
}

/// Which cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheKind {
    /// Redis.
    Redis,
    /// In memory.
    Memory,
}

/// Cache and limits.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Which cache.
    pub kind: CacheKind,
    /// Address of Redis.
    pub url: Secret,
    /// Replicas of each service.
    pub replicas: NonZeroU32,
    /// Bytes of the in-memory cache.
    pub memory_bytes: u64,
}

/// Every section that services and process have.
pub fn sections() -> Vec<Section> {
    std::iter::once(PROCESS).chain(services::ALL.iter().filter_map(|name| services::section(name))).collect()
}

/// The configuration file's own text: the one of the flag, or of `OTTERY_CONFIG`.
///
/// # Errors
/// It cannot be read or is no TOML.
pub fn file(flag: Option<&Path>) -> anyhow::Result<Table> {
    let path = flag.map(Path::to_owned).or_else(|| std::env::var_os("OTTERY_CONFIG").map(PathBuf::from));
    let Some(path) = path else { return Ok(Table::new()) };
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{} is no TOML", path.display()))
}

/// The simulated surroundings that the configuration file describes; none when it says nothing of them.
///
/// # Errors
/// The file cannot be read, or has a key or value the sandbox does not know.
pub fn sandbox(flag: Option<&Path>) -> anyhow::Result<Option<SandboxConfig>> {
    let table = file(flag)?.remove(SANDBOX.name);
    table.map(Value::try_into).transpose().context("the table `sandbox` of the configuration file")
}

/// The process's settings; refuses anything that no section knows.
///
/// # Errors
/// Unknown keys, malformed values, an unreadable file.
pub fn load(sources: &Sources) -> anyhow::Result<Process> {
    let known: Vec<Section> = sections().into_iter().chain([SANDBOX]).collect();
    sources.refuse_unknown(&known, &PLAIN_VARIABLES)?;
    Ok(ottery_kit::config::load(PROCESS, sources)?.value)
}
