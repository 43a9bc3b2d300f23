//! Settings of support; `config.default.toml` says what each means.

use serde::{Deserialize, Serialize};

/// Settings of support.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who can be written to; the first one is the default.
    pub departments: Vec<String>,
}
