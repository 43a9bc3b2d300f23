//! What a use case refuses.

use ottery_kit::grpc::Problem;

/// Why a use case did nothing.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The database did not do it.
    #[error("analytics' database failed")]
    Store(#[from] sqlx::Error),
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Store(error) => error.into(),
        }
    }
}
