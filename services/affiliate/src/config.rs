//! Settings of affiliate; `config.default.toml` says what each means.

use serde::{Deserialize, Serialize};

/// Settings of affiliate.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether this process approves commissions.
    pub approvals: bool,
}
