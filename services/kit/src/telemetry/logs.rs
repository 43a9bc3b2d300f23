//! Log lines: one JSON object each, flat, with the ids of the trace they belong to.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::traces;
use crate::grpc::context;

/// `{"timestamp":…,"level":…,"target":…,"message":…, fields of the event and of its spans, "request.id":…,"trace_id":…,
/// "span_id":…}`; the request is the one the work belongs to, where it does.
#[derive(Debug)]
pub struct JsonLines;

impl<S> FormatEvent<S, Members> for JsonLines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Members>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        line.insert("timestamp".to_owned(), timestamp.into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("target".to_owned(), event.metadata().target().into());
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<Members>>() {
                line.extend(read(&fields.fields));
            }
        }
        if let Some(work) = context::current() {
            line.insert("request.id".to_owned(), work.request_id.into());
        }
        event.record(&mut Fields(&mut line));
        if let Some((trace_id, span_id)) = traces::current_ids() {
            line.insert("trace_id".to_owned(), trace_id.into());
            line.insert("span_id".to_owned(), span_id.into());
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Keeps the fields of a span as members of a JSON object, each with a comma behind it: most spans end without a line, and what
/// is recorded later is only appended, where `JsonFields` reads and writes the whole object again.
#[derive(Debug)]
pub struct Members;

impl<'writer> FormatFields<'writer> for Members {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut append = Append { writer, outcome: Ok(()) };
        fields.record(&mut append);
        append.outcome
    }
}

/// What [`Members`] kept; a field that was recorded again has its last value.
fn read(members: &str) -> Map<String, Value> {
    let members = members.trim_end().trim_end_matches(',');
    serde_json::from_str(&format!("{{{members}}}")).unwrap_or_default()
}

struct Append<'writer> {
    writer: Writer<'writer>,
    outcome: fmt::Result,
}

impl Append<'_> {
    fn put(&mut self, field: &Field, value: impl fmt::Display) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    /// Piece by piece: this runs for every field of every span, and the machinery of formats takes longer than the copying.
    fn member(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        // Names for the exporter are no facts of a line.
        if self.outcome.is_err() || field.name().starts_with("otel.") {
            return;
        }
        let writer = &mut self.writer;
        self.outcome = writer
            .write_char('"')
            .and_then(|()| writer.write_str(field.name()))
            .and_then(|()| writer.write_str("\":"))
            .and_then(|()| value(writer))
            .and_then(|()| writer.write_char(','));
    }
}

impl Visit for Append<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |writer| quote(writer, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, |writer| quote(writer, &format!("{value:?}")));
    }
}

/// Writes a text as JSON.
fn quote(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    if text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        return write!(writer, "{}", Value::from(text));
    }
    writer.write_char('"')?;
    writer.write_str(text)?;
    writer.write_char('"')
}

/// Lines for people at a terminal.
pub fn plain() -> format::Format<format::Compact> {
    format::format().compact()
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, crate::grpc::problem::chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::TracerProvider as _;
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_reads_alone_and_carries_its_trace() {
        let provider = super::traces::provider("test", &super::super::TelemetrySettings::default()).unwrap();
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::registry()
            .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")).with_filter(LevelFilter::INFO))
            .with(
                tracing_subscriber::fmt::layer()
                    .fmt_fields(Members)
                    .event_format(JsonLines)
                    .with_writer(move || writer.clone())
                    .with_filter("warn,ottery_kit=info".parse::<Targets>().unwrap()),
            );
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        tracing::subscriber::with_default(subscriber, || {
            let span = traces::span_with_parent("work", Some(parent));
            let _inside = span.enter();
            assert!(traces::current_traceparent().unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
            tracing::info!(invoice.id = "inv_1", attempts = 2, "settled");
        });
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        let line: Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "settled");
        assert_eq!(line["invoice.id"], "inv_1");
        assert_eq!(line["attempts"], 2);
        assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(line["span_id"].as_str().map(str::len), Some(16));
    }

    #[tokio::test]
    async fn a_line_names_the_request_its_work_belongs_to() {
        use crate::grpc::{CallContext, scope};
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let lines = tracing_subscriber::fmt::layer().fmt_fields(Members).event_format(JsonLines);
        let subscriber = tracing_subscriber::registry().with(lines.with_writer(move || writer.clone()));
        let _lines = tracing::subscriber::set_default(subscriber);
        scope(CallContext::service().request_id("req_7"), async { tracing::warn!("slow") }).await;
        tracing::warn!("alone");
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["message"], &lines[0]["request.id"]), (&"slow".into(), &"req_7".into()));
        assert_eq!((&lines[1]["message"], lines[1].get("request.id")), (&"alone".into(), None));
    }

    #[test]
    fn a_line_has_the_fields_of_its_spans_as_they_were_recorded_last() {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let lines = tracing_subscriber::fmt::layer().fmt_fields(Members).event_format(JsonLines);
        let subscriber = tracing_subscriber::registry().with(lines.with_writer(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let outer = tracing::info_span!("request", otel.name = "GET /", path = "/\"\u{7}\\ü", n = -3, share = 0.5);
            let _outside = outer.enter();
            let inner = tracing::info_span!("step", status = tracing::field::Empty, brand = ?Some("a \"b\""), n = 4);
            inner.record("status", 200);
            inner.record("status", 503);
            let _inside = inner.enter();
            tracing::warn!(is_late = true, "done");
        });
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        let mut line: Map<String, Value> = serde_json::from_str(text.trim()).unwrap();
        for always in ["timestamp", "level", "target"] {
            assert!(line.remove(always).is_some(), "{always}");
        }
        let expected = serde_json::json!({
            "message": "done", "is_late": true, "path": "/\"\u{7}\\ü", "n": 4, "share": 0.5, "status": 503,
            "brand": "Some(\"a \\\"b\\\"\")",
        });
        assert_eq!(Value::Object(line), expected);
    }
}
