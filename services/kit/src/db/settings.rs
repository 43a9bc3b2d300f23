//! What a process knows about its databases.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;

use super::{DatabaseError, plain_name};

/// Where the databases are and how they are used. Secrets are not printed.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseSettings {
    /// Server the services connect to, for example `postgres://db.internal:5432`; role, password and database name
    /// are put in per service.
    pub url: String,
    /// An account that may create roles and databases; needed by `migrate` only, unset in running services.
    pub admin_url: Option<String>,
    /// Password of every application role that has none of its own in `services`.
    pub password: Option<String>,
    /// Exceptions per service.
    pub services: BTreeMap<String, ServiceDatabase>,
    /// Databases are called prefix + service. Roles are not affected: they belong to the server.
    pub database_prefix: String,
    /// Connections per service and replica.
    pub pool_size: u32,
    /// How long a request waits for a connection before it is answered 503, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// `statement_timeout` of the application roles, in milliseconds.
    pub statement_timeout_ms: u64,
    /// `lock_timeout` of the application roles, in milliseconds.
    pub lock_timeout_ms: u64,
    /// `idle_in_transaction_session_timeout` of the application roles, in milliseconds.
    pub idle_in_transaction_timeout_ms: u64,
}

/// What is different for one service.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceDatabase {
    /// Complete URL (role, password, database); replaces everything derived.
    pub url: Option<String>,
    /// Password of this service's application role.
    pub password: Option<String>,
    /// Name of the database, when it is not prefix + service.
    pub database: Option<String>,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: "postgres://localhost:5432".to_owned(),
            admin_url: None,
            password: None,
            services: BTreeMap::new(),
            database_prefix: "ottery_".to_owned(),
            pool_size: 5,
            acquire_timeout_ms: 2_000,
            statement_timeout_ms: 5_000,
            lock_timeout_ms: 2_000,
            idle_in_transaction_timeout_ms: 15_000,
        }
    }
}

impl DatabaseSettings {
    /// Settings for a server one administers: services connect to the same address with `password`.
    #[must_use]
    pub fn for_server(admin_url: impl Into<String>, password: impl Into<String>) -> Self {
        let admin_url = admin_url.into();
        Self { url: admin_url.clone(), admin_url: Some(admin_url), password: Some(password.into()), ..Self::default() }
    }

    /// Name of the service's database.
    #[must_use]
    pub fn database_name(&self, service: &str) -> String {
        let own = self.services.get(service).and_then(|service| service.database.clone());
        own.unwrap_or_else(|| format!("{}{service}", self.database_prefix))
    }

    /// Application role of a service: signs in, owns nothing.
    #[must_use]
    pub fn role_name(service: &str) -> String {
        format!("ottery_{service}")
    }

    /// Owner role of a service's schema: cannot sign in.
    #[must_use]
    pub fn owner_name(service: &str) -> String {
        format!("ottery_{service}_owner")
    }

    /// Password of the service's application role.
    #[must_use]
    pub fn password_for(&self, service: &str) -> Option<&str> {
        let own = self.services.get(service).and_then(|service| service.password.as_deref());
        own.or(self.password.as_deref())
    }

    /// Puts a service's database somewhere else; tests use it for a database of their own.
    #[must_use]
    pub fn with_database(mut self, service: &str, database: impl Into<String>) -> Self {
        self.services.entry(service.to_owned()).or_default().database = Some(database.into());
        self
    }

    /// How the application role of `service` connects.
    pub fn options(&self, service: &str) -> Result<PgConnectOptions, DatabaseError> {
        plain_name(service)?;
        if let Some(url) = self.services.get(service).and_then(|service| service.url.as_deref()) {
            return Ok(parse(url, "database.services.<name>.url")?.application_name(&Self::role_name(service)));
        }
        let mut options = parse(&self.url, "database.url")?
            .username(&Self::role_name(service))
            .database(&self.database_name(service))
            .application_name(&Self::role_name(service));
        if let Some(password) = self.password_for(service) {
            options = options.password(password);
        }
        Ok(options)
    }

    /// How the administrator connects.
    pub fn admin_options(&self) -> Result<PgConnectOptions, DatabaseError> {
        let url = self.admin_url.as_deref().ok_or_else(|| {
            DatabaseError::Settings(
                "`database.admin_url` is not set: migrating needs an account that may create roles and databases"
                    .to_owned(),
            )
        })?;
        Ok(parse(url, "database.admin_url")?.application_name("ottery_migrate"))
    }

    pub(crate) fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.acquire_timeout_ms)
    }
}

fn parse(url: &str, key: &str) -> Result<PgConnectOptions, DatabaseError> {
    // The URL holds a password, so the message names the key and not the value.
    PgConnectOptions::from_str(url).map_err(|error| {
        DatabaseError::Settings(format!("`{key}` is not a PostgreSQL URL (postgres://host:port/database): {error}"))
    })
}

impl fmt::Debug for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseSettings")
            .field("database_prefix", &self.database_prefix)
            .field("pool_size", &self.pool_size)
            .field("services", &self.services.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ServiceDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceDatabase").field("database", &self.database).finish_non_exhaustive()
    }
}
