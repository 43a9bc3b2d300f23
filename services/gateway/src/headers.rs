//! Security headers, by the kind of answer.
//!
//! Forms and hosted payment pages: `form-action 'self'` also forbids a form's answer to redirect to another origin. A page that
//! sends the customer to a payment provider therefore answers 200 with `<meta http-equiv="refresh">` and a link.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

use crate::request::RequestInfo;

/// What kind of answer a path gives; decides its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteClass {
    /// HTML for people.
    Page,
    /// JSON for programs, never stored.
    Api,
    /// Files that never change under their name.
    Asset,
    /// Providers' calls.
    Webhook,
    /// Platform probes.
    Probe,
}

impl RouteClass {
    /// The class of this path.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let under =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match path {
            "/healthz" | "/readyz" => Self::Probe,
            _ if under("/api") => Self::Api,
            _ if under("/assets") => Self::Asset,
            _ if under("/webhooks") => Self::Webhook,
            _ => Self::Page,
        }
    }

    /// As metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Api => "api",
            Self::Asset => "asset",
            Self::Webhook => "webhook",
            Self::Probe => "probe",
        }
    }
}

/// Put on an answer's extensions by a page that needs more than its own origin, for example the player.
#[derive(Clone, Debug, Default)]
pub struct PolicyExtra {
    /// More sources for `media-src` and `connect-src`.
    pub media: Vec<String>,
}

/// Policy of pages that are kept and sent to many: a nonce may be used once, so they have none, and no inline style.
pub const STATIC_PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'";
const STRICT_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PERMISSIONS: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";

/// Adds the headers of this class; those a handler has set itself stay.
pub fn secure(response: &mut Response, class: RouteClass, request: &RequestInfo) {
    let extra = response.extensions_mut().remove::<PolicyExtra>();
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "strict-origin-when-cross-origin");
    set(PERMISSIONS_POLICY, PERMISSIONS);
    set(OPENER_POLICY, "same-origin");
    set(RESOURCE_POLICY, "same-origin");
    set(header::X_FRAME_OPTIONS, "DENY");
    match class {
        RouteClass::Asset => {}
        RouteClass::Api | RouteClass::Webhook | RouteClass::Probe => set(header::CACHE_CONTROL, "no-store"),
        // A page that may be kept says so itself.
        RouteClass::Page => set(header::CACHE_CONTROL, "no-store"),
    }
    if request.is_secure {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    match class {
        RouteClass::Page => {
            if !headers.contains_key(header::CONTENT_SECURITY_POLICY)
                && let Ok(policy) = HeaderValue::try_from(page_policy(request.nonce(), extra.as_ref()))
            {
                headers.insert(header::CONTENT_SECURITY_POLICY, policy);
            }
        }
        RouteClass::Api | RouteClass::Asset | RouteClass::Webhook | RouteClass::Probe => {
            let policy = HeaderValue::from_static(STRICT_POLICY);
            headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
        }
    }
    if let Ok(id) = HeaderValue::try_from(&request.id) {
        headers.insert(REQUEST_ID, id);
    }
}

fn page_policy(nonce: &str, extra: Option<&PolicyExtra>) -> String {
    let media = extra.map(|extra| extra.media.join(" ")).unwrap_or_default();
    let (connect, media) = if media.is_empty() {
        (String::new(), String::new())
    } else {
        (format!(" {media}"), format!("; media-src 'self' blob: {media}"))
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'{connect}{media}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
    )
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;

    use super::*;

    fn lines(class: RouteClass, is_secure: bool) -> Vec<String> {
        let mut config = crate::testing::config().http;
        config.behind_tls = is_secure;
        let (parts, ()) = Request::new(()).into_parts();
        let request = RequestInfo::read(&parts, &config);
        let mut response = Response::new(Body::empty());
        secure(&mut response, class, &request);
        let text =
            |value: &HeaderValue| value.to_str().unwrap().replace(request.nonce(), "NONCE").replace(&request.id, "ID");
        let mut lines: Vec<_> =
            response.headers().iter().map(|(name, value)| format!("{name}: {}", text(value))).collect();
        lines.sort();
        lines
    }

    #[test]
    fn secure_s29_headers_of_every_class() {
        let always = [
            "cross-origin-opener-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
            "permissions-policy: camera=(), geolocation=(), microphone=(), payment=(), usb=()",
            "referrer-policy: strict-origin-when-cross-origin",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
            "x-request-id: ID",
        ];
        let bare = "content-security-policy: default-src 'none'; frame-ancestors 'none'";
        let page = "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self' 'nonce-NONCE'; \
                    img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
                    frame-ancestors 'none'; manifest-src 'self'";
        let store = "cache-control: no-store";
        for (class, own) in [
            (RouteClass::Page, vec![page, store]),
            (RouteClass::Api, vec![bare, store]),
            (RouteClass::Webhook, vec![bare, store]),
            (RouteClass::Probe, vec![bare, store]),
            (RouteClass::Asset, vec![bare]),
        ] {
            let mut expected: Vec<String> = always.iter().chain(&own).map(|line| (*line).to_owned()).collect();
            expected.sort();
            assert_eq!(lines(class, false), expected, "{class:?}");
            expected.push("strict-transport-security: max-age=31536000".to_owned());
            expected.sort();
            assert_eq!(lines(class, true), expected, "{class:?} with HTTPS");
        }
    }

    #[test]
    fn secure_s30_a_page_allows_no_foreign_and_no_inline_code() {
        let policy = page_policy("abc", None);
        assert!(!policy.contains("unsafe-inline") && !policy.contains("unsafe-eval") && !policy.contains("http"));
        let player = page_policy("abc", Some(&PolicyExtra { media: vec!["http://tv.example:8080".into()] }));
        assert!(player.contains("media-src 'self' blob: http://tv.example:8080"), "{player}");
        assert!(player.contains("script-src 'self';"), "{player}");
    }

    #[test]
    fn a_path_has_one_class() {
        for (path, class) in [
            ("/", RouteClass::Page),
            ("/api/v1/me", RouteClass::Api),
            ("/apix", RouteClass::Page),
            ("/assets/app.css", RouteClass::Asset),
            ("/webhooks/sandbox/pac_1", RouteClass::Webhook),
            ("/healthz", RouteClass::Probe),
        ] {
            assert_eq!(RouteClass::of(path), class, "{path}");
        }
    }
}
