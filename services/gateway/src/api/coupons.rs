//! Coupons.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use ottery_proto::billing::v1::ListCouponUsesRequest;
use ottery_proto::catalog::v1 as catalog;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::plans::TermView;
use super::view::{DryRun, Money, Page, Time, page, view, words};
use crate::limits::{Json, Query};
use crate::problem::{Refusal, Reply};
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// What a coupon takes off: a share of the price, an amount, whatever the price has above another one, or the set-up fee.
    CouponKind from catalog::coupon::Kind { Percent, Fixed, Price, FreeSetup }
}

words! {
    /// How long it lasts: the first paid period, so many, or all of them.
    CouponDuration from catalog::coupon::Duration { Once, Periods, Forever }
}

words! {
    /// What it may be used for.
    CouponOccasion from catalog::coupon::Occasion { Orders, Upgrades, Both }
}

words! {
    /// Whether it can be used. `archived`: subscriptions that have it keep it, and its code is free again.
    CouponState from catalog::coupon::State { Enabled, Archived }
}

view! {
    /// What takes something off a price for whoever knows its code.
    Coupon from catalog::Coupon {
        id: String,
        brand_id: String,
        /// Upper case; compared without case.
        code: String,
        /// For staff.
        name: Option<String>,
        kind: CouponKind,
        /// Basis points of the price; 0 for other kinds.
        percent_bp: u32,
        /// `fixed`: what is taken off; `price`: what is paid instead; one per currency.
        amounts: Vec<Money>,
        duration: CouponDuration,
        /// Paid periods of the duration `periods`; 0 otherwise.
        periods: u32,
        /// Empty: any plan.
        plan_ids: Vec<String>,
        /// Empty: any term.
        terms: Vec<TermView>,
        new_customers_only: bool,
        occasion: CouponOccasion,
        starts_at: Option<Time>,
        /// From here on it is refused.
        ends_at: Option<Time>,
        /// 0: no limit.
        uses_max: u32,
        /// 0: no limit.
        uses_per_customer_max: u32,
        state: CouponState,
        version: u64,
        created_at: Option<Time>,
    }
}

/// A coupon and how often it is used.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CouponWithUses {
    /// What it says.
    #[serde(flatten)]
    pub coupon: Coupon,
    /// Orders and changes of plan that have it; those that were given up unpaid do not count.
    pub uses: u64,
}

/// A coupon. Who redeemed it before keeps what it said then.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CouponInput {
    /// 3 to 32 letters of A to Z, digits, hyphens and underscores, in any case; never changes.
    pub code: String,
    /// For staff.
    #[serde(default)]
    pub name: String,
    /// What it takes off.
    pub kind: CouponKind,
    /// `percent`: basis points of the price, 1 to 10000.
    #[serde(default)]
    pub percent_bp: u32,
    /// `fixed` and `price`: one per currency.
    #[serde(default)]
    pub amounts: Vec<Money>,
    /// How long it lasts.
    pub duration: CouponDuration,
    /// `periods`: 2 to 120.
    #[serde(default)]
    pub periods: u32,
    /// For these plans; for any when empty.
    #[serde(default)]
    pub plan_ids: Vec<String>,
    /// For these terms; for any when empty.
    #[serde(default)]
    pub terms: Vec<TermView>,
    /// For customers without an earlier order that was paid or waits for its payment.
    #[serde(default)]
    pub new_customers_only: bool,
    /// What it may be used for; orders when left out.
    #[serde(default = "orders")]
    pub occasion: CouponOccasion,
    /// At once when left out.
    #[serde(default)]
    pub starts_at: Option<Time>,
    /// Never when left out.
    #[serde(default)]
    pub ends_at: Option<Time>,
    /// 0: no limit.
    #[serde(default)]
    pub uses_max: u32,
    /// 0: no limit.
    #[serde(default)]
    pub uses_per_customer_max: u32,
    /// The version that was read; 0 to create.
    #[serde(default)]
    pub version: u64,
}

const fn orders() -> CouponOccasion {
    CouponOccasion::Orders
}

/// Whether it can be used.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CouponStateInput {
    /// The state it shall have.
    pub state: CouponState,
    /// The version that was read.
    pub version: u64,
}

/// Which coupons.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CouponQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Also those in the archive.
    #[serde(default)]
    #[param(required = false)]
    archived: bool,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, update)).routes(routes!(set_state))
}

/// How often coupons are used, by id; pages show it as well.
///
/// # Errors
/// When billing is away.
pub async fn uses(state: &AppState, caller: &Caller, coupons: &[catalog::Coupon]) -> Reply<HashMap<String, u64>> {
    let request = ListCouponUsesRequest { coupon_ids: coupons.iter().map(|coupon| coupon.id.clone()).collect() };
    let reply = state.clients.billing(&caller.call()).list_coupon_uses(request).await?.into_inner();
    Ok(reply.uses.into_iter().map(|one| (one.coupon_id, one.uses)).collect())
}

async fn with_uses(state: &AppState, caller: &Caller, found: Vec<catalog::Coupon>) -> Reply<Vec<CouponWithUses>> {
    let uses = uses(state, caller, &found).await?;
    let with = |coupon: catalog::Coupon| {
        let uses = uses.get(&coupon.id).copied().unwrap_or(0);
        CouponWithUses { coupon: coupon.into(), uses }
    };
    Ok(found.into_iter().map(with).collect())
}

/// List coupons.
#[utoipa::path(get, path = "/coupons", tag = "coupons", operation_id = "list_coupons", params(CouponQuery), responses((status = 200, body = Page<CouponWithUses>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<CouponQuery>,
) -> Reply<Json<Page<CouponWithUses>>> {
    let request = catalog::ListCouponsRequest { page: page(query.cursor, query.limit)?, with_archived: query.archived };
    let reply = state.clients.catalog(&caller.call()).list_coupons(request).await?.into_inner();
    Ok(Json(Page::of(with_uses(&state, &caller, reply.coupons).await?, reply.page)))
}

/// Get a coupon.
#[utoipa::path(get, path = "/coupons/{id}", tag = "coupons", operation_id = "get_coupon", params(("id" = String, Path)), responses((status = 200, body = CouponWithUses)))]
async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Path(coupon_id): Path<String>,
) -> Reply<Json<CouponWithUses>> {
    let request = catalog::GetCouponRequest { coupon_id, code: String::new() };
    let found = state.clients.catalog(&caller.call()).get_coupon(request).await?.into_inner();
    with_uses(&state, &caller, vec![found]).await?.pop().map(Json).ok_or_else(Refusal::not_found)
}

/// Add a coupon.
#[utoipa::path(post, path = "/coupons", tag = "coupons", operation_id = "create_coupon", params(DryRun), request_body = CouponInput, responses((status = 201, body = Coupon)))]
async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Query(mode): Query<DryRun>,
    Json(input): Json<CouponInput>,
) -> Reply<Response> {
    let coupon = put(&state, &caller, String::new(), input, mode).await?;
    Ok((mode.created(), Json(coupon)).into_response())
}

/// Change a coupon.
#[utoipa::path(put, path = "/coupons/{id}", tag = "coupons", operation_id = "update_coupon", params(("id" = String, Path), DryRun), request_body = CouponInput, responses((status = 200, body = Coupon)))]
async fn update(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(mode): Query<DryRun>,
    Json(input): Json<CouponInput>,
) -> Reply<Json<Coupon>> {
    put(&state, &caller, id, input, mode).await.map(Json)
}

async fn put(state: &AppState, caller: &Caller, id: String, input: CouponInput, mode: DryRun) -> Reply<Coupon> {
    let expected_version = input.version;
    let coupon = catalog::Coupon {
        id,
        code: input.code,
        name: input.name,
        kind: input.kind.into(),
        percent_bp: input.percent_bp,
        amounts: input.amounts.into_iter().map(Into::into).collect(),
        duration: input.duration.into(),
        periods: input.periods,
        plan_ids: input.plan_ids,
        terms: input.terms.into_iter().map(Into::into).collect(),
        new_customers_only: input.new_customers_only,
        occasion: input.occasion.into(),
        starts_at: input.starts_at.map(Into::into),
        ends_at: input.ends_at.map(Into::into),
        uses_max: input.uses_max,
        uses_per_customer_max: input.uses_per_customer_max,
        ..catalog::Coupon::default()
    };
    let request = catalog::PutCouponRequest { coupon: Some(coupon), expected_version, dry_run: mode.dry_run };
    Ok(state.clients.catalog(&caller.call()).put_coupon(request).await?.into_inner().into())
}

/// Archive a coupon, or enable it again.
#[utoipa::path(post, path = "/coupons/{id}/state", tag = "coupons", operation_id = "set_coupon_state", params(("id" = String, Path)), request_body = CouponStateInput, responses((status = 200, body = Coupon)))]
async fn set_state(
    State(state): State<AppState>,
    caller: Caller,
    Path(coupon_id): Path<String>,
    Json(input): Json<CouponStateInput>,
) -> Reply<Json<Coupon>> {
    let request =
        catalog::SetCouponStateRequest { coupon_id, state: input.state.into(), expected_version: input.version };
    Ok(Json(state.clients.catalog(&caller.call()).set_coupon_state(request).await?.into_inner().into()))
}
