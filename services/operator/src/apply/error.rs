//! Why documents were not applied.

use ottery_kit::grpc::Problem;

use crate::types::SecretError;

/// Why documents were not applied; names the document and the field.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The text is no YAML, or not one of our documents.
    #[error("document {number}: {reason}")]
    Malformed {
        /// Counted from 1.
        number: usize,
        /// What is wrong, with line or field.
        reason: String,
    },
    /// A field cannot be right.
    #[error("{what}: {field}: {reason}")]
    Invalid {
        /// `plan/family`.
        what: String,
        /// Path of the field.
        field: String,
        /// What is wrong and the way out.
        reason: String,
    },
    /// A secret cannot be read.
    #[error("{what}: {field}")]
    Secret {
        /// `panel/main`.
        what: String,
        /// Path of the field.
        field: String,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// The system refused.
    #[error("{what}: {}{problem} ({})", field(problem), problem.reason)]
    Refused {
        /// `brand/nordlicht`.
        what: String,
        /// Its answer.
        #[source]
        problem: Box<Problem>,
    },
}

fn field(problem: &Problem) -> String {
    problem.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default()
}

impl ApplyError {
    pub(super) fn refused(what: &str, problem: Problem) -> Self {
        Self::Refused { what: what.to_owned(), problem: Box::new(problem) }
    }

    pub(super) fn secret(what: &str, field: &str, source: SecretError) -> Self {
        Self::Secret { what: what.to_owned(), field: format!("spec.{field}"), source }
    }
}
