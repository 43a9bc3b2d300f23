//! Transactions that know whose rows they may see.

use ottery_kernel::BrandId;
use sqlx::postgres::PgTransaction;
use sqlx::{AssertSqlSafe, PgPool};

/// Whose tenant rows a transaction sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Rows of this brand.
    Brand(BrandId),
    /// No tenant rows at all; platform tables only.
    Platform,
}

impl From<Option<BrandId>> for Scope {
    fn from(brand: Option<BrandId>) -> Self {
        brand.map_or(Self::Platform, Self::Brand)
    }
}

/// Opens a transaction whose brand ends with it: the next user of the pooled connection starts with none.
pub async fn begin(pool: &PgPool, scope: Scope) -> sqlx::Result<PgTransaction<'static>> {
    match scope {
        Scope::Platform => pool.begin().await,
        Scope::Brand(brand) => pool.begin_with(AssertSqlSafe(opening(brand))).await,
    }
}

/// Opens a transaction as [`begin`] does, for use cases whose every statement finds its rows by key and that run all the time:
/// each statement keeps its first plan on this connection. PostgreSQL would rather plan them anew with each run, as tables with
/// many partitions or partial indexes look cheaper for known values; that costs more than running them.
pub async fn begin_by_key(pool: &PgPool, scope: Scope) -> sqlx::Result<PgTransaction<'static>> {
    let opening = match scope {
        Scope::Platform => "BEGIN".to_owned(),
        Scope::Brand(brand) => opening(brand),
    };
    pool.begin_with(AssertSqlSafe(format!("{opening}; SET LOCAL plan_cache_mode = force_generic_plan"))).await
}

/// One round trip instead of two. The value is a UUID in hexadecimal, so nothing can be smuggled in.
fn opening(brand: BrandId) -> String {
    format!("BEGIN; SET LOCAL ottery.brand = '{}'", brand.as_uuid().hyphenated())
}

/// Whether `error` is a violation of the unique constraint (or unique index) of that name.
#[must_use]
pub fn is_unique_violation(error: &sqlx::Error, constraint: &str) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation() && error.constraint() == Some(constraint))
}

/// Whether the database gave up on a transaction that may simply be run again (serialisation failure, deadlock).
#[must_use]
pub fn is_retryable(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("40001" | "40P01"))
}
