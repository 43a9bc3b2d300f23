//! Settings of analytics; `config.default.toml` says what each means.

use serde::{Deserialize, Serialize};

/// Settings of analytics.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Customers whose events are recorded at the same time.
    pub consumers: usize,
}
