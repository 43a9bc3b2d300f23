//! Asking on schedule, however long answers take: a request's time counts from the instant it was due.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::result::Latency;

/// What was seen.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Times in microseconds, by kind of request.
    pub times: Vec<Histogram<u64>>,
    /// How often something was not answered as it should have been.
    pub failures: u64,
}

impl Tally {
    /// All kinds together.
    ///
    /// # Errors
    /// Never in practice: the bounds are fixed.
    pub fn together(&self) -> anyhow::Result<Histogram<u64>> {
        let mut all = Latency::histogram()?;
        for times in &self.times {
            all.add(times)?;
        }
        Ok(all)
    }
}

/// Asks `rate` times a second, the kinds in turns, as long as `goes_on` says so of the time since the beginning. `ask` gets
/// the number of the request.
///
/// # Errors
/// Never in practice: the bounds of histograms are fixed.
pub async fn ask<F>(
    kinds: usize,
    rate: f64,
    goes_on: impl Fn(Duration) -> bool,
    ask: impl Fn(u32) -> F,
) -> anyhow::Result<Tally>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut tally = Tally { times: vec![Latency::histogram()?; kinds], failures: 0 };
    let timed = async |n: u32, due: Instant| {
        let answer = ask(n).await;
        (n as usize % kinds, due.elapsed(), answer)
    };
    let (began, mut running) = (Instant::now(), FuturesUnordered::new());
    for n in 0_u32.. {
        let after = Duration::from_secs_f64(f64::from(n) / rate);
        if !goes_on(after) {
            break;
        }
        let due = began + after;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due) => break,
                Some(answer) = running.next() => record(&mut tally, answer),
            }
        }
        running.push(timed(n, due));
    }
    while let Some(answer) = running.next().await {
        record(&mut tally, answer);
    }
    Ok(tally)
}

fn record(tally: &mut Tally, answer: (usize, Duration, anyhow::Result<()>)) {
    let (kind, waited, outcome) = answer;
    match outcome {
        Ok(()) => tally.times[kind].saturating_record(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX)),
        Err(error) => {
            if tally.failures == 0 {
                eprintln!("ottery: {error:#}");
            }
            tally.failures += 1;
        }
    }
}
