//! A system reached over its public API, with an API key.

mod ask;
mod wire;

use async_trait::async_trait;
use ottery_kit::grpc::Problem;
use ottery_kit::secret::Secret;
use ottery_proto::billing::v1::{ChangePriceReply, ChangePriceRequest, ProviderAccount, PutProviderAccountRequest};
use ottery_proto::catalog::v1::{Brand, Plan, PutBrandRequest, PutPlanRequest};
use ottery_proto::provisioning::v1::{Panel, PutPanelRequest};
use reqwest::Method;

pub use ask::AddressError;

use super::Target;
use ask::{Api, Place};

/// A system reached over its public API. The key must be the platform's to make brands; a brand's own key does for what is
/// in that brand.
#[derive(Debug)]
pub struct HttpTarget {
    api: Api,
}

impl HttpTarget {
    /// The system at this address, such as `https://admin.example.com`: the host of its staff area.
    ///
    /// # Errors
    /// The address is none, or TLS cannot be set up.
    pub fn new(address: &str, api_key: Secret) -> Result<Self, AddressError> {
        Ok(Self { api: Api::new(address, api_key)? })
    }
}

/// A new thing is posted to its list, a known one is put to its own address.
fn put_to(list: &str, id: &str) -> (Method, String) {
    if id.is_empty() { (Method::POST, list.to_owned()) } else { (Method::PUT, format!("{list}/{id}")) }
}

#[async_trait]
impl Target for HttpTarget {
    async fn brand(&self, slug: &str) -> Result<Option<Brand>, Problem> {
        let page: wire::Page<wire::Brand> = self.api.get(Place::Platform, "/brands", &[("slug", slug)]).await?;
        Ok(page.items.into_iter().find(|brand| brand.slug == slug).map(Into::into))
    }

    async fn put_brand(&self, request: PutBrandRequest) -> Result<Brand, Problem> {
        let given = request.brand.unwrap_or_default();
        let (method, path) = put_to("/brands", &given.id);
        let input = wire::Brand { version: request.expected_version, ..wire::Brand::from(given) };
        let put: Result<wire::Brand, Problem> =
            self.api.put(Place::Platform, method, &path, request.dry_run, &input).await;
        put.map(Into::into).map_err(|problem| match problem.is("platform_only") {
            true => Problem::denied(
                "platform_key_needed",
                format!(
                    "there is no brand `{}` here and none can be made: the API key belongs to one brand, or the address is a brand's \
                     own; use a key of the platform and the host of the staff area",
                    input.slug
                ),
            ),
            false => problem,
        })
    }

    async fn plans(&self, brand: &str) -> Result<Vec<Plan>, Problem> {
        self.api.list::<wire::Plan, _>(Place::Brand(brand), "/plans").await
    }

    async fn put_plan(&self, brand: &str, request: PutPlanRequest) -> Result<Plan, Problem> {
        let (method, path) = put_to("/plans", &request.plan_id);
        let is_dry_run = request.dry_run;
        let put: wire::Plan =
            self.api.put(Place::Brand(brand), method, &path, is_dry_run, &wire::PlanInput::from(request)).await?;
        Ok(put.into())
    }

    async fn change_price(&self, brand: &str, request: ChangePriceRequest) -> Result<ChangePriceReply, Problem> {
        let is_dry_run = request.dry_run;
        let input = wire::PriceChangeInput::from(request);
        let told: wire::PriceChange =
            self.api.put(Place::Brand(brand), Method::POST, "/price-changes", is_dry_run, &input).await?;
        Ok(told.into())
    }

    async fn panels(&self, brand: &str) -> Result<Vec<Panel>, Problem> {
        self.api.list::<wire::Panel, _>(Place::Brand(brand), "/panels").await
    }

    async fn put_panel(&self, brand: &str, request: PutPanelRequest) -> Result<Panel, Problem> {
        let given = request.panel.unwrap_or_default();
        let (method, path) = put_to("/panels", &given.id);
        let input = wire::PanelInput {
            panel: wire::Panel { version: request.expected_version, ..wire::Panel::from(given) },
            api_key: request.api_key,
        };
        let put: wire::Panel = self.api.put(Place::Brand(brand), method, &path, request.dry_run, &input).await?;
        Ok(put.into())
    }

    async fn provider_accounts(&self, brand: &str) -> Result<Vec<ProviderAccount>, Problem> {
        let list: wire::List<wire::Account> = self.api.get(Place::Brand(brand), "/provider-accounts", &[]).await?;
        Ok(list.items.into_iter().map(Into::into).collect())
    }

    async fn put_provider_account(
        &self,
        brand: &str,
        request: PutProviderAccountRequest,
    ) -> Result<ProviderAccount, Problem> {
        let (method, path) = put_to("/provider-accounts", &request.id);
        let is_dry_run = request.dry_run;
        let put: wire::Account =
            self.api.put(Place::Brand(brand), method, &path, is_dry_run, &wire::AccountInput::from(request)).await?;
        Ok(put.into())
    }
}
