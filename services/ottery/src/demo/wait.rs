//! Waiting for what happens by itself.

use std::time::{Duration, Instant};

/// How long anything may take before the story gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until `probe` is satisfied. What it saw last, and does not like, goes into the sentence when patience ends.
///
/// # Errors
/// What the probe itself ran into, or that it never was satisfied.
pub async fn until<T>(wanted: &str, probe: impl AsyncFn() -> anyhow::Result<Result<T, String>>) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        match probe().await? {
            Ok(value) => return Ok(value),
            Err(seen) if began.elapsed() >= PATIENCE => {
                anyhow::bail!("expected {wanted}, but after {} s still {seen}", PATIENCE.as_secs())
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
