//! What `apply` needs of a running system.

use async_trait::async_trait;
use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1::{ChangePriceReply, ChangePriceRequest, ProviderAccount, PutProviderAccountRequest};
use ottery_proto::catalog::v1::{Brand, Plan, PutBrandRequest, PutPlanRequest};
use ottery_proto::provisioning::v1::{Panel, PutPanelRequest};

/// A running system. Ids of brands are `brd_…`. Every put names the version it read, says the same again without any effect,
/// and leaves nothing behind as a dry run.
#[async_trait]
pub trait Target: Send + Sync {
    /// The brand of that slug.
    async fn brand(&self, slug: &str) -> Result<Option<Brand>, Problem>;
    /// Creates (no id) or changes a brand.
    async fn put_brand(&self, request: PutBrandRequest) -> Result<Brand, Problem>;
    /// All plans of a brand.
    async fn plans(&self, brand: &str) -> Result<Vec<Plan>, Problem>;
    /// Creates (no id) or changes a plan.
    async fn put_plan(&self, brand: &str, request: PutPlanRequest) -> Result<Plan, Problem>;
    /// Announces a price to everybody who has another one of the same plan, term and currency and has not heard of it.
    async fn change_price(&self, brand: &str, request: ChangePriceRequest) -> Result<ChangePriceReply, Problem>;
    /// All panels of a brand.
    async fn panels(&self, brand: &str) -> Result<Vec<Panel>, Problem>;
    /// Creates (no id) or changes a panel.
    async fn put_panel(&self, brand: &str, request: PutPanelRequest) -> Result<Panel, Problem>;
    /// All payment provider accounts of a brand, the newest last.
    async fn provider_accounts(&self, brand: &str) -> Result<Vec<ProviderAccount>, Problem>;
    /// Creates (no id) or changes a payment provider account.
    async fn put_provider_account(
        &self,
        brand: &str,
        request: PutProviderAccountRequest,
    ) -> Result<ProviderAccount, Problem>;
}
