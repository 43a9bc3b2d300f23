//! What a use case refuses.

use ottery_kit::grpc::Problem;

use crate::domain::text::BadLength;

/// Why a use case did nothing.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Nothing of that id that the caller may see.
    #[error("no ticket of that id")]
    NotFound,
    /// A text is too short or too long.
    #[error(transparent)]
    Text(#[from] BadLength),
    /// No such department.
    #[error("there is no department `{0}`; choose one of {1}")]
    Department(String, String),
    /// A page cannot be read.
    #[error("{field}: {reason}")]
    Page {
        /// Which field.
        field: &'static str,
        /// What would be accepted.
        reason: &'static str,
    },
    /// The database did not do it.
    #[error("support's database failed")]
    Store(#[from] sqlx::Error),
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        let text = error.to_string();
        match error {
            AppError::NotFound => Self::not_found("TICKET_NOT_FOUND", text),
            AppError::Text(bad) => Self::invalid(
                bad.field,
                "LENGTH",
                format!("needs {} to {} characters, has {}", bad.min, bad.max, bad.length),
            ),
            AppError::Department(..) => Self::invalid("department", "DEPARTMENT_UNKNOWN", text),
            AppError::Page { field, reason } => Self::invalid(field, "PAGE", reason),
            AppError::Store(error) => error.into(),
        }
    }
}
