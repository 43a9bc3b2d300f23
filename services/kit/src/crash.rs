//! A test aid: named instants at which the process dies as if killed.
//!
//! Production never sets `OTTERY_CRASH_POINT`, and then a point costs one comparison. With
//! `OTTERY_CRASH_POINT=outbox.acked` the process aborts the first time it passes that point,
//! with `outbox.acked@3` the third time. Fault tests start child processes with it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

struct Armed {
    name: String,
    left: AtomicU32,
}

static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| {
    let value = std::env::var("OTTERY_CRASH_POINT").ok().filter(|value| !value.is_empty())?;
    let (name, times) = match value.split_once('@') {
        Some((name, times)) => (name.to_owned(), times.parse().unwrap_or(1)),
        None => (value, 1),
    };
    Some(Armed { name, left: AtomicU32::new(times) })
});

/// Dies here, without any clean-up, when the environment asks for it.
pub fn point(name: &str) {
    let Some(armed) = ARMED.as_ref() else { return };
    if armed.name == name && armed.left.fetch_sub(1, Ordering::SeqCst) == 1 {
        std::process::abort();
    }
}
