//! The trace goes on through the outbox: W3C `traceparent` in, `traceparent` out.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// `traceparent` of the current span; empty when no trace is being recorded.
#[must_use]
pub fn current_traceparent() -> String {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    carrier.remove("traceparent").unwrap_or_default()
}

/// Makes `span` a child of the trace that `traceparent` names; malformed or empty text is ignored.
pub fn set_parent(span: &Span, traceparent: &str) {
    if traceparent.is_empty() {
        return;
    }
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    // Without a telemetry layer there is nothing to attach to, which is not an error.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier));
}
