//! Traces: one from the first click to the last mail, carried as W3C `traceparent` text wherever work travels.

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{TelemetryError, TelemetrySettings};

pub(super) fn provider(service: &str, settings: &TelemetrySettings) -> Result<SdkTracerProvider, TelemetryError> {
    if !(0.0..=1.0).contains(&settings.sample_ratio) {
        return Err(TelemetryError::Ratio(settings.sample_ratio));
    }
    let resource = Resource::builder()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.namespace", "ottery"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio)));
    let builder = SdkTracerProvider::builder().with_resource(resource).with_sampler(sampler);
    let Some(endpoint) = settings.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty()) else {
        return Ok(builder.build());
    };
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(std::time::Duration::from_secs(5))
        .build()
        .map_err(|source| TelemetryError::Endpoint { endpoint: endpoint.to_owned(), source })?;
    Ok(builder.with_batch_exporter(exporter).build())
}

/// The trace context of the present work, to send along with it; none outside any trace.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    let context = Context::current();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
}

/// The id of the trace the present work belongs to, 32 hexadecimal digits.
#[must_use]
pub fn current_trace_id() -> Option<String> {
    current_ids().map(|(trace_id, _)| trace_id)
}

pub(super) fn current_ids() -> Option<(String, String)> {
    let context = Context::current();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| (span.trace_id().to_string(), span.span_id().to_string()))
}

/// Whether the present work's trace is exported; only then an exemplar leads anywhere.
pub(super) fn is_sampled() -> bool {
    Context::current().span().span_context().is_sampled()
}

/// A span of this name that continues the trace the text names; unreadable or missing text starts a new trace.
#[must_use]
pub fn span_with_parent(name: &str, traceparent: Option<&str>) -> Span {
    let span = tracing::info_span!("work", otel.name = name);
    set_parent(&span, traceparent);
    span
}

/// Makes a span that was not entered yet continue the trace the text names.
pub fn set_parent(span: &Span, traceparent: Option<&str>) {
    if let Some(parent) = traceparent.and_then(parse) {
        // Without telemetry (tests, tools) there is no span to give a parent to.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

pub(super) fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.trim().split('-');
    let (version, trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_plain =
        |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_known = is_plain(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    if !(is_known && is_plain(trace_id, 32) && is_plain(span_id, 16) && is_plain(flags, 2)) {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace_id).ok()?,
        SpanId::from_hex(span_id).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()? & 1),
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proper_traceparent_is_followed() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = parse(good).unwrap();
        assert!(context.is_sampled() && context.is_remote());
        assert!(!parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00").unwrap().is_sampled());
        assert!(parse("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more").is_some());
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-zaf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_ratio_must_be_a_share() {
        let settings = TelemetrySettings { sample_ratio: 1.5, ..TelemetrySettings::default() };
        assert!(provider("test", &settings).unwrap_err().to_string().contains("sample_ratio"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn spans_reach_the_collector() {
        use opentelemetry::trace::{Tracer as _, TracerProvider as _};
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};

        let received = Arc::new(AtomicUsize::new(0));
        let counter = received.clone();
        let export = move |body: axum::body::Bytes| {
            counter.fetch_add(body.len(), Ordering::SeqCst);
            async { ([("content-type", "application/grpc"), ("grpc-status", "0")], "") }
        };
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let collector = axum::Router::new().route(path, axum::routing::post(export));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, collector).await });

        let settings = TelemetrySettings { otlp_endpoint: Some(endpoint), ..TelemetrySettings::default() };
        let provider = provider("test", &settings).unwrap();
        drop(provider.tracer("test").start("work"));
        let flushing = provider.clone();
        // Whatever the collector answers, the flush must not hang; that it received the span is what counts.
        let _ = tokio::task::spawn_blocking(move || flushing.force_flush()).await.unwrap();
        assert!(received.load(Ordering::SeqCst) > 50);
    }
}
