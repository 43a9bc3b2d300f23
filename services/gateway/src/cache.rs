//! Brands by host and plans by brand, remembered for a moment. Events say what changed; when one is lost, the moment
//! passes by itself. Nothing here is the truth: prices are checked again by whoever charges them.

mod slot;

use std::convert::Infallible;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ottery_kernel::BrandId;
use ottery_kit::grpc::{Actor, CallContext, Code, Problem};
use ottery_proto::catalog::v1::{ListPlansRequest, Plan, ResolveHostRequest};
use ottery_proto::common::v1::PageRequest;
use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::brand::{Brand, misdirected};
use crate::clients::Clients;
use crate::problem::Refusal;
use crate::request::RequestInfo;
use slot::Slot;

/// Host names remembered; others are asked for again.
const HOSTS_MAX: usize = 10_000;
/// Brands whose plans are remembered.
const BRANDS_MAX: usize = 5_000;
/// Pages of plans a brand may have.
const PLAN_PAGES_MAX: usize = 20;
const PAGE_SIZE: u32 = 100;

/// A host name's brand; none for a name that nobody has.
type Host = Slot<Option<Arc<Brand>>>;

/// What the storefront reads all the time.
#[derive(Clone, Debug)]
pub struct CatalogCache {
    hosts: Arc<Cache<Arc<str>, Arc<Host>>>,
    plans: Arc<Cache<BrandId, Arc<Slot<Arc<Plans>>>>>,
    /// Hosts that were asked for before this instant are asked for again.
    hosts_from: Arc<RwLock<Instant>>,
    ttl: Duration,
    clients: Clients,
}

/// A brand's plans on sale, in the order of the storefront, and what can be added to them.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    plans: Vec<Plan>,
    addons: Vec<Plan>,
    edition: u64,
}

impl Plans {
    pub(crate) fn of(mut all: Vec<Plan>) -> Self {
        all.sort_by_key(|plan| plan.position);
        let mut digest = Sha256::new();
        for plan in &all {
            digest.update(plan.id.as_bytes());
            digest.update(plan.version.to_be_bytes());
        }
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(digest.finalize());
        let is_addon = |plan: &Plan| plan.current.as_ref().is_some_and(|version| version.addon.is_some());
        let (addons, plans) = all.into_iter().partition(is_addon);
        Self { plans, addons, edition: u64::from_be_bytes([a, b, c, d, e, f, g, h]) }
    }

    /// Another number as soon as anything about any of them is another.
    #[must_use]
    pub const fn edition(&self) -> u64 {
        self.edition
    }

    /// What can be bought with a plan.
    #[must_use]
    pub fn addons(&self) -> &[Plan] {
        &self.addons
    }

    fn knows(&self, plan: &str, version: u64) -> bool {
        self.plans.iter().chain(&self.addons).any(|known| known.id == plan && known.version >= version)
    }
}

impl std::ops::Deref for Plans {
    type Target = Vec<Plan>;

    fn deref(&self) -> &Vec<Plan> {
        &self.plans
    }
}

impl CatalogCache {
    pub(crate) fn new(clients: Clients, ttl: Duration) -> Self {
        Self {
            hosts: Arc::new(Cache::new(HOSTS_MAX)),
            plans: Arc::new(Cache::new(BRANDS_MAX)),
            hosts_from: Arc::new(RwLock::new(Instant::now())),
            ttl,
            clients,
        }
    }

    /// What was asked for before this instant is too old.
    fn oldest(&self) -> Option<Instant> {
        Instant::now().checked_sub(self.ttl)
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
        let slot = slot_of(&self.hosts, host);
        let forgotten = *self.hosts_from.read().unwrap_or_else(PoisonError::into_inner);
        let not_before = self.oldest().map_or(forgotten, |oldest| oldest.max(forgotten));
        let load = async || {
            let context = request.own_call(None).repeatable();
            let asked = ResolveHostRequest { host: host.to_string() };
            match self.clients.catalog(&context).resolve_host(asked).await {
                Ok(found) => Brand::of(found.into_inner()).map(|brand| Some(Arc::new(brand))),
                Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => Ok(None),
                Err(status) => Err(Refusal::from(Problem::from(status))),
            }
        };
        slot.get(Some(not_before), load).await?.ok_or_else(misdirected)
    }

    /// The brand's plans on sale, in the order of the storefront.
    ///
    /// # Errors
    /// When catalog cannot be asked.
    pub async fn plans(&self, brand: &Brand, request: &RequestInfo) -> Result<Arc<Plans>, Refusal> {
        let slot = slot_of(&self.plans, &brand.id);
        slot.get(self.oldest(), async || self.load_plans(&request.call(Actor::anonymous(Some(brand.id)))).await).await
    }

    async fn load_plans(&self, context: &CallContext) -> Result<Arc<Plans>, Refusal> {
        let mut client = self.clients.catalog(context);
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
        Ok(Arc::new(Plans::of(plans)))
    }

    /// A plan on sale by its address.
    ///
    /// # Errors
    /// 404 when the brand sells no such plan; when catalog cannot be asked.
    pub async fn plan(&self, brand: &Brand, slug: &str, request: &RequestInfo) -> Result<Plan, Refusal> {
        let plans = self.plans(brand, request).await?;
        plans.iter().find(|plan| plan.slug == slug).cloned().ok_or_else(plan_not_found)
    }

    /// Something about this brand changed. When this returns, everybody sees the new state; until then visitors get the
    /// old one at once instead of waiting for the new one.
    pub async fn forget_brand(&self, brand: BrandId) {
        // Nobody has looked: whoever does gets the new state anyway.
        let Some(slot) = self.plans.get(&brand) else { return };
        let context = CallContext::new(Actor::anonymous(Some(brand)));
        if let Err(refusal) = slot.get(Some(Instant::now()), async || self.load_plans(&context).await).await {
            // Whoever asks next tries again.
            tracing::warn!(brand.id = %brand, code = refusal.code, "the changed plans could not be read");
            slot.clear();
        }
    }

    /// As [`Self::forget_brand`], unless this version of the plan is what is remembered.
    pub async fn hear_of_plan(&self, brand: BrandId, plan: &str, version: u64) {
        let known = self.plans.get(&brand).and_then(|slot| slot.peek());
        if known.is_none_or(|plans| !plans.knows(plan, version)) {
            self.forget_brand(brand).await;
        }
    }

    /// A brand came, went or changed.
    pub fn forget_hosts(&self) {
        *self.hosts_from.write().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// The slot of this key; everybody gets the same one.
fn slot_of<K: Clone + Eq + Hash, T>(slots: &Cache<K, Arc<Slot<T>>>, key: &K) -> Arc<Slot<T>> {
    match slots.get_or_insert_with(key, || Ok::<_, Infallible>(Arc::default())) {
        Ok(slot) => slot,
        Err(never) => match never {},
    }
}

/// The brand sells no plan under this address.
#[must_use]
pub fn plan_not_found() -> Refusal {
    Refusal { code: "plan_not_found".into(), detail: "this shop has no such plan".into(), ..Refusal::not_found() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(id: &str, version: u64, position: u32) -> Plan {
        Plan { id: id.into(), version, position, ..Plan::default() }
    }

    #[test]
    fn an_edition_changes_with_any_plan_and_with_nothing_else() {
        let edition = |plans: &[Plan]| Plans::of(plans.to_vec()).edition();
        let both = edition(&[plan("pln_1", 1, 1), plan("pln_2", 1, 2)]);
        assert_eq!(edition(&[plan("pln_2", 1, 2), plan("pln_1", 1, 1)]), both);
        assert_ne!(edition(&[plan("pln_1", 2, 1), plan("pln_2", 1, 2)]), both);
        assert_ne!(edition(&[plan("pln_1", 1, 1)]), both);
        assert_ne!(edition(&[plan("pln_1", 1, 3), plan("pln_2", 1, 2)]), both);
    }

    #[test]
    fn news_of_a_plan_is_old_news_when_that_version_is_remembered() {
        let plans = Plans::of(vec![plan("pln_1", 3, 1)]);
        assert!(plans.knows("pln_1", 3) && plans.knows("pln_1", 2));
        assert!(!plans.knows("pln_1", 4));
        // Not on sale as far as we know: it may be now.
        assert!(!plans.knows("pln_2", 1));
    }
}
