//! One database and one role per service.
//!
//! Three identities exist: an administrator (`admin_url`, used by [`provision`], [`migrate`] and [`keep_partitions`]
//! only), the owner role `ottery_<service>_owner` (cannot sign in; owns the schema) and the application role
//! `ottery_<service>` (owns nothing, cannot bypass row-level security). A running service knows only the last one.

mod connect;
mod migrate;
mod partitions;
mod provision;
mod scope;
mod scratch;
mod settings;

pub use connect::{connect, connect_url};
pub use migrate::{BASE, migrate, migrate_plain};
pub use partitions::{DAYS_AHEAD_MIN, Kept, PartitionState, keep_partitions, partition_state};
pub use provision::{admin_connection, create_database, drop_database, provision};
pub use scope::{Scope, begin, begin_by_key, is_retryable, is_unique_violation};
pub use scratch::{Copied, Scratch, is_scratch_empty, provision_scratch, sweep_scratch};
pub use settings::{DatabaseSettings, ServiceDatabase};

/// Why a database could not be used; every message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Nobody listens at that address.
    #[error("PostgreSQL at {address} does not answer: start it, or set `database.url` to where it runs")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the connection said.
        #[source]
        source: sqlx::Error,
    },
    /// The server runs, the database does not exist.
    #[error("database `{database}` does not exist at {address}: run `ottery migrate` first")]
    Missing {
        /// Name of the database.
        database: String,
        /// Host and port.
        address: String,
    },
    /// The server refused the role or its password.
    #[error(
        "PostgreSQL at {address} refused role `{role}`: check the password in `database.services.<name>`, or run `ottery migrate` to set it"
    )]
    Refused {
        /// Role that tried.
        role: String,
        /// Host and port.
        address: String,
        /// What the server said.
        #[source]
        source: sqlx::Error,
    },
    /// A setting is missing or malformed.
    #[error("{0}")]
    Settings(String),
    /// A migration did not apply.
    #[error("migrating database `{database}` failed")]
    Migration {
        /// Name of the database.
        database: String,
        /// Which one and why.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// Anything else the server said.
    #[error("{step} failed")]
    Query {
        /// What was being done.
        step: &'static str,
        /// What the server said.
        #[source]
        source: sqlx::Error,
    },
}

/// Names end up in SQL text (roles and databases cannot be bound), so only plain ones are let through.
pub(crate) fn plain_name(name: &str) -> Result<&str, DatabaseError> {
    let plain = !name.is_empty()
        && name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain {
        Ok(name)
    } else {
        Err(DatabaseError::Settings(format!(
            "`{name}` is not usable as a database or role name: up to 63 lower-case letters, digits and underscores"
        )))
    }
}
