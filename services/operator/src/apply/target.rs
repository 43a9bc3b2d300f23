//! What `apply` needs of a running system.

use async_trait::async_trait;
use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1::{ProviderAccount, PutProviderAccountRequest};
use ottery_proto::catalog::v1::{Brand, Plan, PutPlanRequest, plan};
use ottery_proto::provisioning::v1::Panel;

/// A running system. Ids of brands are `brd_…`.
#[async_trait]
pub trait Target: Send + Sync {
    /// The brand of that slug.
    async fn brand(&self, slug: &str) -> Result<Option<Brand>, Problem>;
    /// Creates (no id) or changes a brand.
    async fn put_brand(&self, brand: Brand, expected_version: u64) -> Result<Brand, Problem>;
    /// All plans of a brand.
    async fn plans(&self, brand: &str) -> Result<Vec<Plan>, Problem>;
    /// Creates (no id) or changes a plan.
    async fn put_plan(&self, brand: &str, request: PutPlanRequest) -> Result<Plan, Problem>;
    /// Puts a plan on sale or into the archive.
    async fn set_plan_state(
        &self,
        brand: &str,
        plan: &str,
        state: plan::State,
        expected_version: u64,
    ) -> Result<Plan, Problem>;
    /// All panels of a brand.
    async fn panels(&self, brand: &str) -> Result<Vec<Panel>, Problem>;
    /// Creates (no id) or changes a panel.
    async fn put_panel(
        &self,
        brand: &str,
        panel: Panel,
        api_key: String,
        expected_version: u64,
    ) -> Result<Panel, Problem>;
    /// All payment provider accounts of a brand.
    async fn provider_accounts(&self, brand: &str) -> Result<Vec<ProviderAccount>, Problem>;
    /// Creates (no id) or changes a payment provider account.
    async fn put_provider_account(
        &self,
        brand: &str,
        request: PutProviderAccountRequest,
    ) -> Result<ProviderAccount, Problem>;
}
