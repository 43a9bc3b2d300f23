//! Providers call here. The raw bytes go to billing, which verifies and stores them before anything is answered.

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use ottery_kit::grpc::{Code, Problem};
use ottery_kit::limit::Rate;
use ottery_proto::billing::v1::IngestWebhookRequest;

use crate::limits::{self, read_body};
use crate::problem::{Refusal, Reply};
use crate::request::RequestInfo;
use crate::state::AppState;

/// Bytes of a webhook.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Headers that are passed on.
const HEADERS_MAX: usize = 64;
/// Characters of one of them.
const HEADER_CHARS_MAX: usize = 8 * 1024;
/// How soon a provider may try again.
const RETRY_AFTER_S: u64 = 5;
/// Billing makes one insert; more time than this does not help it.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) fn router() -> Router<AppState> {
    Router::new().route("/webhooks/{provider}/{account}", post(take))
}

async fn take(
    State(state): State<AppState>,
    info: RequestInfo,
    Path((_provider, account)): Path<(String, String)>,
    request: Request,
) -> Reply<Response> {
    if account.len() > 64 {
        return Err(refused());
    }
    let rate = Rate::per_second(state.config.limits.webhooks_per_second);
    limits::take(&state, &format!("gateway:webhook:{account}"), rate).await?;
    let headers = passed_on(request.headers());
    let body = read_body(request, BODY_BYTES_MAX).await?;
    let message = IngestWebhookRequest { provider_account_id: account, body: body.into(), headers };
    // The provider's event id makes a second delivery harmless.
    let context = info.own_call(None).repeatable().timeout(TIMEOUT);
    match state.clients.billing(&context).ingest_webhook(message).await {
        Ok(_) => {
            Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], r#"{"received":true}"#).into_response())
        }
        Err(status) => Err(refusal(&Problem::from(status))),
    }
}

/// Whoever forges learns nothing from the answer; a provider whose message we could not keep tries again.
fn refusal(problem: &Problem) -> Refusal {
    match problem.code {
        Code::Unauthenticated
        | Code::InvalidArgument
        | Code::NotFound
        | Code::PermissionDenied
        | Code::FailedPrecondition => {
            tracing::info!(reason = %problem.reason, "a webhook was refused");
            refused()
        }
        _ => {
            tracing::warn!(reason = %problem.reason, "a webhook could not be kept; the provider will try again");
            let mut away = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "try_again", "not now; send it again");
            away.retry_after_s = Some(RETRY_AFTER_S);
            away
        }
    }
}

fn refused() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "webhook_refused", "the message was not accepted")
}

/// Signatures live in headers of all names; what belongs to people stays here.
fn passed_on(headers: &HeaderMap) -> HashMap<String, String> {
    headers
        .iter()
        .filter(|(name, value)| ![header::COOKIE, header::HOST].contains(name) && value.len() <= HEADER_CHARS_MAX)
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .take(HEADERS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_s19_a_forger_learns_nothing_and_a_provider_tries_again() {
        for code in [Code::Unauthenticated, Code::NotFound, Code::InvalidArgument] {
            let refusal = refusal(&Problem::new(code, "SIGNATURE_STALE", "stale by 301 s"));
            assert_eq!((refusal.status, refusal.code.as_str()), (StatusCode::BAD_REQUEST, "webhook_refused"));
            assert!(!refusal.detail.contains("stale") && refusal.facts.is_empty());
        }
        for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Internal, Code::ResourceExhausted] {
            let refusal = refusal(&Problem::new(code, "X", "x"));
            assert_eq!((refusal.status, refusal.retry_after_s), (StatusCode::SERVICE_UNAVAILABLE, Some(RETRY_AFTER_S)));
        }
    }
}
