//! What a use case refuses, and how callers hear of it.

use ottery_kit::grpc::Problem;

use crate::domain::{ClockRefused, Invalid};

/// Why a use case did nothing.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A field cannot be right.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Nothing of that id (in this brand).
    #[error("no {what} of that name or id")]
    NotFound {
        /// `brand`, `plan`, …
        what: &'static str,
    },
    /// No brand answers to that host.
    #[error("no brand answers to the host `{0}`; add it to a brand's hosts")]
    HostUnknown(String),
    /// The caller changed something older than what is stored.
    #[error("version {expected} is not the newest, which is {found}; read it again and repeat the change")]
    Stale {
        /// What the caller had read.
        expected: u64,
        /// What is stored.
        found: i64,
    },
    /// The test clock does not move.
    #[error(transparent)]
    Clock(#[from] ClockRefused),
    /// The installation forbids test clocks.
    #[error("test clocks are switched off; set `catalog.test_clocks_allowed` to use them")]
    ClocksForbidden,
    /// The database did not do it.
    #[error("catalog's database failed")]
    Store(#[from] sqlx::Error),
}

impl AppError {
    pub(crate) fn missing(what: &'static str) -> Self {
        Self::NotFound { what }
    }
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        let text = error.to_string();
        match error {
            AppError::Invalid(invalid) => Self::invalid(invalid.field, invalid.reason, invalid.message),
            AppError::NotFound { what: "brand" } => Self::not_found("BRAND_NOT_FOUND", text),
            AppError::NotFound { what: "coupon" } => Self::not_found("COUPON_NOT_FOUND", text),
            AppError::NotFound { what: "price" } => Self::not_found("PRICE_NOT_FOUND", text),
            AppError::NotFound { .. } => Self::not_found("PLAN_NOT_FOUND", text),
            AppError::HostUnknown(_) => Self::not_found("HOST_UNKNOWN", text),
            AppError::Stale { found, .. } => Self::conflict("STALE_VERSION", text).with("version", found),
            AppError::Clock(ClockRefused::Busy { .. }) => Self::refused("CLOCK_ADVANCING", text),
            AppError::Clock(ClockRefused::Backwards { .. }) => Self::invalid("to", "CLOCK_BACKWARDS", text),
            AppError::Clock(ClockRefused::TooFar) => Self::invalid("to", "CLOCK_TOO_FAR", text),
            AppError::ClocksForbidden => Self::refused("CLOCKS_FORBIDDEN", text),
            AppError::Store(error) => error.into(),
        }
    }
}

pub(super) fn check_version(expected: u64, found: i64) -> Result<(), AppError> {
    if i64::try_from(expected).is_ok_and(|expected| expected == found) {
        return Ok(());
    }
    Err(AppError::Stale { expected, found })
}
