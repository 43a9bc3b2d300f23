//! Spans of requests from outside, made without `tracing`.
//!
//! The edge answers most requests from memory in less time than `tracing` needs for its bookkeeping of a span: a slot in the
//! registry, a look at every layer for each step, fields kept as text for lines that are never written. What is begun inside,
//! whichever way, is part of the span all the same, and lines written inside carry its ids.

use std::future::Future;

use opentelemetry::context::{FutureExt as _, WithContext};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};

use super::traces;

/// Attributes a span has room for from the start.
const ATTRIBUTES: usize = 8;

/// Makes spans of requests. Made after [`super::init`]; without that, spans go nowhere and have no ids.
#[derive(Debug)]
pub struct RequestSpans(BoxedTracer);

impl Default for RequestSpans {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestSpans {
    /// Of this process.
    #[must_use]
    pub fn new() -> Self {
        Self(opentelemetry::global::tracer(super::TRACER))
    }

    /// Begins a span of this name that continues the trace the text names; unreadable or missing text starts a new trace.
    pub fn start(&self, name: String, traceparent: Option<&str>) -> RequestSpan {
        let parent = traceparent.and_then(traces::parse);
        let parent = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server);
        let span = self.0.build_with_context(builder.with_attributes(Vec::with_capacity(ATTRIBUTES)), &parent);
        RequestSpan(parent.with_span(span))
    }
}

/// The span of one request. When it is dropped before its end (the client went away), it ends there.
#[derive(Debug)]
#[must_use = "a span ends when it is dropped"]
pub struct RequestSpan(Context);

impl RequestSpan {
    /// The work the span is about.
    pub fn around<F: Future>(&self, work: F) -> WithContext<F> {
        work.with_context(self.0.clone())
    }

    /// Ends it, with what became known of it.
    pub fn end(self, attributes: impl IntoIterator<Item = KeyValue>, is_failed: bool) {
        let span = self.0.span();
        span.set_attributes(attributes);
        if is_failed {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::global::BoxedTracer;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_is_begun_inside_is_part_of_the_request_and_the_request_of_its_callers_trace() {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let _lines = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        let spans = RequestSpans(BoxedTracer::new(Box::new(provider.tracer("test"))));

        let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let span = spans.start("GET /plans".into(), Some(caller));
        let inside = async {
            tokio::task::yield_now().await;
            drop(tracing::info_span!("call"));
            traces::current_traceparent()
        };
        let told = span.around(inside).await.unwrap();
        assert!(told.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{told}");
        assert_eq!(traces::current_traceparent(), None);
        span.end([KeyValue::new("http.status", 503_i64)], true);

        let kept = kept.0.lock().unwrap();
        let [call, request] = kept.as_slice() else { panic!("{kept:?}") };
        assert_eq!((request.name.as_ref(), request.span_kind.clone()), ("GET /plans", SpanKind::Server));
        assert_eq!(request.parent_span_id.to_string(), "b7ad6b7169203331");
        assert_eq!(call.parent_span_id, request.span_context.span_id());
        assert_eq!(call.span_context.trace_id(), request.span_context.trace_id());
        assert_eq!(request.attributes, [KeyValue::new("http.status", 503_i64)]);
        assert_eq!(request.status, Status::error(""));
    }

    #[tokio::test]
    async fn a_request_nobody_waits_for_any_more_ends_its_span() {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
        let spans = RequestSpans(BoxedTracer::new(Box::new(provider.tracer("test"))));
        drop(spans.start("GET /events".into(), Some("no traceparent")));
        let kept = kept.0.lock().unwrap();
        assert_eq!(kept.len(), 1);
        assert!(kept[0].span_context.is_valid() && kept[0].end_time >= kept[0].start_time);
    }
}
