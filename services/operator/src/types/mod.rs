//! The documents.

mod brand;
mod panel;
mod plan;
mod secret;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use brand::{Brand, BrandSpec, EntitySpec, PaymentsSpec};
pub use panel::{Panel, PanelSpec};
pub use plan::{
    AddOnSpec, ChangeTiming, ChangesSpec, LateRenewal, MappingSpec, OptionEffect, OptionPriceSpec, OptionSpec, Plan,
    PlanSpec, PriceChangeSpec, PriceSpec, SaleState, TermSpec, TermUnit,
};
pub use secret::{SecretError, SecretSource};

/// Group and version of every document.
pub const API_VERSION: &str = "ottery.dev/v1alpha1";

/// What the controller saw when it last looked.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The generation that was applied last.
    #[serde(default)]
    pub observed_generation: i64,
    /// Whether the system agrees with the document.
    #[serde(default)]
    pub ready: bool,
    /// Why not, and the way out.
    #[serde(default)]
    pub message: String,
    /// Id in the system.
    #[serde(default)]
    pub id: String,
}

/// The definitions, in the order in which they should be installed.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![Brand::crd(), Panel::crd(), Plan::crd()]
}

/// The definitions as one YAML stream.
///
/// # Errors
/// A definition that cannot be written as YAML.
pub fn crds_yaml() -> Result<String, serde_yaml_ng::Error> {
    let mut text = String::new();
    for crd in crds() {
        text.push_str("---\n");
        text.push_str(&serde_yaml_ng::to_string(&crd)?);
    }
    Ok(text)
}
