//! A system reached by gRPC, as the service `operator`.

use std::time::Duration;

use async_trait::async_trait;
use ottery_kernel::BrandId;
use ottery_kit::Host;
use ottery_kit::grpc::{CallContext, Channel, Code, Problem};
use ottery_proto::billing::v1::billing_service_client::BillingServiceClient;
use ottery_proto::billing::v1::{
    ChangePriceReply, ChangePriceRequest, ListProviderAccountsRequest, ProviderAccount, PutProviderAccountRequest,
};
use ottery_proto::catalog::v1::catalog_service_client::CatalogServiceClient;
use ottery_proto::catalog::v1::{Brand, GetBrandRequest, ListPlansRequest, Plan, PutBrandRequest, PutPlanRequest};
use ottery_proto::common::v1::PageRequest;
use ottery_proto::provisioning::v1::provisioning_service_client::ProvisioningServiceClient;
use ottery_proto::provisioning::v1::{ListPanelsRequest, Panel, PutPanelRequest};

use super::Target;

/// A system reached by gRPC.
#[derive(Debug)]
pub struct GrpcTarget {
    host: Host,
}

impl GrpcTarget {
    /// `host` must be the view of a service whose key the others know.
    #[must_use]
    pub fn new(host: Host) -> Self {
        Self { host }
    }

    fn channel(&self, service: &str, brand: &str) -> Result<Channel, Problem> {
        let context = match brand {
            "" => CallContext::service(),
            brand => {
                let id: BrandId =
                    brand.parse().map_err(|error| Problem::invalid("brand_id", "ID_MALFORMED", format!("{error}")))?;
                CallContext::brand(id)
            }
        };
        // Nobody waits at a screen, and a panel or provider may be asked on the way.
        Ok(self.host.client_channel(service).with(&context.timeout(Duration::from_secs(20))))
    }

    fn catalog(&self, brand: &str) -> Result<CatalogServiceClient<Channel>, Problem> {
        Ok(CatalogServiceClient::new(self.channel("catalog", brand)?))
    }

    fn billing(&self, brand: &str) -> Result<BillingServiceClient<Channel>, Problem> {
        Ok(BillingServiceClient::new(self.channel("billing", brand)?))
    }

    fn provisioning(&self, brand: &str) -> Result<ProvisioningServiceClient<Channel>, Problem> {
        Ok(ProvisioningServiceClient::new(self.channel("provisioning", brand)?))
    }
}

fn page(cursor: String) -> Option<PageRequest> {
    Some(PageRequest { cursor, limit: 100 })
}

#[async_trait]
impl Target for GrpcTarget {
    async fn brand(&self, slug: &str) -> Result<Option<Brand>, Problem> {
        let request = GetBrandRequest { brand_id: String::new(), slug: slug.to_owned() };
        match self.catalog("")?.get_brand(request).await {
            Ok(reply) => Ok(Some(reply.into_inner())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status.into()),
        }
    }

    async fn put_brand(&self, request: PutBrandRequest) -> Result<Brand, Problem> {
        Ok(self.catalog("")?.put_brand(request).await?.into_inner())
    }

    async fn plans(&self, brand: &str) -> Result<Vec<Plan>, Problem> {
        let (mut client, mut plans, mut cursor) = (self.catalog(brand)?, Vec::new(), String::new());
        loop {
            let request = ListPlansRequest { page: page(cursor), on_sale_only: false };
            let reply = client.list_plans(request).await?.into_inner();
            plans.extend(reply.plans);
            cursor = reply.page.unwrap_or_default().next_cursor;
            if cursor.is_empty() {
                return Ok(plans);
            }
        }
    }

    async fn put_plan(&self, brand: &str, request: PutPlanRequest) -> Result<Plan, Problem> {
        Ok(self.catalog(brand)?.put_plan(request).await?.into_inner())
    }

    async fn change_price(&self, brand: &str, request: ChangePriceRequest) -> Result<ChangePriceReply, Problem> {
        Ok(self.billing(brand)?.change_price(request).await?.into_inner())
    }

    async fn panels(&self, brand: &str) -> Result<Vec<Panel>, Problem> {
        let (mut client, mut panels, mut cursor) = (self.provisioning(brand)?, Vec::new(), String::new());
        loop {
            let reply = client.list_panels(ListPanelsRequest { page: page(cursor) }).await?.into_inner();
            panels.extend(reply.panels);
            cursor = reply.page.unwrap_or_default().next_cursor;
            if cursor.is_empty() {
                return Ok(panels);
            }
        }
    }

    async fn put_panel(&self, brand: &str, request: PutPanelRequest) -> Result<Panel, Problem> {
        Ok(self.provisioning(brand)?.put_panel(request).await?.into_inner())
    }

    async fn provider_accounts(&self, brand: &str) -> Result<Vec<ProviderAccount>, Problem> {
        Ok(self.billing(brand)?.list_provider_accounts(ListProviderAccountsRequest {}).await?.into_inner().accounts)
    }

    async fn put_provider_account(
        &self,
        brand: &str,
        request: PutProviderAccountRequest,
    ) -> Result<ProviderAccount, Problem> {
        Ok(self.billing(brand)?.put_provider_account(request).await?.into_inner())
    }
}
