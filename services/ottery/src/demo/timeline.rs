//! What happened when: for people as it happens, for programs at the end.

use std::time::Instant;

use anyhow::Context;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Longer activations are not told apart.
const LONGEST_MS: u64 = 3_600_000;

/// One thing that was done and held what it promised.
#[derive(Clone, Debug)]
struct Step {
    name: String,
    ms: u64,
}

/// The steps so far.
pub struct Timeline {
    began: Instant,
    is_json: bool,
    steps: Vec<Step>,
    activations: Histogram<u64>,
}

impl Timeline {
    /// Begins now.
    ///
    /// # Errors
    /// Never in practice: the histogram's bounds are fixed.
    pub fn begin(is_json: bool) -> anyhow::Result<Self> {
        Ok(Self {
            began: Instant::now(),
            is_json,
            steps: Vec::new(),
            activations: Histogram::new_with_bounds(1, LONGEST_MS, 3)?,
        })
    }

    /// Does one step. What it returns beside its value is said to people.
    ///
    /// # Errors
    /// What the step found different, with its name.
    pub async fn step<T>(
        &mut self,
        name: impl Into<String>,
        work: impl Future<Output = anyhow::Result<(T, String)>>,
    ) -> anyhow::Result<T> {
        let name = name.into();
        let began = Instant::now();
        let (value, said) = work.await.with_context(|| format!("step `{name}` differed"))?;
        let ms = millis(began);
        if !self.is_json {
            println!("{:>7.1} s  {:>6} ms  {name:<20} {said}", self.began.elapsed().as_secs_f64(), ms);
        }
        self.steps.push(Step { name, ms });
        Ok(value)
    }

    /// Remembers how long it took from paying to watching.
    pub fn activated(&mut self, ms: u64) {
        self.activations.saturating_record(ms);
    }

    /// The last words of a story that went as it should.
    pub fn finish(&self) {
        let (p50, p99) = (self.activations.value_at_quantile(0.5), self.activations.value_at_quantile(0.99));
        if self.is_json {
            println!("{}", self.result(true, None));
        } else {
            println!(
                "\n{} steps in {:.1} s; paid to playable: p50 {p50} ms, p99 {p99} ms; the ledger balances.",
                self.steps.len(),
                self.began.elapsed().as_secs_f64()
            );
        }
    }

    /// The last line for programs when a step differed; people read the error itself.
    pub fn give_up(&self, error: &str) {
        if self.is_json {
            println!("{}", self.result(false, Some(error)));
        }
    }

    fn result(&self, is_ok: bool, error: Option<&str>) -> Value {
        let steps: Vec<Value> = self.steps.iter().map(|step| json!({"name": step.name, "ms": step.ms})).collect();
        let activation = json!({
            "p50": self.activations.value_at_quantile(0.5),
            "p99": self.activations.value_at_quantile(0.99),
        });
        let mut result = json!({"ok": is_ok, "steps": steps, "activation_ms": activation, "ledger_balanced": is_ok});
        if let Some(error) = error {
            result["error"] = error.into();
        }
        result
    }
}

/// Whole milliseconds since then.
pub fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
