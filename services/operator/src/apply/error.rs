//! Why documents were not applied.

use std::fmt;

use ottery_kit::grpc::{Code, Problem};

use super::Place;
use crate::types::SecretError;

/// Why documents were not applied: which document, which field, and the way out.
#[derive(Debug)]
pub struct ApplyError {
    /// Where the document was read.
    pub place: Place,
    /// `plan/family`; none when not even that could be read.
    pub what: Option<String>,
    /// Path of the field in the document, when it is about one.
    pub field: Option<String>,
    /// What is wrong.
    pub cause: Cause,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The text is no YAML, or not one of our documents.
    #[error("{0}")]
    Malformed(String),
    /// A field cannot be right.
    #[error("{0}")]
    Invalid(String),
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Somebody else changed it after it was read here.
    #[error("somebody else changed it at the same time; nothing of theirs was overwritten: look at it and apply again")]
    Conflict(#[source] Box<Problem>),
    /// The system refused.
    #[error("{}", without_field(.0))]
    Refused(Box<Problem>),
}

impl Cause {
    /// Stable name of what is wrong, for programs.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::Malformed(_) => "malformed".to_owned(),
            Self::Invalid(_) => "invalid".to_owned(),
            Self::Secret(_) => "secret_unreadable".to_owned(),
            Self::Conflict(_) => "conflict".to_owned(),
            Self::Refused(problem) => problem.reason.to_ascii_lowercase(),
        }
    }
}

impl From<Problem> for Cause {
    fn from(problem: Problem) -> Self {
        match problem.code {
            Code::Aborted => Self::Conflict(Box::new(problem)),
            _ => Self::Refused(Box::new(problem)),
        }
    }
}

/// Some services begin their sentence with the field, which is named in the document's words here.
fn without_field(problem: &Problem) -> &str {
    let field = problem.field.as_deref().unwrap_or_default();
    let rest = problem.message.strip_prefix(field).and_then(|rest| rest.strip_prefix(": "));
    rest.filter(|_| !field.is_empty()).unwrap_or(&problem.message)
}

impl ApplyError {
    pub(super) fn at(place: &Place, cause: impl Into<Cause>) -> Self {
        Self { place: place.clone(), what: None, field: None, cause: cause.into() }
    }

    pub(super) fn of(self, what: &str) -> Self {
        Self { what: Some(what.to_owned()), ..self }
    }

    pub(super) fn on(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if let Some(what) = &self.what {
            write!(f, ", {what}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": {field}")?;
        }
        write!(f, ": {}", self.cause)
    }
}

impl std::error::Error for ApplyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Secret(error) => std::error::Error::source(error),
            Cause::Conflict(problem) => Some(problem),
            Cause::Malformed(_) | Cause::Invalid(_) | Cause::Refused(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_field_once_and_in_the_documents_words() {
        let place = Place { source: "shop.yaml".to_owned(), number: 2 };
        let problem = Problem::invalid("base_url", "URL_REFUSED", "base_url: the address is not public");
        let error = ApplyError::at(&place, problem).of("brand/nord").on("spec.payments[0].baseUrl");
        assert_eq!(
            error.to_string(),
            "shop.yaml, document 2, brand/nord: spec.payments[0].baseUrl: the address is not public"
        );
        assert_eq!(error.cause.code(), "url_refused");
    }

    #[test]
    fn a_stale_version_is_a_conflict() {
        let error =
            ApplyError::at(&Place::default(), Problem::conflict("STALE_VERSION", "version 1 is not the newest"));
        assert!(error.to_string().contains("somebody else changed it"), "{error}");
        assert_eq!(error.cause.code(), "conflict");
    }
}
