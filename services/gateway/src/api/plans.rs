//! Plans, their versions and prices.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use ottery_proto::billing::v1 as billing;
use ottery_proto::catalog::v1 as catalog;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::options::{AddOn, PlanOption};
use super::view::{DryRun, Money, Page, PageQuery, Show as _, Time, view, words};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// What a term is counted in.
    TermUnit from catalog::TermUnit { Day, Week, Month, Year }
}

words! {
    /// Whether a plan can be bought. `archived`: existing subscriptions renew.
    PlanState from catalog::plan::State { Draft, OnSale, Archived }
}

/// How long a price pays for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TermView {
    /// So many.
    pub count: u32,
    /// Of these.
    pub unit: TermUnit,
}

impl From<catalog::Term> for TermView {
    fn from(given: catalog::Term) -> Self {
        Self { count: given.count, unit: given.unit.show() }
    }
}

impl From<TermView> for catalog::Term {
    fn from(given: TermView) -> Self {
        Self { count: given.count, unit: given.unit.into() }
    }
}

view! {
    /// A price; it never changes under a customer.
    PriceView from catalog::Price {
        id: String,
        term: Option<TermView>,
        amount: Option<Money>,
        /// Once, on the first invoice.
        setup_fee: Option<Money>,
        /// A pass: paid once, over at the end of its term instead of renewing.
        once: bool,
        /// What the term saves; null when it saves nothing.
        saving: Option<Saving>,
    }
}

view! {
    /// What a term saves against paying the shortest one of the same currency so often. Months and years are compared with each
    /// other, and days and weeks.
    Saving from catalog::Saving {
        against: Option<TermView>,
        amount: Option<Money>,
        /// Basis points, rounded down.
        share_bp: u32,
    }
}

/// How many of a plan can be ordered. Orders that are given up give their place back; what is sold renews whatever it says.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stock {
    /// Null or left out: no limit.
    #[serde(default)]
    pub count: Option<u32>,
}

impl From<catalog::Stock> for Stock {
    fn from(given: catalog::Stock) -> Self {
        Self { count: given.count }
    }
}

/// When a plan can be ordered, by the brand's clock.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SaleWindow {
    /// Null or left out: since ever.
    #[serde(default)]
    pub from: Option<Time>,
    /// From here on it is not sold; null or left out: for ever.
    #[serde(default)]
    pub until: Option<Time>,
}

impl From<catalog::SaleWindow> for SaleWindow {
    fn from(given: catalog::SaleWindow) -> Self {
        Self { from: given.from.show(), until: given.until.show() }
    }
}

impl From<SaleWindow> for catalog::SaleWindow {
    fn from(given: SaleWindow) -> Self {
        Self { from: given.from.map(Into::into), until: given.until.map(Into::into) }
    }
}

/// How many of a plan are gone.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct StockTaken {
    /// How many can be ordered; null: no limit.
    pub count: Option<u32>,
    /// Ordered or sold while their number was limited; orders that were given up do not count.
    pub taken: u64,
    /// What is left; null: no limit.
    pub left: Option<u64>,
}

/// What a plan means on a panel.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Group of panels; any of the brand's when empty.
    #[serde(default)]
    pub pool: String,
    /// Bouquets on the panel.
    #[serde(default)]
    pub bouquet_ids: Vec<i64>,
    /// Package of reseller keys.
    #[serde(default)]
    pub package_id: i64,
    /// `hls`, `ts`, `rtmp`
    #[serde(default)]
    pub outputs: Vec<String>,
    /// Preferred region; any when empty.
    #[serde(default)]
    pub region: String,
}

impl From<catalog::PanelMapping> for Mapping {
    fn from(given: catalog::PanelMapping) -> Self {
        Self {
            pool: given.pool,
            bouquet_ids: given.bouquet_ids,
            package_id: given.package_id,
            outputs: given.outputs,
            region: given.region,
        }
    }
}

impl From<Mapping> for catalog::PanelMapping {
    fn from(given: Mapping) -> Self {
        Self {
            pool: given.pool,
            bouquet_ids: given.bouquet_ids,
            package_id: given.package_id,
            outputs: given.outputs,
            region: given.region,
        }
    }
}

words! {
    /// When a change of plan happens. `prorate_now`: at once, the unused rest is credited and the rest of the period charged
    /// at the new price. `full_price_reset`: at once, a new period is charged in full and nothing is credited. `at_renewal`:
    /// with the next renewal.
    ChangeTiming from catalog::ChangeTiming { ProrateNow, FullPriceReset, AtRenewal }
}

words! {
    /// Where a renewal begins that is paid after service was stopped for it. `from_old_end`: the dates stay, and only once
    /// that whole period is over it begins with the payment. `from_payment`: with the payment.
    LateRenewal from catalog::LateRenewal { FromOldEnd, FromPayment }
}

/// What becomes of a change to another price of the brand; what is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// To a price that is not lower, for the same term.
    #[serde(default)]
    pub upgrade: Option<ChangeTiming>,
    /// To a lower price for the same term.
    #[serde(default)]
    pub downgrade: Option<ChangeTiming>,
    /// To another term.
    #[serde(default)]
    pub term: Option<ChangeTiming>,
}

impl From<catalog::ChangePolicy> for Changes {
    fn from(given: catalog::ChangePolicy) -> Self {
        Self {
            upgrade: Some(given.upgrade.show()),
            downgrade: Some(given.downgrade.show()),
            term: Some(given.term.show()),
        }
    }
}

impl From<Changes> for catalog::ChangePolicy {
    fn from(given: Changes) -> Self {
        let timing = |timing: Option<ChangeTiming>| timing.map_or(0, Into::into);
        Self { upgrade: timing(given.upgrade), downgrade: timing(given.downgrade), term: timing(given.term) }
    }
}

view! {
    /// What new orders get.
    PlanVersion from catalog::PlanVersion {
        id: String,
        number: u32,
        name: String,
        summary: String,
        features: Vec<String>,
        connections: u32,
        prices: Vec<PriceView>,
        mapping: Option<Mapping>,
        trial_days: u32,
        published_at: Option<Time>,
        /// 0: terms renew on the day they began; 1 to 31: terms of months and years renew on that day of the month.
        anchor_day: Option<u32>,
        /// What becomes of a change to another price.
        changes: Option<Changes>,
        /// How many days a customer may pause; 0 for none.
        pause_days_max: Option<u32>,
        late_renewal: LateRenewal,
        /// Kind of product, for tax rules that tell them apart.
        tax_category: Option<String>,
        /// What can be bought by the unit beside it.
        options: Vec<PlanOption>,
        /// Null for a plan of its own.
        addon: Option<AddOn>,
    }
}

view! {
    /// A plan.
    Plan from catalog::Plan {
        id: String,
        brand_id: String,
        slug: String,
        state: PlanState,
        current: Option<PlanVersion>,
        position: u32,
        featured: bool,
        version: u64,
        stock: Option<Stock>,
        sale: Option<SaleWindow>,
    }
}

/// A price.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceInput {
    /// An existing price to keep; a new one when left out.
    #[serde(default)]
    pub id: String,
    /// How long it pays for.
    pub term: TermView,
    /// What it costs, tax contained.
    pub amount: Money,
    /// Once, on the first invoice.
    #[serde(default)]
    pub setup_fee: Option<Money>,
    /// A pass: paid once, over at the end of its term instead of renewing.
    #[serde(default)]
    pub once: bool,
    /// As it was read; ignored.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub saving: Option<serde::de::IgnoredAny>,
}

/// A plan. What customers see or pay becomes a new version.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanInput {
    /// Part of its address; unique in the brand.
    pub slug: String,
    /// Smallest first.
    #[serde(default)]
    pub position: u32,
    /// Shown larger.
    #[serde(default)]
    pub featured: bool,
    /// Name.
    pub name: String,
    /// A sentence.
    #[serde(default)]
    pub summary: String,
    /// Points of the list.
    #[serde(default)]
    pub features: Vec<String>,
    /// Simultaneous streams.
    pub connections: u32,
    /// What it costs.
    pub prices: Vec<PriceInput>,
    /// What it means on a panel.
    #[serde(default)]
    pub mapping: Mapping,
    /// Days; 0 for none.
    #[serde(default)]
    pub trial_days: u32,
    /// 0: terms renew on the day they began. 1 to 31: terms of months and years renew on that day of the month (the last one
    /// of shorter months), after a first period that costs its part of a term. Left out, it stays as it is.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 31)]
    pub anchor_day: Option<u32>,
    /// What becomes of a change to another price; left out, it stays as it is.
    #[serde(default)]
    pub changes: Option<Changes>,
    /// How many days a customer may pause, 0 for none; left out, it stays as it is.
    #[serde(default)]
    pub pause_days_max: Option<u32>,
    /// Where a renewal begins that is paid after service was stopped; left out, it stays as it is.
    #[serde(default)]
    pub late_renewal: Option<LateRenewal>,
    /// Kind of product, for tax rules that tell them apart: at most 30 lower-case letters, digits and hyphens; empty for the
    /// usual, as it was when left out.
    #[serde(default)]
    pub tax_category: Option<String>,
    /// What can be bought by the unit beside it; left out, it stays as it is.
    #[serde(default)]
    pub options: Option<Vec<PlanOption>>,
    /// Makes it an add-on, which is bought with a plan. A plan stays what it was made as; left out, it stays as it is.
    #[serde(default)]
    pub addon: Option<AddOn>,
    /// How many can be ordered; left out, it stays as it is.
    #[serde(default)]
    pub stock: Option<Stock>,
    /// When it can be ordered; left out, it stays as it is.
    #[serde(default)]
    pub sale: Option<SaleWindow>,
    /// Whether it can be bought; left out, it stays as it is, and a new plan is a draft.
    #[serde(default)]
    pub state: Option<PlanState>,
    /// The version that was read; 0 to create.
    #[serde(default)]
    pub version: u64,
}

/// Whether it can be bought.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanStateInput {
    /// The state it shall have.
    pub state: PlanState,
    /// The version that was read.
    pub version: u64,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, update))
        .routes(routes!(set_state))
        .routes(routes!(stock))
}

/// List plans.
#[utoipa::path(get, path = "/plans", tag = "plans", operation_id = "list_plans", params(PageQuery), responses((status = 200, body = Page<Plan>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Page<Plan>>> {
    let request = catalog::ListPlansRequest { page: query.request()?, on_sale_only: false };
    let reply = state.clients.catalog(&caller.call()).list_plans(request).await?.into_inner();
    Ok(Json(Page::of(reply.plans, reply.page)))
}

/// Get a plan.
#[utoipa::path(get, path = "/plans/{id}", tag = "plans", operation_id = "get_plan", params(("id" = String, Path)), responses((status = 200, body = Plan)))]
async fn read(State(state): State<AppState>, caller: Caller, Path(plan_id): Path<String>) -> Reply<Json<Plan>> {
    let request = catalog::GetPlanRequest { plan_id, slug: String::new() };
    Ok(Json(state.clients.catalog(&caller.call()).get_plan(request).await?.into_inner().into()))
}

/// Add a plan.
#[utoipa::path(post, path = "/plans", tag = "plans", operation_id = "create_plan", params(DryRun), request_body = PlanInput, responses((status = 201, body = Plan)))]
async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Query(mode): Query<DryRun>,
    Json(input): Json<PlanInput>,
) -> Reply<Response> {
    let plan = put(&state, &caller, String::new(), input, mode).await?;
    Ok((mode.created(), Json(plan)).into_response())
}

/// Change a plan.
#[utoipa::path(put, path = "/plans/{id}", tag = "plans", operation_id = "update_plan", params(("id" = String, Path), DryRun), request_body = PlanInput, responses((status = 200, body = Plan)))]
async fn update(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(mode): Query<DryRun>,
    Json(input): Json<PlanInput>,
) -> Reply<Json<Plan>> {
    put(&state, &caller, id, input, mode).await.map(Json)
}

async fn put(state: &AppState, caller: &Caller, plan_id: String, input: PlanInput, mode: DryRun) -> Reply<Plan> {
    let price = |price: PriceInput| catalog::Price {
        id: price.id,
        term: Some(price.term.into()),
        amount: Some(price.amount.into()),
        setup_fee: price.setup_fee.map(Into::into),
        once: price.once,
        saving: None,
    };
    let content = catalog::PlanVersion {
        name: input.name,
        summary: input.summary,
        features: input.features,
        connections: input.connections,
        prices: input.prices.into_iter().map(price).collect(),
        mapping: Some(input.mapping.into()),
        trial_days: input.trial_days,
        anchor_day: input.anchor_day,
        changes: input.changes.map(Into::into),
        pause_days_max: input.pause_days_max,
        late_renewal: input.late_renewal.map_or(0, Into::into),
        tax_category: input.tax_category,
        options: input
            .options
            .map(|options| catalog::PlanOptions { items: options.into_iter().map(Into::into).collect() }),
        addon: input.addon.map(Into::into),
        ..Default::default()
    };
    let request = catalog::PutPlanRequest {
        plan_id,
        slug: input.slug,
        position: input.position,
        featured: input.featured,
        content: Some(content),
        expected_version: input.version,
        state: input.state.map_or(0, Into::into),
        dry_run: mode.dry_run,
        stock: input.stock.map(|stock| catalog::Stock { count: stock.count }),
        sale: input.sale.map(Into::into),
    };
    let plan = state.clients.catalog(&caller.call()).put_plan(request).await?.into_inner();
    if !mode.dry_run {
        state.catalog.forget_brand(caller.brand()?).await;
    }
    Ok(plan.into())
}

/// Put a plan on sale, or take it off.
#[utoipa::path(post, path = "/plans/{id}/state", tag = "plans", operation_id = "set_plan_state", params(("id" = String, Path)), request_body = PlanStateInput, responses((status = 200, body = Plan)))]
async fn set_state(
    State(state): State<AppState>,
    caller: Caller,
    Path(plan_id): Path<String>,
    Json(input): Json<PlanStateInput>,
) -> Reply<Json<Plan>> {
    let request = catalog::SetPlanStateRequest { plan_id, state: input.state.into(), expected_version: input.version };
    let plan = state.clients.catalog(&caller.call()).set_plan_state(request).await?.into_inner();
    state.catalog.forget_brand(caller.brand()?).await;
    Ok(Json(plan.into()))
}

/// How many of it are left?
#[utoipa::path(get, path = "/plans/{id}/stock", tag = "plans", operation_id = "get_plan_stock", params(("id" = String, Path)), responses((status = 200, body = StockTaken)))]
async fn stock(State(state): State<AppState>, caller: Caller, Path(plan_id): Path<String>) -> Reply<Json<StockTaken>> {
    let request = catalog::GetPlanRequest { plan_id, slug: String::new() };
    let plan = state.clients.catalog(&caller.call()).get_plan(request).await?.into_inner();
    taken(&state, &caller, &plan).await.map(Json)
}

/// How many of a plan are gone; pages say it as well.
///
/// # Errors
/// When billing cannot be asked.
pub async fn taken(state: &AppState, caller: &Caller, plan: &catalog::Plan) -> Reply<StockTaken> {
    let request = billing::ListStockTakenRequest { plan_ids: vec![plan.id.clone()] };
    let reply = state.clients.billing(&caller.call()).list_stock_taken(request).await?.into_inner();
    let taken = reply.plans.first().map_or(0, |plan| plan.taken);
    let count = plan.stock.as_ref().and_then(|stock| stock.count);
    Ok(StockTaken { count, taken, left: count.map(|count| u64::from(count).saturating_sub(taken)) })
}
