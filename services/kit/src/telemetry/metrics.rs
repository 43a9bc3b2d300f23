//! Metrics in OpenMetrics text. One process may run every service, so each sample carries `service`.
//!
//! Asking twice for a name gives the same metric; labels must be few and bounded (brand yes, customer no).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{counter, gauge};
use prometheus_client::registry::Registry;

use super::traces;

/// Content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Buckets for durations in seconds, 1 ms to 30 s.
pub const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

type Labels = Vec<(&'static str, String)>;
type Exemplar = Vec<(&'static str, String)>;
type Counters = Family<Labels, counter::Counter<f64, AtomicU64>>;
type Gauges = Family<Labels, gauge::Gauge<f64, AtomicU64>>;
type Histograms = Family<Labels, HistogramWithExemplars<Exemplar>, Buckets>;

#[derive(Clone, Debug)]
struct Buckets(&'static [f64]);

impl prometheus_client::metrics::family::MetricConstructor<HistogramWithExemplars<Exemplar>> for Buckets {
    fn new_metric(&self) -> HistogramWithExemplars<Exemplar> {
        HistogramWithExemplars::new(self.0.iter().copied())
    }
}

#[derive(Debug, Default)]
struct Inner {
    registry: Registry,
    counters: HashMap<String, Counters>,
    gauges: HashMap<String, Gauges>,
    histograms: HashMap<String, Histograms>,
}

/// The metrics of a process, seen by one service. Clones share everything.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Mutex<Inner>>,
    service: Arc<str>,
}

impl Metrics {
    /// An empty registry, labelled for this service.
    #[must_use]
    pub fn new(service: &str) -> Self {
        Self { inner: Arc::default(), service: service.into() }
    }

    /// The same registry, labelled for another service of the process.
    #[must_use]
    pub fn for_service(&self, service: &str) -> Self {
        Self { inner: self.inner.clone(), service: service.into() }
    }

    /// A number that only grows. The name goes without `_total`, which the text form adds.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        let mut inner = self.lock();
        let Inner { registry, counters, .. } = &mut *inner;
        let family = counters.entry(name.to_owned()).or_insert_with(|| {
            let family = Counters::default();
            registry.register(name, help, family.clone());
            family
        });
        Counter { family: family.clone(), service: self.service.clone() }
    }

    /// A number that goes up and down.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        let mut inner = self.lock();
        let Inner { registry, gauges, .. } = &mut *inner;
        let family = gauges.entry(name.to_owned()).or_insert_with(|| {
            let family = Gauges::default();
            registry.register(name, help, family.clone());
            family
        });
        Gauge { family: family.clone(), service: self.service.clone() }
    }

    /// A distribution of durations in seconds; the name ends in `_seconds`.
    #[must_use]
    pub fn histogram(&self, name: &str, help: &str) -> Histogram {
        self.histogram_with(name, help, SECONDS)
    }

    /// A distribution with buckets of its own; the buckets of the first call for a name count.
    #[must_use]
    pub fn histogram_with(&self, name: &str, help: &str, buckets: &'static [f64]) -> Histogram {
        let mut inner = self.lock();
        let Inner { registry, histograms, .. } = &mut *inner;
        let family = histograms.entry(name.to_owned()).or_insert_with(|| {
            let family = Histograms::new_with_constructor(Buckets(buckets));
            registry.register(name, help, family.clone());
            family
        });
        Histogram { family: family.clone(), service: self.service.clone() }
    }

    /// Everything as OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut page = String::new();
        text::encode(&mut page, &self.lock().registry).expect("writing to a string cannot fail");
        page
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn labels(service: &str, more: &[(&'static str, &str)]) -> Labels {
    let mut labels = Vec::with_capacity(more.len() + 1);
    labels.push(("service", service.to_owned()));
    labels.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    labels
}

/// A family of growing numbers.
#[derive(Clone, Debug)]
pub struct Counter {
    family: Counters,
    service: Arc<str>,
}

impl Counter {
    /// One more.
    pub fn inc(&self, more: &[(&'static str, &str)]) {
        self.add(more, 1.0);
    }

    /// So many more; negative amounts are ignored, a counter never shrinks.
    pub fn add(&self, more: &[(&'static str, &str)], amount: f64) {
        if amount >= 0.0 {
            self.family.get_or_create(&labels(&self.service, more)).inc_by(amount);
        }
    }

    /// The present value.
    #[must_use]
    pub fn get(&self, more: &[(&'static str, &str)]) -> f64 {
        self.family.get_or_create(&labels(&self.service, more)).get()
    }
}

/// A family of numbers that go up and down.
#[derive(Clone, Debug)]
pub struct Gauge {
    family: Gauges,
    service: Arc<str>,
}

impl Gauge {
    /// It is this now.
    pub fn set(&self, more: &[(&'static str, &str)], value: f64) {
        self.family.get_or_create(&labels(&self.service, more)).set(value);
    }

    /// It changed by this much.
    pub fn add(&self, more: &[(&'static str, &str)], change: f64) {
        self.family.get_or_create(&labels(&self.service, more)).inc_by(change);
    }

    /// The present value.
    #[must_use]
    pub fn get(&self, more: &[(&'static str, &str)]) -> f64 {
        self.family.get_or_create(&labels(&self.service, more)).get()
    }

    /// Forgets the sample, for example of a brand that is gone.
    pub fn remove(&self, more: &[(&'static str, &str)]) {
        self.family.remove(&labels(&self.service, more));
    }

    /// The sample with these labels, looked up once: for what changes with every request.
    #[must_use]
    pub fn level(&self, more: &[(&'static str, &str)]) -> Level {
        Level(self.family.get_or_create_owned(&labels(&self.service, more)))
    }
}

/// One sample of a [`Gauge`].
#[derive(Clone, Debug)]
pub struct Level(gauge::Gauge<f64, AtomicU64>);

impl Level {
    /// It changed by this much.
    pub fn add(&self, change: f64) {
        self.0.inc_by(change);
    }
}

/// A family of distributions.
#[derive(Clone, Debug)]
pub struct Histogram {
    family: Histograms,
    service: Arc<str>,
}

impl Histogram {
    /// One more value; when the present trace is exported, its id goes along as exemplar.
    pub fn observe(&self, more: &[(&'static str, &str)], value: f64) {
        let exemplar = traces::is_sampled().then(traces::current_trace_id).flatten().map(|id| vec![("trace_id", id)]);
        self.family.get_or_create(&labels(&self.service, more)).observe(value, exemplar, None);
    }

    /// One more duration.
    pub fn observe_duration(&self, more: &[(&'static str, &str)], duration: Duration) {
        self.observe(more, duration.as_secs_f64());
    }

    /// The sample with these labels, looked up once: for what is measured with every request.
    #[must_use]
    pub fn series(&self, more: &[(&'static str, &str)]) -> Series {
        let sample = self.family.get_or_create_owned(&labels(&self.service, more));
        Series { sample, led_at_ms: Arc::default(), since: Instant::now() }
    }
}

/// One sample of a [`Histogram`].
#[derive(Clone, Debug)]
pub struct Series {
    sample: HistogramWithExemplars<Exemplar>,
    /// When a value of each magnitude was last given an exemplar, in milliseconds after `since`, plus one.
    led_at_ms: Arc<[AtomicU64; MAGNITUDES]>,
    since: Instant,
}

/// Magnitudes of values that are given exemplars of their own: powers of two from a millisecond up.
const MAGNITUDES: usize = 16;
/// A bucket keeps its latest exemplar only, and is read every few seconds: one more per millisecond leads nowhere.
const EXEMPLAR_EVERY_MS: u64 = 100;

impl Series {
    /// One more value; when the present trace is exported, its id goes along as exemplar, unless a value of about this size
    /// was given one a moment ago.
    pub fn observe(&self, value: f64) {
        let exemplar = (traces::is_sampled() && self.wants_exemplar(value)).then(traces::current_trace_id).flatten();
        self.sample.observe(value, exemplar.map(|id| vec![("trace_id", id)]), None);
    }

    /// One more duration.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(duration.as_secs_f64());
    }

    fn wants_exemplar(&self, value: f64) -> bool {
        let Some(led_at) = self.led_at_ms.get(magnitude(value)) else { return true };
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let before = led_at.load(Ordering::Relaxed);
        // Two at once may both be given one; that is one too many and no more.
        let wants = before == 0 || now.saturating_sub(before) >= EXEMPLAR_EVERY_MS;
        if wants {
            led_at.store(now, Ordering::Relaxed);
        }
        wants
    }
}

/// 0 up to a millisecond, then one more for every doubling.
fn magnitude(seconds: f64) -> usize {
    let limits = std::iter::successors(Some(0.001), |limit| Some(limit * 2.0)).take(MAGNITUDES - 1);
    limits.filter(|limit| *limit < seconds).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_one_process_share_a_metric_and_keep_their_labels() {
        let billing = Metrics::new("billing");
        let catalog = billing.for_service("catalog");
        billing.counter("ottery_things", "Things").inc(&[("kind", "a")]);
        catalog.counter("ottery_things", "Things").add(&[("kind", "a")], 2.0);
        catalog.counter("ottery_things", "Things").add(&[("kind", "a")], -5.0);
        billing.gauge("ottery_level", "Level").set(&[], 3.0);
        billing.gauge("ottery_level", "Level").level(&[]).add(0.5);
        let page = billing.encode();
        assert!(page.contains(r#"ottery_things_total{service="billing",kind="a"} 1.0"#), "{page}");
        assert!(page.contains(r#"ottery_things_total{service="catalog",kind="a"} 2.0"#), "{page}");
        assert!(page.contains(r#"ottery_level{service="billing"} 3.5"#), "{page}");
        assert_eq!(page.matches("# TYPE ottery_things counter").count(), 1);
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn a_duration_carries_the_trace_it_was_measured_in() {
        use opentelemetry::trace::TracerProvider as _;
        use tracing_subscriber::layer::SubscriberExt as _;

        let provider = traces::provider("test", &crate::telemetry::TelemetrySettings::default()).unwrap();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let metrics = Metrics::new("billing");
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = traces::span_with_parent("x", Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
            span.in_scope(|| metrics.histogram("ottery_x_seconds", "X").observe(&[], 0.2));
        });
        let page = metrics.encode();
        assert!(page.contains(r#"# {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.2"#), "{page}");
    }

    #[test]
    fn of_values_of_one_size_only_now_and_then_one_is_given_an_exemplar() {
        assert_eq!([0.0, 0.001, 0.0015, 0.003, 0.5, 1e9].map(magnitude), [0, 0, 1, 2, 9, MAGNITUDES - 1]);
        let series = Metrics::new("gateway").histogram("ottery_y_seconds", "Y").series(&[]);
        assert!(series.wants_exemplar(0.0004) && !series.wants_exemplar(0.0008));
        assert!(series.wants_exemplar(0.2), "a slow one must not go without because of a fast one");
    }
}
