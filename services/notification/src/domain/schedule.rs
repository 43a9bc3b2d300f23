//! When a mail that was not taken is tried again.

use std::time::Duration;

const STEPS_S: [u64; 7] = [5, 15, 60, 300, 900, 1_800, 3_600];

/// The pause after this many attempts; the last one repeats.
#[must_use]
pub fn pause(attempts: u32) -> Duration {
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX).min(STEPS_S.len() - 1);
    Duration::from_secs(STEPS_S[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour() {
        assert_eq!([0, 1, 2, 7, 1_000].map(|attempts| pause(attempts).as_secs()), [5, 5, 15, 3_600, 3_600]);
    }
}
