//! Requests that change something must come from our own pages.
//!
//! Browsers say where a request comes from: `Sec-Fetch-Site` must be `same-origin`; browsers that do not send it send `Origin`,
//! which must be exactly this host's. A request with neither is refused: programs that use cookies send `Origin`.
//! API keys travel in a header no other site can set, so they need none of this.

use axum::http::{HeaderMap, Method, StatusCode, header};

use crate::headers::RouteClass;
use crate::problem::Refusal;
use crate::request::{RequestInfo, text};
use crate::session::has_bearer;

/// Refuses what another site may have sent.
///
/// # Errors
/// 403 `cross_site` or `origin_missing`, 415 for a body that is neither JSON (API) nor a plain form (pages).
pub fn check(method: &Method, class: RouteClass, headers: &HeaderMap, request: &RequestInfo) -> Result<(), Refusal> {
    if method.is_safe() || class == RouteClass::Webhook {
        return Ok(());
    }
    content_type(class, headers)?;
    if class == RouteClass::Api && has_bearer(headers) {
        return Ok(());
    }
    own_origin(headers, request, true)
}

/// For answers that stay open (SSE): another site's page may not read along.
///
/// # Errors
/// 403 `cross_site`.
pub fn check_stream(headers: &HeaderMap, request: &RequestInfo) -> Result<(), Refusal> {
    own_origin(headers, request, false)
}

fn own_origin(headers: &HeaderMap, request: &RequestInfo, is_required: bool) -> Result<(), Refusal> {
    let cross = || Refusal::denied("cross_site", "this request comes from another site; use the forms of this one");
    let site = headers.get("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin") {
        return Err(cross());
    }
    match text(headers, header::ORIGIN) {
        Some(origin) if origin == request.origin() => Ok(()),
        Some(_) => Err(cross()),
        None if headers.contains_key(header::ORIGIN) => Err(cross()),
        None if site.is_some() || !is_required => Ok(()),
        None => Err(Refusal::denied(
            "origin_missing",
            "the request does not say where it comes from; send the header `Origin` of this site, or use an API key",
        )),
    }
}

fn content_type(class: RouteClass, headers: &HeaderMap) -> Result<(), Refusal> {
    let given = text(headers, header::CONTENT_TYPE);
    let kind = given.as_deref().map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let wanted = if class == RouteClass::Api { "application/json" } else { "application/x-www-form-urlencoded" };
    match kind {
        Some(kind) if kind == wanted => Ok(()),
        None if !has_body(headers) => Ok(()),
        _ => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content_type",
            format!("send the body as `Content-Type: {wanted}`"),
        )),
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || text(headers, header::CONTENT_LENGTH).is_some_and(|length| length.trim() != "0")
}
