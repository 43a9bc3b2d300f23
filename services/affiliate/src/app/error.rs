//! What a use case refuses.

use ottery_kit::grpc::Problem;

/// Why a use case did nothing.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Nothing of that id that the caller may see.
    #[error("no affiliate of that id; join the programme first")]
    NotFound,
    /// No free code was found.
    #[error("no free link code was found; try again")]
    NoCode,
    /// The database did not do it.
    #[error("affiliate's database failed")]
    Store(#[from] sqlx::Error),
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        let text = error.to_string();
        match error {
            AppError::NotFound => Self::not_found("AFFILIATE_NOT_FOUND", text),
            AppError::NoCode => Self::unavailable("NO_FREE_CODE", text),
            AppError::Store(error) => error.into(),
        }
    }
}
