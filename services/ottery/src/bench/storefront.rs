//! `ottery bench storefront`: the pages of a shop.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::Map;

use super::process::Usage;
use super::result::{Latency, Measured};
use crate::cli::StorefrontOptions;
use crate::demo::system::System;

/// Asks for one page after the other.
///
/// # Errors
/// The private system does not start.
pub async fn run(options: &StorefrontOptions) -> anyhow::Result<Measured> {
    let system = System::start("bench", "").await?;
    let pid = system.pid().ok_or_else(|| anyhow::anyhow!("the private system has ended"))?;
    let before = Usage::of(pid)?;
    let mut latencies = Histogram::<u64>::new(3)?;
    let (mut failures, began) = (0, Instant::now());
    while began.elapsed() < Duration::from_secs_f64(options.seconds) {
        let asked = Instant::now();
        let answer = system.client.get(format!("{}/plans", system.shop_origin)).send().await?;
        failures += u64::from(!answer.status().is_success());
        answer.bytes().await?;
        latencies.saturating_record(u64::try_from(asked.elapsed().as_micros())?);
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
    let value = latencies.len() as f64 / began.elapsed().as_secs_f64();
    let usage = Usage::of(pid)?.since(before);
    system.leave(failures == 0).await?;
    let latency = Latency::of_micros(&latencies);
    Ok(Measured { value, unit: "requests/s", limit: value, latency, usage, failures, details: Map::new() })
}
