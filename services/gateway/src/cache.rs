//! Brands by host and plans by brand, remembered for a moment. Events say what changed; when one is lost, the moment
//! passes by itself. Nothing here is the truth: prices are checked again by whoever charges them.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use ottery_kernel::BrandId;
use ottery_kit::grpc::{Code, Problem};
use ottery_proto::catalog::v1::{ListPlansRequest, Plan, ResolveHostRequest};
use ottery_proto::common::v1::PageRequest;

use crate::brand::{Brand, misdirected};
use crate::clients::Clients;
use crate::problem::Refusal;
use crate::request::RequestInfo;

/// Host names remembered; others are asked for again.
const HOSTS_MAX: u64 = 10_000;
/// Brands whose plans are remembered.
const BRANDS_MAX: u64 = 5_000;
/// Pages of plans a brand may have.
const PLAN_PAGES_MAX: usize = 20;
const PAGE_SIZE: u32 = 100;

/// What the storefront reads all the time.
#[derive(Clone, Debug)]
pub struct CatalogCache {
    hosts: Cache<String, Option<Arc<Brand>>>,
    plans: Cache<BrandId, Arc<Vec<Plan>>>,
    clients: Clients,
}

impl CatalogCache {
    pub(crate) fn new(clients: Clients, ttl: Duration) -> Self {
        Self {
            hosts: Cache::builder().max_capacity(HOSTS_MAX).time_to_live(ttl).build(),
            plans: Cache::builder().max_capacity(BRANDS_MAX).time_to_live(ttl).build(),
            clients,
        }
    }

    /// The brand of exactly this host name (without port).
    ///
    /// # Errors
    /// 421 for a name nobody has, 503 when catalog is away.
    pub async fn brand(&self, request: &RequestInfo) -> Result<Arc<Brand>, Refusal> {
        let host = &request.host;
        if host.is_empty() || host.len() > 253 {
            return Err(misdirected());
        }
        if let Some(known) = self.hosts.get(host).await {
            return known.ok_or_else(misdirected);
        }
        let load = async {
            let context = request.own_call(None).repeatable();
            let asked = ResolveHostRequest { host: host.clone() };
            match self.clients.catalog(&context).resolve_host(asked).await {
                Ok(found) => Brand::of(found.into_inner()).map(|brand| Some(Arc::new(brand))),
                Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => Ok(None),
                Err(status) => Err(Refusal::from(Problem::from(status))),
            }
        };
        let found = self.hosts.try_get_with(host.clone(), load).await;
        found.map_err(|refusal| (*refusal).clone())?.ok_or_else(misdirected)
    }

    /// The brand's plans on sale, in the order of the storefront.
    ///
    /// # Errors
    /// When catalog cannot be asked.
    pub async fn plans(&self, brand: &Brand, request: &RequestInfo) -> Result<Arc<Vec<Plan>>, Refusal> {
        let load = async {
            let context = request.call(ottery_kit::grpc::Actor::anonymous(Some(brand.id)));
            let mut client = self.clients.catalog(&context);
            let (mut plans, mut cursor) = (Vec::new(), String::new());
            for _ in 0..PLAN_PAGES_MAX {
                let page = Some(PageRequest { cursor, limit: PAGE_SIZE });
                let reply = client.list_plans(ListPlansRequest { page, on_sale_only: true }).await;
                let reply = reply.map_err(Refusal::from)?.into_inner();
                plans.extend(reply.plans);
                cursor = reply.page.unwrap_or_default().next_cursor;
                if cursor.is_empty() {
                    break;
                }
            }
            plans.sort_by_key(|plan| plan.position);
            Ok(Arc::new(plans))
        };
        self.plans.try_get_with(brand.id, load).await.map_err(|refusal: Arc<Refusal>| (*refusal).clone())
    }

    /// A plan on sale by its address.
    ///
    /// # Errors
    /// 404 when the brand sells no such plan; when catalog cannot be asked.
    pub async fn plan(&self, brand: &Brand, slug: &str, request: &RequestInfo) -> Result<Plan, Refusal> {
        let plans = self.plans(brand, request).await?;
        plans.iter().find(|plan| plan.slug == slug).cloned().ok_or_else(|| Refusal {
            code: "plan_not_found".into(),
            detail: "this shop has no such plan".into(),
            ..Refusal::not_found()
        })
    }

    /// Something about this brand changed.
    pub async fn forget_brand(&self, brand: BrandId) {
        self.plans.invalidate(&brand).await;
    }

    /// A brand came, went or changed its hosts.
    pub fn forget_hosts(&self) {
        self.hosts.invalidate_all();
    }
}
