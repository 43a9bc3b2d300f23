//! What can be seen from outside: logs, traces, metrics.

pub mod http;
mod logs;
pub mod metrics;
mod request;
pub mod traces;

use serde::{Deserialize, Serialize};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use metrics::{Counter, Gauge, Histogram, Level, Metrics, Series};
pub use opentelemetry::KeyValue;
pub use request::{RequestSpan, RequestSpans};
pub use traces::{current_trace_id, current_traceparent, set_parent, span_with_parent};

/// Name of the tracer of every span.
const TRACER: &str = "ottery";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    #[default]
    Json,
    /// For people at a terminal.
    Pretty,
}

/// What is logged and where traces go.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySettings {
    /// Filter, for example `info,billing=debug`.
    pub log: String,
    /// How lines look.
    pub format: LogFormat,
    /// OTLP collector (gRPC), for example `http://collector:4317`; none exports nothing, ids are made all the same.
    pub otlp_endpoint: Option<String>,
    /// Share of new traces that is exported, 0 to 1; a caller's decision is followed.
    pub sample_ratio: f64,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { log: "info".to_owned(), format: LogFormat::Json, otlp_endpoint: None, sample_ratio: 1.0 }
    }
}

/// Why telemetry did not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter has a typo.
    #[error("telemetry.log = `{filter}` is no filter; try `info` or `info,billing=debug`")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The ratio is not a share.
    #[error("telemetry.sample_ratio = {0} must lie between 0 and 1")]
    Ratio(f64),
    /// The collector's address is unusable.
    #[error("telemetry.otlp_endpoint = `{endpoint}` cannot be used; it looks like `http://collector:4317`")]
    Endpoint {
        /// As given.
        endpoint: String,
        /// What the exporter said.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// Called twice in one process.
    #[error("telemetry was started already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sends what is left when dropped; keep it until the process ends.
#[derive(Debug)]
#[must_use = "telemetry ends when the guard is dropped"]
pub struct TelemetryGuard {
    provider: opentelemetry_sdk::trace::SdkTracerProvider,
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        // The process is ending; there is nobody left to tell.
        let _ = self.provider.shutdown_with_timeout(std::time::Duration::from_secs(2));
    }
}

/// Which lines are written. By target and level only: a filter that looks at spans, too, takes a lock at each of their steps.
fn filter(log: &str) -> Result<Targets, TelemetryError> {
    let targets: Targets = log.parse().map_err(|source| TelemetryError::Filter { filter: log.to_owned(), source })?;
    // It prints whole messages, personal data and all; the relay counts and names what nobody listens to.
    Ok(targets.with_target("lapin::returned_messages", LevelFilter::OFF))
}

/// Starts logs and traces of this process. Needs a tokio runtime when an endpoint is set.
///
/// # Errors
/// Settings that cannot be right, each naming its key, and a second call in one process.
pub fn init(service: &str, settings: &TelemetrySettings) -> Result<TelemetryGuard, TelemetryError> {
    let filter = filter(&settings.log)?;
    let provider = traces::provider(service, settings)?;
    let tracer = opentelemetry::trace::TracerProvider::tracer(&provider, TRACER);
    let lines = match settings.format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .fmt_fields(logs::Members)
            .event_format(logs::JsonLines)
            .with_writer(std::io::stderr)
            .boxed(),
        LogFormat::Pretty => {
            tracing_subscriber::fmt::layer().event_format(logs::plain()).with_writer(std::io::stderr).boxed()
        }
    };
    // Traces come first: a span must be built before a line asks for its id. The filter is for lines only; quiet logs
    // must not cut traces in two.
    // A span says what was done and how long it took; when its task was polled costs two clock readings per poll and is of
    // no use to whoever follows an order.
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    tracing_subscriber::registry()
        .with(spans.with_filter(LevelFilter::INFO))
        .with(lines.with_filter(filter))
        .try_init()?;
    opentelemetry::global::set_tracer_provider(provider.clone());
    Ok(TelemetryGuard { provider })
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_filter_is_by_target_and_level_and_never_lets_whole_messages_out() {
        let known = filter("info,billing=debug").unwrap();
        assert!(known.would_enable("gateway", &Level::INFO) && !known.would_enable("gateway", &Level::DEBUG));
        assert!(known.would_enable("billing::app", &Level::DEBUG));
        assert!(!filter("trace").unwrap().would_enable("lapin::returned_messages", &Level::ERROR));
        let typo = filter("info,billing=loud").unwrap_err().to_string();
        assert!(typo.contains("telemetry.log = `info,billing=loud` is no filter"), "{typo}");
    }
}
