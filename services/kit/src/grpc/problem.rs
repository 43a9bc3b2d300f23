//! What a call is refused with, and how it travels: gRPC code + `google.rpc.ErrorInfo` + `google.rpc.BadRequest`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt::Write as _;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Domain of every `ErrorInfo` of ours.
pub const DOMAIN: &str = "ottery";

/// A refusal: what kind, a stable reason for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The gRPC code.
    pub code: Code,
    /// Stable, `UPPER_SNAKE`, for example `PLAN_NOT_FOUND`; part of the contract.
    pub reason: Cow<'static, str>,
    /// Says what is wrong and the way out; shown to people, never holds internals.
    pub message: String,
    /// The request field the message is about.
    pub field: Option<String>,
    /// More facts for programs, for example the limit that was hit.
    pub metadata: BTreeMap<String, String>,
}

impl Problem {
    /// Any code; the named constructors below read better.
    pub fn new(code: Code, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), message: message.into(), field: None, metadata: BTreeMap::new() }
    }

    /// Nothing there, or nothing the caller may know of.
    pub fn not_found(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, reason, message)
    }

    /// A field of the request cannot be right.
    pub fn invalid(field: impl Into<String>, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(Code::InvalidArgument, reason, message) }
    }

    /// The request is well-formed but the present state forbids it.
    pub fn refused(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Code::FailedPrecondition, reason, message)
    }

    /// It exists already, with other content.
    pub fn exists(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Code::AlreadyExists, reason, message)
    }

    /// Somebody else changed it meanwhile; read again and repeat.
    pub fn conflict(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Code::Aborted, reason, message)
    }

    /// The caller is known and may not.
    pub fn denied(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, reason, message)
    }

    /// The caller is not known.
    pub fn unauthenticated(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, reason, message)
    }

    /// Too much or too often.
    pub fn exhausted(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Code::ResourceExhausted, reason, message)
    }

    /// Not now; the same call may succeed in a moment.
    pub fn unavailable(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, reason, message)
    }

    /// Something of ours broke. Logs the whole chain once; the caller gets a neutral sentence.
    #[must_use]
    pub fn internal(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "request failed inside");
        Self::new(Code::Internal, "INTERNAL", "something went wrong on our side; the request id finds it in the logs")
    }

    /// The same problem, about this field.
    #[must_use]
    pub fn on_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The same problem with one more fact for programs.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.metadata.insert(key.into(), value.to_string());
        self
    }

    /// Whether it is this reason.
    #[must_use]
    pub fn is(&self, reason: &str) -> bool {
        self.reason == reason
    }

    /// What a status of any origin says; foreign ones get the name of their code as reason.
    #[must_use]
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let violation = details.bad_request().and_then(|bad| bad.field_violations.first());
        Self {
            code: status.code(),
            reason: info.map_or_else(|| Cow::Borrowed(code_name(status.code())), |info| info.reason.clone().into()),
            message: status.message().to_owned(),
            field: violation.map(|violation| violation.field.clone()),
            metadata: info.map(|info| info.metadata.clone().into_iter().collect()).unwrap_or_default(),
        }
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let metadata: HashMap<String, String> = problem.metadata.into_iter().collect();
        let mut details = ErrorDetails::with_error_info(problem.reason, DOMAIN, metadata);
        if let Some(field) = problem.field {
            details.add_bad_request_violation(field, problem.message.clone());
        }
        Self::with_error_details(problem.code, problem.message, details)
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Self::from_status(&status)
    }
}

impl From<&Status> for Problem {
    fn from(status: &Status) -> Self {
        Self::from_status(status)
    }
}

/// A database that is away, full or slow is `UNAVAILABLE`; a lost race is `ABORTED`; the rest is ours to fix.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let busy = || Self::unavailable("DATABASE_BUSY", "the service is busy; try again in a moment");
        match &error {
            sqlx::Error::PoolTimedOut => busy(),
            sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                tracing::warn!(error = %chain(&error), "database unreachable");
                Self::unavailable("DATABASE_AWAY", "the service cannot reach its data; try again in a moment")
            }
            sqlx::Error::Database(database) => match database.code().as_deref() {
                Some("40001" | "40P01") => {
                    Self::conflict("CONCURRENT_CHANGE", "changed by somebody else meanwhile; repeat")
                }
                // lock wait over, statement cancelled, too many connections, disk full
                Some("55P03" | "57014" | "53300" | "53100") => {
                    tracing::warn!(error = %chain(&error), "database overloaded");
                    busy()
                }
                // administrator's stop, crash recovery, starting up
                Some("57P01" | "57P02" | "57P03") => {
                    Self::unavailable("DATABASE_AWAY", "the service cannot reach its data; try again in a moment")
                }
                _ => Self::internal(&error),
            },
            _ => Self::internal(&error),
        }
    }
}

/// A problem that travelled inside `anyhow` comes out unchanged; anything else is internal.
impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(problem) => problem,
            Err(error) => match error.downcast::<sqlx::Error>() {
                Ok(error) => error.into(),
                Err(error) => Self::internal(error.as_ref()),
            },
        }
    }
}

/// An error with all its causes in one line.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let line = cause.to_string();
        // Some libraries repeat their cause in their own text.
        if !text.contains(&line) {
            let _ = write!(text, ": {line}");
        }
        source = cause.source();
    }
    text
}

/// The code as it is written in the gRPC specification; also the metric label.
#[must_use]
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_survives_the_wire() {
        let problem =
            Problem::invalid("plan_id", "PLAN_RETIRED", "plan is retired; choose another").with("plan", "pln_1");
        let status = Status::from(problem.clone());
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(Problem::from(status), problem);
    }

    #[test]
    fn a_foreign_status_gets_its_code_as_reason() {
        let problem = Problem::from(Status::unimplemented("no such method"));
        assert_eq!(problem.reason, "UNIMPLEMENTED");
        assert_eq!(problem.field, None);
    }

    #[test]
    fn an_internal_problem_tells_nothing_about_us() {
        let problem = Problem::internal(&std::io::Error::other("password=hunter2 at 10.0.0.7"));
        assert!(!problem.message.contains("hunter2"));
        assert_eq!(problem.code, Code::Internal);
    }

    #[test]
    fn a_problem_inside_anyhow_comes_out_unchanged() {
        let problem = Problem::refused("ALREADY_ENDED", "the subscription has ended");
        assert_eq!(Problem::from(anyhow::Error::from(problem.clone())), problem);
    }

    #[test]
    fn a_full_pool_asks_to_try_again() {
        assert_eq!(Problem::from(sqlx::Error::PoolTimedOut).code, Code::Unavailable);
    }
}
