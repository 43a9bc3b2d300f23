//! One shape for the results of all benches.

use std::fmt;
use std::fs;
use std::process::Command;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::process::Usage;

/// What a bench found out.
#[derive(Clone, Debug)]
pub struct Measured {
    /// How much was done.
    pub value: f64,
    /// Of what, in which time.
    pub unit: &'static str,
    /// How much could have been done at most, measured in the same run.
    pub limit: f64,
    /// How long one took.
    pub latency: Latency,
    /// What the system under test used.
    pub usage: Usage,
    /// How often something was not answered as it should have been.
    pub failures: u64,
    /// Whatever helps to believe the numbers.
    pub details: Map<String, Value>,
}

/// How long one of many took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half were faster.
    pub p50_ms: f64,
    /// One of a hundred was slower.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

impl Latency {
    /// An empty histogram of microseconds, up to the longest wait that is told apart from an even longer one.
    ///
    /// # Errors
    /// Never in practice: the bounds are fixed.
    pub fn histogram() -> anyhow::Result<Histogram<u64>> {
        Ok(Histogram::new_with_bounds(1, 10 * 60 * 1_000_000, 3)?)
    }

    /// Of a histogram in microseconds.
    pub fn of_micros(histogram: &Histogram<u64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^52 microseconds")]
        let ms = |micros: u64| rounded(micros as f64 / 1e3, 3);
        Self {
            p50_ms: ms(histogram.value_at_quantile(0.5)),
            p99_ms: ms(histogram.value_at_quantile(0.99)),
            max_ms: ms(histogram.max()),
        }
    }
}

/// The result as it is printed.
#[derive(Clone, Debug, Serialize)]
pub struct Bench {
    bench: &'static str,
    value: f64,
    unit: &'static str,
    limit: f64,
    ratio: f64,
    #[serde(flatten)]
    latency: Latency,
    rss_mb: f64,
    cpu_s: f64,
    details: Map<String, Value>,
}

impl Bench {
    /// Puts a result together; the surroundings were looked at before the bench began.
    pub fn new(bench: &'static str, measured: Measured, before: &Surroundings) -> Self {
        let Measured { value, unit, limit, latency, usage, failures, mut details } = measured;
        details.insert("failures".to_owned(), failures.into());
        details.insert("build".to_owned(), build());
        details.insert("machine".to_owned(), machine(before, &Surroundings::look()));
        Self {
            bench,
            value: rounded(value, 1),
            unit,
            limit: rounded(limit, 1),
            ratio: ratio(value, limit),
            latency,
            rss_mb: rounded(usage.rss_mb, 1),
            cpu_s: rounded(usage.cpu_s, 2),
            details,
        }
    }
}

impl fmt::Display for Bench {
    /// For people: the figures in a line, the details below it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bench, value, unit, limit, ratio, latency, rss_mb, cpu_s, details } = self;
        let Latency { p50_ms, p99_ms, max_ms } = latency;
        writeln!(f, "{bench}: {value} {unit}, at most {limit}: ratio {ratio}")?;
        writeln!(f, "p50 {p50_ms} ms, p99 {p99_ms} ms, max {max_ms} ms; {rss_mb} MiB, {cpu_s} s of processor time")?;
        let details = serde_json::to_string_pretty(details).map_err(|_| fmt::Error)?;
        write!(f, "{details}")
    }
}

/// How much of the possible was done; 0 when nothing was possible.
pub fn ratio(value: f64, limit: f64) -> f64 {
    if limit > 0.0 { rounded(value / limit, 3) } else { 0.0 }
}

/// Rounded to so many decimals: more would pretend an exactness that no machine has.
pub fn rounded(number: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (number * scale).round() / scale
}

/// The middle one of several rounds; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// How busy the machine was with everything together.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    load_1m: f64,
}

impl Surroundings {
    /// Looks now.
    pub fn look() -> Self {
        let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self { load_1m: text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default() }
    }
}

fn machine(before: &Surroundings, after: &Surroundings) -> Value {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let found = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name);
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "processor": field("/proc/cpuinfo", "model name"),
        "memory": field("/proc/meminfo", "MemTotal"),
        "load_1m_before": before.load_1m,
        "load_1m_after": after.load_1m,
    })
}

fn build() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
        "git": commit(),
    })
}

/// The commit of the checkout this program lies in; none outside one.
fn commit() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let said = Command::new("git")
        .arg("-C")
        .arg(program.parent()?)
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()
        .filter(|said| said.status.success())?;
    Some(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        Measured {
            value: 1_234.56,
            unit: "requests/s",
            limit: 2_000.0,
            latency: Latency { p50_ms: 1.0, p99_ms: 2.5, max_ms: 9.0 },
            usage: Usage { rss_mb: 99.99, cpu_s: 1.234 },
            failures: 0,
            details: Map::from_iter([("rounds".to_owned(), json!(3))]),
        }
    }

    #[test]
    fn every_bench_prints_the_same_keys_in_the_same_order() {
        let bench = Bench::new("storefront", measured(), &Surroundings::look());
        let text = serde_json::to_string(&bench).unwrap();
        assert!(
            text.starts_with(
                r#"{"bench":"storefront","value":1234.6,"unit":"requests/s","limit":2000.0,"ratio":0.617,"p50_ms":1.0,"p99_ms":2.5,"max_ms":9.0,"rss_mb":100.0,"cpu_s":1.23,"details":{"#
            ),
            "{text}"
        );
        let details = serde_json::to_value(&bench).unwrap()["details"].clone();
        for key in ["rounds", "failures", "build", "machine"] {
            assert!(details.get(key).is_some(), "{key} is missing in {details}");
        }
        assert!(details["machine"]["cores"].as_u64().unwrap() >= 1);
    }

    #[test]
    fn a_long_wait_is_not_cut_short() {
        let mut histogram = Latency::histogram().unwrap();
        for micros in [1_000, 1_000, 2_500_000] {
            histogram.saturating_record(micros);
        }
        let latency = Latency::of_micros(&histogram);
        assert_eq!(latency.p50_ms, 1.0);
        assert!((2_500.0..2_504.0).contains(&latency.max_ms), "{latency:?}");
    }

    #[test]
    fn a_ratio_of_nothing_is_nothing() {
        assert_eq!(ratio(5.0, 0.0), 0.0);
        assert_eq!(ratio(1.0, 3.0), 0.333);
    }

    #[test]
    fn the_median_is_not_moved_by_one_bad_round() {
        assert_eq!(median(&[10.0, 11.0, 1_000.0]), 11.0);
        assert_eq!(median(&[10.0, 12.0]), 11.0);
        assert_eq!(median(&[]), 0.0);
    }
}
