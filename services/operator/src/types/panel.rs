//! `Panel`: a streaming panel of the operator's.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretSource, Status};

/// A streaming panel that hosts lines of one brand.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "ottery.dev",
    version = "v1alpha1",
    kind = "Panel",
    plural = "panels",
    singular = "panel",
    shortname = "opn",
    namespaced,
    status = "Status",
    printcolumn = r#"{"name":"Brand","type":"string","jsonPath":".spec.brand"}"#,
    printcolumn = r#"{"name":"Driver","type":"string","jsonPath":".spec.driver"}"#,
    printcolumn = r#"{"name":"Region","type":"string","jsonPath":".spec.region"}"#,
    printcolumn = r#"{"name":"Ready","type":"boolean","jsonPath":".status.ready"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PanelSpec {
    /// Slug of the brand.
    pub brand: String,
    /// As staff read it; the document's name by default.
    #[serde(default)]
    pub display_name: String,
    /// `xui`: XUI.ONE or XC_VM with an admin's key; `xui-reseller`: with a reseller's; `xtream`: Xtream Codes or Xtream UI.
    pub driver: String,
    /// Admin API: below its access code, or the address of `api.php`.
    pub base_url: String,
    /// Where customers' players connect.
    pub player_url: String,
    /// Key of the admin API; for `xtream` its `api_pass`, which may be empty.
    pub api_key_from: SecretSource,
    /// Region it serves; empty: any.
    #[serde(default)]
    pub region: String,
    /// Pool it belongs to; empty: none.
    #[serde(default)]
    pub pool: String,
    /// Lines it may hold; 0: no limit.
    #[serde(default)]
    pub capacity: u32,
    /// Calls a second.
    #[serde(default = "rate_per_second")]
    pub rate_per_second: f64,
    /// Calls at a time.
    #[serde(default = "concurrency")]
    pub concurrency: u32,
    /// IANA zone in which the panel's API user reads date strings.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Whether new lines may be placed on it.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// A simulated panel.
    #[serde(default)]
    pub sandbox: bool,
    /// Control address of a simulated panel.
    #[serde(default)]
    pub sandbox_control_url: String,
}

const fn rate_per_second() -> f64 {
    5.0
}

const fn concurrency() -> u32 {
    4
}

fn utc() -> String {
    "UTC".to_owned()
}

const fn yes() -> bool {
    true
}
