//! Every refusal the gateway gives: `application/problem+json`, which the page layer turns into HTML for people.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ottery_kit::grpc::{Code, Problem, Status};
use serde::Serialize;

/// Seconds after which a client may try again when nothing better is known.
const RETRY_AFTER_S: u64 = 2;

/// A refusal on its way to the client.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// Stable, `lower_snake`; part of the contract.
    pub code: String,
    /// What is wrong and the way out.
    pub detail: String,
    /// The input field it is about.
    pub field: Option<String>,
    /// More facts for programs.
    pub facts: BTreeMap<String, String>,
    /// Seconds to wait before the next attempt.
    pub retry_after_s: Option<u64>,
}

/// Result of a handler.
pub type Reply<T> = Result<T, Refusal>;

impl Refusal {
    /// A refusal of the gateway itself.
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        let retry_after_s = matches!(status.as_u16(), 429 | 503).then_some(RETRY_AFTER_S);
        Self { status, code: code.into(), detail: detail.into(), field: None, facts: BTreeMap::new(), retry_after_s }
    }

    /// Nothing there, or nothing the caller may know of.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
    }

    /// The input cannot be right.
    pub fn invalid(field: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(StatusCode::BAD_REQUEST, code, detail) }
    }

    /// Nobody is signed in.
    #[must_use]
    pub fn sign_in() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "sign_in_required", "sign in first")
    }

    /// Not for this caller.
    pub fn denied(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// Something of ours broke; the cause is logged, not told.
    #[must_use]
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        Problem::internal(error).into()
    }

    /// Whether it is this code.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// As the JSON body.
    #[must_use]
    pub fn body(&self, request_id: &str) -> ProblemBody {
        ProblemBody {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            code: self.code.clone(),
            detail: self.detail.clone(),
            field: self.field.clone(),
            facts: self.facts.clone(),
            request_id: request_id.to_owned(),
        }
    }

    /// The answer for programs.
    #[must_use]
    pub fn into_json(self, request_id: &str) -> Response {
        let body = serde_json::to_vec(&self.body(request_id)).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        self.add_headers(&mut response);
        response
    }

    /// Headers that belong to a refusal in any form.
    pub fn add_headers(&self, response: &mut Response) {
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}

/// RFC 9457 problem details.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ProblemBody {
    /// Always `about:blank`; `code` tells problems apart.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: &'static str,
    /// Name of the status.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable name of the problem, for example `plan_not_found`.
    pub code: String,
    /// What is wrong and the way out.
    pub detail: String,
    /// The input field the problem is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// More facts for programs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// Finds this request in the operator's logs.
    pub request_id: String,
}

/// The status a problem of a service has for the outside.
fn status_of(problem: &Problem) -> StatusCode {
    match (problem.code, problem.reason.as_ref()) {
        (_, "SETUP_CLOSED") => StatusCode::GONE,
        (_, "HOST_UNKNOWN") => StatusCode::MISDIRECTED_REQUEST,
        (Code::InvalidArgument | Code::OutOfRange, _) => StatusCode::BAD_REQUEST,
        (Code::NotFound, _) => StatusCode::NOT_FOUND,
        (Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition, _) => StatusCode::CONFLICT,
        (Code::PermissionDenied, _) => StatusCode::FORBIDDEN,
        (Code::Unauthenticated, _) => StatusCode::UNAUTHORIZED,
        (Code::ResourceExhausted, _) => StatusCode::TOO_MANY_REQUESTS,
        (Code::Unavailable | Code::Cancelled, _) => StatusCode::SERVICE_UNAVAILABLE,
        (Code::DeadlineExceeded, _) => StatusCode::GATEWAY_TIMEOUT,
        (Code::Unimplemented, _) => StatusCode::NOT_IMPLEMENTED,
        (Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss, _) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let status = status_of(&problem);
        // What broke inside is for the logs; a status that is no problem of ours may carry anything in its text.
        let is_ours = !matches!(problem.code, Code::Unknown | Code::Internal | Code::DataLoss | Code::Ok);
        let detail = match problem.code {
            Code::Cancelled => "the request was given up; try again".to_owned(),
            Code::DeadlineExceeded => "this took too long; look whether it was done before trying again".to_owned(),
            _ if is_ours => problem.message.clone(),
            _ => "something went wrong on our side; the request id finds it in the logs".to_owned(),
        };
        let code = if is_ours { problem.reason.to_ascii_lowercase() } else { "internal".to_owned() };
        let waits = ["retry_after_ms", "retry_after_s"];
        let told = problem.metadata.get(waits[0]).and_then(|ms| ms.parse::<u64>().ok()).map(|ms| ms.div_ceil(1000));
        let told = told.or_else(|| problem.metadata.get(waits[1]).and_then(|s| s.parse().ok()));
        let mut refusal = Self::new(status, code, detail);
        refusal.retry_after_s = told.or(refusal.retry_after_s);
        if is_ours {
            refusal.field = problem.field;
            refusal.facts = problem.metadata.into_iter().filter(|(key, _)| !waits.contains(&key.as_str())).collect();
        }
        refusal
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let refusal = Self::from(Problem::from_status(&status));
        if refusal.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(code = ?status.code(), message = status.message(), "a service failed");
        }
        refusal
    }
}

impl IntoResponse for Refusal {
    /// An empty answer that carries the refusal; the edge writes it as JSON, the page layer as HTML.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        self.add_headers(&mut response);
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_s40_what_broke_inside_stays_inside() {
        let status = Status::internal("error returned from database: relation \"account\" does not exist at 10.0.0.7");
        let unknown = Status::unknown("thread panicked at src/app/order.rs:12");
        for status in [status, unknown] {
            let refusal = Refusal::from(status);
            let body = serde_json::to_string(&refusal.body("req_1")).unwrap();
            assert_eq!(refusal.status, StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(refusal.code, "internal");
            for leak in ["database", "10.0.0.7", "src/", "panicked"] {
                assert!(!body.contains(leak), "{body}");
            }
            assert!(body.contains("\"request_id\":\"req_1\""), "{body}");
        }
    }

    #[test]
    fn secure_s40_a_problem_keeps_its_code_field_and_way_out() {
        let problem = Problem::invalid("email", "EMAIL_INVALID", "email: write it like me@example.com")
            .with("retry_after_ms", 1500);
        let refusal = Refusal::from(Status::from(problem));
        let body = serde_json::to_value(refusal.body("req_1")).unwrap();
        assert_eq!(body["code"], "email_invalid");
        assert_eq!(body["field"], "email");
        assert_eq!(body["status"], 400);
        assert_eq!(body["detail"], "email: write it like me@example.com");
        assert_eq!(refusal.retry_after_s, Some(2));
    }

    #[test]
    fn secure_s36_a_closed_set_up_is_gone() {
        let refusal = Refusal::from(Problem::refused("SETUP_CLOSED", "set-up is closed"));
        assert_eq!(refusal.status, StatusCode::GONE);
    }
}
