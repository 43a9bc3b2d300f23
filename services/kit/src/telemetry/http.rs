//! Trace and measure of every HTTP request a service answers.

use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use tracing::Instrument as _;

use super::{Histogram, Metrics};

#[derive(Clone, Debug)]
struct Measure {
    service: &'static str,
    seconds: Histogram,
}

/// The same router with a span and a sample of `ottery_http_server_seconds` per request. A trace starts here: what
/// clients on the internet claim to belong to is not followed.
pub fn instrument(router: Router, service: &'static str, metrics: &Metrics) -> Router {
    let seconds =
        metrics.histogram("ottery_http_server_seconds", "Time until an HTTP answer begins, by route and status");
    router.layer(middleware::from_fn_with_state(Measure { service, seconds }, measure))
}

async fn measure(State(measure): State<Measure>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    // The pattern (`/orders/{id}`), never the path: labels must be bounded and ids are nobody's business.
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let method = known(request.method().as_str());
    let span = tracing::info_span!(
        "http.server",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        service = measure.service,
    );
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    span.in_scope(|| {
        let labels = [("method", method), ("route", route.as_str()), ("status", status.as_str())];
        measure.seconds.observe_duration(&labels, started.elapsed());
    });
    response
}

/// Methods are free text on the wire.
fn known(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_request_is_counted_by_its_pattern() {
        let metrics = Metrics::new("gateway");
        let router = Router::new().route("/orders/{id}", get(|| async { "here" }));
        let router = instrument(router, "gateway", &metrics);
        for path in ["/orders/ord_1", "/orders/ord_2", "/nowhere/at-all"] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap();
        }
        let page = metrics.encode();
        let counted =
            r#"ottery_http_server_seconds_count{service="gateway",method="GET",route="/orders/{id}",status="200"} 2"#;
        assert!(page.contains(counted), "{page}");
        assert!(page.contains(r#"route="other",status="404"} 1"#), "{page}");
    }
}
