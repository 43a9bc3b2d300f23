//! What a use case refuses.

use ottery_kit::grpc::Problem;

use crate::domain::delivery::Refused;
use crate::domain::render::BadTemplate;

/// Why a use case did nothing.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Nothing of that id in the brand.
    #[error("no {0} of that id")]
    NotFound(&'static str),
    /// The mail is on its way or has arrived.
    #[error("{0}; only a mail that failed or whose fate is unknown is sent again")]
    Refused(#[from] Refused),
    /// The wording does not become a mail.
    #[error(transparent)]
    Template(#[from] BadTemplate),
    /// A field cannot be right.
    #[error("{field}: {reason}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What would be accepted.
        reason: String,
    },
    /// Somebody else changed it meanwhile.
    #[error("changed by somebody else meanwhile (now version {0}); read it again")]
    Changed(i64),
    /// The brand was not heard of yet.
    #[error("the brand is not known here yet; try again in a moment")]
    BrandUnknown,
    /// The database did not do it.
    #[error("notification's database failed")]
    Store(#[from] sqlx::Error),
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        let text = error.to_string();
        match error {
            AppError::NotFound("delivery") => Self::not_found("DELIVERY_NOT_FOUND", text),
            AppError::NotFound(_) => Self::not_found("TEMPLATE_NOT_FOUND", text),
            AppError::Refused(_) => Self::refused("DELIVERY_STATE", text),
            AppError::Template(bad) => {
                let problem = Self::invalid(format!("template.{}", bad.field), "TEMPLATE_INVALID", text);
                match bad.line {
                    Some(line) => problem.with("line", line),
                    None => problem,
                }
            }
            AppError::Field { field, reason } => Self::invalid(field, "FIELD_INVALID", reason),
            AppError::Changed(_) => Self::conflict("VERSION_CONFLICT", text),
            AppError::BrandUnknown => Self::unavailable("BRAND_UNKNOWN", text),
            AppError::Store(error) => error.into(),
        }
    }
}
