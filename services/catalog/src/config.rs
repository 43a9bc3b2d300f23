//! Settings of catalog; `config.default.toml` says what each means.

use serde::{Deserialize, Serialize};

/// Settings of catalog.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether brands may be put on a test clock.
    pub test_clocks_allowed: bool,
}
