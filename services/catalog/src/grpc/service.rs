//! `CatalogService`.

use ottery_kernel::{BrandId, CouponId, PlanId, PlanVersionId, PriceId};
use ottery_kit::grpc::{Actor, ActorKind, Problem, Request, Response, Status, actor};
use ottery_proto::catalog::v1::catalog_service_server::CatalogService;
use ottery_proto::catalog::v1::{
    AdvanceTestClockRequest, Brand, Coupon, GetBrandRequest, GetCatalogVersionReply, GetCatalogVersionRequest,
    GetCouponRequest, GetPlanRequest, GetPlanVersionRequest, GetPriceReply, GetPriceRequest, GetTaxTableRequest,
    ListBrandsReply, ListBrandsRequest, ListCouponsReply, ListCouponsRequest, ListPlansReply, ListPlansRequest, Plan,
    PlanVersion, PutBrandRequest, PutCouponRequest, PutPlanRequest, PutTaxTableRequest, ResolveHostRequest,
    SetCouponStateRequest, SetPlanStateRequest, TaxTable, TestClock, plan,
};
use ottery_proto::common::v1::PageReply;

use super::{convert, parse, tax};
use crate::app::{App, PutPlan};
use crate::domain::PlanState;

/// The gRPC face of the use cases.
#[derive(Clone, Debug)]
pub struct Api {
    app: App,
}

impl Api {
    /// A face for these use cases.
    #[must_use]
    pub fn new(app: App) -> Self {
        Self { app }
    }

    fn app(&self, is_dry_run: bool) -> App {
        if is_dry_run { self.app.rehearsal() } else { self.app.clone() }
    }
}

/// Visitors and customers see what can be bought; drafts and archived plans are for staff and services.
fn sees_everything(actor: &Actor) -> bool {
    match actor.kind {
        ActorKind::Anonymous | ActorKind::Customer => false,
        ActorKind::Staff | ActorKind::ApiKey => actor.has("plan.read"),
        ActorKind::Service => true,
    }
}

/// Coupons are secrets that customers guess; staff with the right and services, which check them, see what they say.
fn sees_coupons(actor: &Actor) -> Result<(), Problem> {
    if actor.is_service() { Ok(()) } else { actor.require("plan.read") }
}

/// Everybody sees the brand they are in; any other one is seen from outside all of them, by whoever may read there. What
/// somebody holds in one brand opens no other.
fn may_see_brand(actor: &Actor, id: BrandId) -> bool {
    actor.brand == Some(id) || actor.is_service() || (actor.brand.is_none() && actor.has("brand.read"))
}

/// A change of one brand: in its own context, or by somebody who holds the permission everywhere.
fn may_change_brand(actor: &Actor, id: BrandId) -> Result<(), Problem> {
    actor.require("brand.update")?;
    match actor.brand {
        Some(own) if own != id => Err(Problem::not_found("BRAND_NOT_FOUND", "no brand of that name or id")),
        Some(_) | None => Ok(()),
    }
}

#[tonic::async_trait]
impl CatalogService for Api {
    async fn put_brand(&self, request: Request<PutBrandRequest>) -> Result<Response<Brand>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let given = request.brand.ok_or_else(|| Problem::invalid("brand", "MISSING", "give the brand"))?;
        let id: Option<BrandId> = parse::optional_id("brand.id", &given.id)?;
        match id {
            Some(id) => may_change_brand(&actor, id)?,
            None => {
                actor.require("brand.update")?;
                if actor.brand.is_some() {
                    return Err(Problem::denied(
                        "PLATFORM_ONLY",
                        "brands are created outside any brand; leave the brand header out",
                    )
                    .into());
                }
            }
        }
        let stored = self
            .app(request.dry_run)
            .put_brand(&actor, id, parse::brand(given), request.expected_version)
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(convert::brand(&stored)))
    }

    async fn get_brand(&self, request: Request<GetBrandRequest>) -> Result<Response<Brand>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let id = parse::optional_id("brand_id", &request.brand_id)?;
        let stored = self.app.get_brand(id, &request.slug).await.map_err(Problem::from)?;
        if !may_see_brand(&actor, stored.id) {
            return Err(Problem::not_found("BRAND_NOT_FOUND", "no brand of that name or id").into());
        }
        Ok(Response::new(convert::brand(&stored)))
    }

    async fn list_brands(&self, request: Request<ListBrandsRequest>) -> Result<Response<ListBrandsReply>, Status> {
        let actor = actor(&request)?;
        actor.require("brand.read")?;
        if actor.brand.is_some() && !actor.is_service() {
            return Err(Problem::denied("PLATFORM_ONLY", "the list of brands is outside any brand").into());
        }
        let page = request.into_inner().page.unwrap_or_default();
        let brands = self.app.list_brands(&page.cursor, page.limit).await.map_err(Problem::from)?;
        Ok(Response::new(ListBrandsReply {
            brands: brands.items.iter().map(convert::brand).collect(),
            page: Some(PageReply { next_cursor: brands.next }),
        }))
    }

    async fn resolve_host(&self, request: Request<ResolveHostRequest>) -> Result<Response<Brand>, Status> {
        let stored = self.app.resolve_host(&request.into_inner().host).await.map_err(Problem::from)?;
        Ok(Response::new(convert::brand(&stored)))
    }

    async fn get_catalog_version(
        &self,
        request: Request<GetCatalogVersionRequest>,
    ) -> Result<Response<GetCatalogVersionReply>, Status> {
        let actor = actor(&request)?;
        let id: BrandId = parse::id("brand_id", &request.into_inner().brand_id)?;
        if !may_see_brand(&actor, id) {
            return Err(Problem::not_found("BRAND_NOT_FOUND", "no brand of that name or id").into());
        }
        let stored = self.app.get_brand(Some(id), "").await.map_err(Problem::from)?;
        Ok(Response::new(GetCatalogVersionReply { version: stored.catalog_version.cast_unsigned() }))
    }

    async fn put_plan(&self, request: Request<PutPlanRequest>) -> Result<Response<Plan>, Status> {
        let actor = actor(&request)?;
        actor.require("plan.update")?;
        let brand = actor.brand_or_problem()?;
        let request = request.into_inner();
        let id: Option<PlanId> = parse::optional_id("plan_id", &request.plan_id)?;
        let given = request
            .content
            .clone()
            .ok_or_else(|| Problem::invalid("content", "MISSING", "say what the plan offers"))?;
        let state = match request.state() {
            plan::State::Unspecified => None,
            state => Some(parse::plan_state(state)?),
        };
        let wanted = PutPlan {
            slug: request.slug,
            position: request.position,
            featured: request.featured,
            content: parse::content(&given),
            prices: given.prices.into_iter().map(parse::price).collect(),
            stock: request.stock.map(|stock| stock.count),
            window: request.sale.map(parse::window).transpose()?,
            options: given.options.map(|options| options.items.into_iter().map(parse::option).collect()),
            state,
        };
        let app = self.app(request.dry_run);
        let plan = app.put_plan(&actor, brand, id, wanted, request.expected_version).await.map_err(Problem::from)?;
        Ok(Response::new(convert::plan(&plan)))
    }

    async fn set_plan_state(&self, request: Request<SetPlanStateRequest>) -> Result<Response<Plan>, Status> {
        let actor = actor(&request)?;
        actor.require("plan.update")?;
        let brand = actor.brand_or_problem()?;
        let request = request.into_inner();
        let id: PlanId = parse::id("plan_id", &request.plan_id)?;
        let state = parse::plan_state(request.state())?;
        let plan =
            self.app.set_plan_state(&actor, brand, id, state, request.expected_version).await.map_err(Problem::from)?;
        Ok(Response::new(convert::plan(&plan)))
    }

    async fn get_plan(&self, request: Request<GetPlanRequest>) -> Result<Response<Plan>, Status> {
        let actor = actor(&request)?;
        let brand = actor.brand_or_problem()?;
        let request = request.into_inner();
        let id: Option<PlanId> = parse::optional_id("plan_id", &request.plan_id)?;
        let plan = self.app.get_plan(brand, id, &request.slug).await.map_err(Problem::from)?;
        // An archived plan may still be looked at; a draft is nobody's business.
        if plan.state == PlanState::Draft && !sees_everything(&actor) {
            return Err(Problem::not_found("PLAN_NOT_FOUND", "no plan of that name or id").into());
        }
        Ok(Response::new(convert::plan(&plan)))
    }

    async fn list_plans(&self, request: Request<ListPlansRequest>) -> Result<Response<ListPlansReply>, Status> {
        let actor = actor(&request)?;
        let brand = actor.brand_or_problem()?;
        let request = request.into_inner();
        let page = request.page.unwrap_or_default();
        let on_sale_only = request.on_sale_only || !sees_everything(&actor);
        let plans = self.app.list_plans(brand, on_sale_only, &page.cursor, page.limit).await.map_err(Problem::from)?;
        Ok(Response::new(ListPlansReply {
            plans: plans.items.iter().map(convert::plan).collect(),
            page: Some(PageReply { next_cursor: plans.next }),
        }))
    }

    async fn get_plan_version(&self, request: Request<GetPlanVersionRequest>) -> Result<Response<PlanVersion>, Status> {
        let actor = actor(&request)?;
        let brand = actor.brand_or_problem()?;
        let id: PlanVersionId = parse::id("plan_version_id", &request.into_inner().plan_version_id)?;
        let (plan, version) = self.app.get_plan_version(brand, id).await.map_err(Problem::from)?;
        if plan.state == PlanState::Draft && !sees_everything(&actor) {
            return Err(Problem::not_found("PLAN_NOT_FOUND", "no plan of that name or id").into());
        }
        Ok(Response::new(convert::version(&version)))
    }

    async fn get_price(&self, request: Request<GetPriceRequest>) -> Result<Response<GetPriceReply>, Status> {
        let actor = actor(&request)?;
        let brand = actor.brand_or_problem()?;
        let id: PriceId = parse::id("price_id", &request.into_inner().price_id)?;
        let (plan, version, price) = self.app.get_price(brand, id).await.map_err(Problem::from)?;
        if plan.state == PlanState::Draft && !sees_everything(&actor) {
            return Err(Problem::not_found("PRICE_NOT_FOUND", "no price of that name or id").into());
        }
        Ok(Response::new(GetPriceReply {
            plan: Some(convert::plan(&plan)),
            plan_version: Some(convert::version(&version)),
            price: Some(convert::price(&price)),
        }))
    }

    async fn put_coupon(&self, request: Request<PutCouponRequest>) -> Result<Response<Coupon>, Status> {
        let actor = actor(&request)?;
        actor.require("plan.update")?;
        let brand = actor.brand_or_problem()?;
        let request = request.into_inner();
        let given = request.coupon.ok_or_else(|| Problem::invalid("coupon", "MISSING", "give the coupon"))?;
        let id: Option<CouponId> = parse::optional_id("id", &given.id)?;
        let draft = parse::coupon(given)?;
        let app = self.app(request.dry_run);
        let coupon = app.put_coupon(&actor, brand, id, draft, request.expected_version).await.map_err(Problem::from)?;
        Ok(Response::new(convert::coupon(&coupon)))
    }

    async fn set_coupon_state(&self, request: Request<SetCouponStateRequest>) -> Result<Response<Coupon>, Status> {
        let actor = actor(&request)?;
        actor.require("plan.update")?;
        let brand = actor.brand_or_problem()?;
        let request = request.into_inner();
        let id: CouponId = parse::id("coupon_id", &request.coupon_id)?;
        let state = parse::coupon_state(request.state())?;
        let coupon = self
            .app
            .set_coupon_state(&actor, brand, id, state, request.expected_version)
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(convert::coupon(&coupon)))
    }

    async fn get_coupon(&self, request: Request<GetCouponRequest>) -> Result<Response<Coupon>, Status> {
        let actor = actor(&request)?;
        sees_coupons(&actor)?;
        let brand = actor.brand_or_problem()?;
        let request = request.into_inner();
        let id: Option<CouponId> = parse::optional_id("coupon_id", &request.coupon_id)?;
        let coupon = self.app.get_coupon(brand, id, &request.code).await.map_err(Problem::from)?;
        Ok(Response::new(convert::coupon(&coupon)))
    }

    async fn list_coupons(&self, request: Request<ListCouponsRequest>) -> Result<Response<ListCouponsReply>, Status> {
        let actor = actor(&request)?;
        sees_coupons(&actor)?;
        let brand = actor.brand_or_problem()?;
        let request = request.into_inner();
        let page = request.page.unwrap_or_default();
        let coupons = self
            .app
            .list_coupons(brand, request.with_archived, &page.cursor, page.limit)
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(ListCouponsReply {
            coupons: coupons.items.iter().map(convert::coupon).collect(),
            page: Some(PageReply { next_cursor: coupons.next }),
        }))
    }

    async fn put_tax_table(&self, request: Request<PutTaxTableRequest>) -> Result<Response<TaxTable>, Status> {
        let actor = actor(&request)?;
        actor.require("brand.update")?;
        let brand = actor.brand_or_problem()?;
        let request = request.into_inner();
        let rules = request.rules.into_iter().map(tax::rule).collect();
        let app = self.app(request.dry_run);
        let table = app.put_tax_table(&actor, brand, rules, request.expected_version).await.map_err(Problem::from)?;
        Ok(Response::new(convert::tax_table(&table)))
    }

    async fn get_tax_table(&self, request: Request<GetTaxTableRequest>) -> Result<Response<TaxTable>, Status> {
        let actor = actor(&request)?;
        if !actor.is_service() {
            actor.require("brand.read")?;
        }
        let table = self.app.get_tax_table(actor.brand_or_problem()?).await.map_err(Problem::from)?;
        Ok(Response::new(convert::tax_table(&table)))
    }

    async fn advance_test_clock(
        &self,
        request: Request<AdvanceTestClockRequest>,
    ) -> Result<Response<TestClock>, Status> {
        let actor = actor(&request)?;
        actor.require("clock.advance")?;
        let request = request.into_inner();
        let id: BrandId = parse::id("brand_id", &request.brand_id)?;
        if actor.brand.is_some_and(|own| own != id) {
            return Err(Problem::not_found("BRAND_NOT_FOUND", "no brand of that name or id").into());
        }
        let to = parse::instant("to", request.to)?;
        let clock = self.app.advance_test_clock(&actor, id, to).await.map_err(Problem::from)?;
        Ok(Response::new(convert::clock(&clock)))
    }
}
