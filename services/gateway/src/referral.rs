//! `/r/{code}`: an affiliate's link. Counts the click, remembers the code in a cookie, goes on to the shop.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use ottery_proto::affiliate::v1::RecordClickRequest;
use serde::Deserialize;

use crate::limits::Query;
use crate::links;
use crate::problem::{Refusal, Reply};
use crate::request::RequestInfo;
use crate::session::{Visitor, cookie};
use crate::state::AppState;

/// How long a click counts.
const LIFE_S: u32 = 30 * 86_400;
/// Longest code.
const CODE_CHARS_MAX: usize = 64;

pub(crate) fn router() -> Router<AppState> {
    Router::new().route("/r/{code}", get(follow))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Landing {
    /// Where to go on.
    to: Option<String>,
}

const fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-ottery_ref" } else { "ottery_ref" }
}

/// The code of the link this browser came by.
#[must_use]
pub fn code(headers: &HeaderMap, request: &RequestInfo) -> Option<String> {
    cookie(headers, cookie_name(request.is_secure)).filter(|code| is_code(code))
}

fn is_code(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= CODE_CHARS_MAX && text.bytes().all(is_plain)
}

async fn follow(
    State(state): State<AppState>,
    Visitor { caller, .. }: Visitor,
    Path(code): Path<String>,
    Query(landing): Query<Landing>,
) -> Reply<Response> {
    let request = &caller.request;
    let landing = landing.to.unwrap_or_else(|| "/".to_owned());
    let landing = links::own_path("to", &landing)?.to_owned();
    let location = HeaderValue::try_from(&landing).map_err(|error| Refusal::internal(&error))?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    if !is_code(&code) {
        return Ok(response);
    }
    let click = RecordClickRequest {
        code: code.clone(),
        client_ip: request.client_ip.to_string(),
        user_agent: request.user_agent(),
        landing_path: landing,
    };
    // The visitor goes on to the shop whatever becomes of the count.
    let is_known = match state.clients.affiliate(&caller.call()).record_click(click).await {
        Ok(reply) => reply.into_inner().known,
        Err(status) => {
            tracing::warn!(code = ?status.code(), "a click was not counted");
            true
        }
    };
    if is_known {
        let name = cookie_name(request.is_secure);
        let secure = if request.is_secure { "; Secure" } else { "" };
        let text = format!("{name}={code}; Path=/; HttpOnly; SameSite=Lax; Max-Age={LIFE_S}{secure}");
        let value = HeaderValue::try_from(text).map_err(|error| Refusal::internal(&error))?;
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    Ok(response)
}
