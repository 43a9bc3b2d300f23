//! Pools, and errors a person can act on.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool};

use super::{DatabaseError, DatabaseSettings};

impl DatabaseSettings {
    /// Connects the application role of `service` and checks that the database answers.
    pub async fn pool(&self, service: &str) -> Result<PgPool, DatabaseError> {
        connect(self, self.options(service)?).await
    }
}

/// A connection that was at work this recently is taken to be alive. Asking it first would cost every transaction a round trip;
/// one that was lost meanwhile fails its first statement, as it could after any answer.
const FRESH: Duration = Duration::from_secs(1);

/// A pool with the limits of `settings` on any options; one connection is opened at once to find mistakes early.
pub async fn connect(settings: &DatabaseSettings, options: PgConnectOptions) -> Result<PgPool, DatabaseError> {
    PgPoolOptions::new()
        .max_connections(settings.pool_size)
        .acquire_timeout(settings.acquire_timeout())
        .test_before_acquire(false)
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for > FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(options.clone())
        .await
        .map_err(|error| explain(error, &options))
}

/// A pool on a complete URL with default limits; for tools and tests.
pub async fn connect_url(url: &str) -> Result<PgPool, DatabaseError> {
    let settings = DatabaseSettings::default();
    let options = url
        .parse::<PgConnectOptions>()
        .map_err(|error| DatabaseError::Settings(format!("not a PostgreSQL URL: {error}")))?;
    connect(&settings, options).await
}

pub(super) fn explain(error: sqlx::Error, options: &PgConnectOptions) -> DatabaseError {
    let address = format!("{}:{}", options.get_host(), options.get_port());
    let code = error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
    match (code.as_deref(), &error) {
        (Some("3D000"), _) => {
            DatabaseError::Missing { database: options.get_database().unwrap_or_default().to_owned(), address }
        }
        (Some("28000" | "28P01"), _) => {
            DatabaseError::Refused { role: options.get_username().to_owned(), address, source: error }
        }
        (None, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_)) => {
            DatabaseError::Unreachable { address, source: error }
        }
        _ => DatabaseError::Query { step: "connecting to PostgreSQL", source: error },
    }
}
