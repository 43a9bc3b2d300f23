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
/// 403 `cross_site` or `origin_missing`, 415 for a body that is neither JSON (API) nor a form (pages).
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
        // What a form of ours with a file sends; whose form it is, is asked for next.
        Some(kind) if class == RouteClass::Page && kind == "multipart/form-data" => Ok(()),
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

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue, Request};

    use super::*;

    fn request(host: &'static str) -> RequestInfo {
        let (parts, ()) = Request::builder().header(header::HOST, host).body(()).unwrap().into_parts();
        RequestInfo::read(&parts, &crate::testing::config().http)
    }

    fn verdict(class: RouteClass, given: &[(&'static str, &'static str)]) -> Result<(), String> {
        let headers: HeaderMap = given
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        check(&Method::POST, class, &headers, &request("shop.example")).map_err(|refusal| refusal.code)
    }

    #[test]
    fn secure_s04_only_our_own_pages_change_anything() {
        const JSON: (&str, &str) = ("content-type", "application/json");
        const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
        const OWN: (&str, &str) = ("origin", "http://shop.example");
        let api = |given: &[(&'static str, &'static str)]| verdict(RouteClass::Api, given);
        assert_eq!(api(&[JSON, OWN]), Ok(()));
        assert_eq!(api(&[JSON, ("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(api(&[JSON, OWN, ("sec-fetch-site", "same-origin")]), Ok(()));
        for (given, code) in [
            // another site
            (vec![JSON, ("sec-fetch-site", "cross-site")], "cross_site"),
            (vec![JSON, ("sec-fetch-site", "cross-site"), OWN], "cross_site"),
            // a sibling brand below the same parent domain
            (vec![JSON, ("sec-fetch-site", "same-site")], "cross_site"),
            (vec![JSON, ("origin", "http://other.example")], "cross_site"),
            (vec![JSON, ("origin", "http://shop.example.evil.example")], "cross_site"),
            (vec![JSON, ("origin", "https://shop.example")], "cross_site"),
            (vec![JSON, ("origin", "http://shop.example:81")], "cross_site"),
            (vec![JSON, ("sec-fetch-site", "same-origin"), ("origin", "http://other.example")], "cross_site"),
            // typed into the address bar, opened from a bookmark
            (vec![JSON, ("sec-fetch-site", "none")], "cross_site"),
            (vec![JSON, ("origin", "null")], "cross_site"),
            (vec![JSON], "origin_missing"),
            (vec![], "origin_missing"),
            // what a foreign form can send
            (vec![("content-type", "text/plain"), OWN], "content_type"),
            (vec![FORM, OWN], "content_type"),
            (vec![("content-type", "multipart/form-data; boundary=x"), OWN], "content_type"),
            (vec![("content-length", "2"), OWN], "content_type"),
        ] {
            assert_eq!(api(&given), Err(code.to_owned()), "{given:?}");
        }
        assert_eq!(verdict(RouteClass::Page, &[FORM, OWN]), Ok(()));
        assert_eq!(verdict(RouteClass::Page, &[JSON, OWN]), Err("content_type".to_owned()));
        // A form with a file: whose it is, is asked for as of any other.
        const FILE: (&str, &str) = ("content-type", "multipart/form-data; boundary=x");
        assert_eq!(verdict(RouteClass::Page, &[FILE, OWN]), Ok(()));
        assert_eq!(verdict(RouteClass::Page, &[FILE]), Err("origin_missing".to_owned()));
        assert_eq!(verdict(RouteClass::Page, &[FILE, ("sec-fetch-site", "cross-site")]), Err("cross_site".to_owned()));
        assert_eq!(verdict(RouteClass::Page, &[FORM, ("origin", "null")]), Err("cross_site".to_owned()));
        assert_eq!(verdict(RouteClass::Page, &[FORM]), Err("origin_missing".to_owned()));
    }

    #[test]
    fn secure_s05_a_sibling_brand_reads_no_stream_and_an_api_key_needs_no_origin() {
        let info = request("shop.example");
        let headers =
            |name, value| HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
        assert!(check_stream(&HeaderMap::new(), &info).is_ok());
        assert!(check_stream(&headers("origin", "http://shop.example"), &info).is_ok());
        assert!(check_stream(&headers("origin", "http://other.example"), &info).is_err());
        assert!(check_stream(&headers("sec-fetch-site", "same-site"), &info).is_err());
        let key = [("authorization", "Bearer otk_1"), ("content-type", "application/json")];
        assert_eq!(verdict(RouteClass::Api, &key), Ok(()));
        // A form of another site may carry credentials of the browser, never this header; but pages take no keys.
        let form = [("authorization", "Bearer otk_1"), ("content-type", "application/x-www-form-urlencoded")];
        assert!(verdict(RouteClass::Page, &form).is_err());
    }
}
