//! What anybody sees of a brand.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use ottery_proto::catalog::v1 as catalog;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::options::{AddOn, PlanOption};
use super::plans::PriceView;
use super::view::{List, Show as _, view};
use crate::brand::BrandHost;
use crate::limits::Json;
use crate::problem::Reply;
use crate::request::RequestInfo;
use crate::state::AppState;

view! {
    /// How a brand looks.
    TokensView from catalog::DesignTokens {
        /// Semantic values: `accent`, `surface`, `text`, …
        values: BTreeMap<String, String>,
        /// Data URI.
        logo: Option<String>,
    }
}

view! {
    /// A shop.
    Storefront from catalog::Brand {
        id: String,
        slug: String,
        name: String,
        tagline: Option<String>,
        default_locale: String,
        locales: Vec<String>,
        default_currency: String,
        currencies: Vec<String>,
        time_zone: String,
        tokens: Option<TokensView>,
        support_email: Option<String>,
        /// Tax in basis points; prices contain it.
        tax_rate_bp: u32,
        tax_name: Option<String>,
        published: bool,
    }
}

/// A plan on sale.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Offer {
    /// `pln_…`
    pub id: String,
    /// Part of its address.
    pub slug: String,
    /// Shown first and larger.
    pub featured: bool,
    /// Name.
    pub name: String,
    /// A sentence.
    pub summary: String,
    /// Points of the list.
    pub features: Vec<String>,
    /// Simultaneous streams.
    pub connections: u32,
    /// Days of trial; 0 for none.
    pub trial_days: u32,
    /// 0: it renews on the day it began. 1 to 31: terms of months and years renew on that day of the month, and the first
    /// period costs its part of a term.
    pub anchor_day: u32,
    /// What it costs, by term and currency.
    pub prices: Vec<PriceView>,
    /// What can be bought by the unit beside it.
    pub options: Vec<PlanOption>,
    /// Null for a plan of its own.
    pub addon: Option<AddOn>,
}

impl From<catalog::Plan> for Offer {
    fn from(plan: catalog::Plan) -> Self {
        let current = plan.current.unwrap_or_default();
        Self {
            id: plan.id,
            slug: plan.slug,
            featured: plan.featured,
            name: current.name,
            summary: current.summary,
            features: current.features,
            connections: current.connections,
            trial_days: current.trial_days,
            anchor_day: current.anchor_day.unwrap_or(0),
            prices: current.prices.into_iter().map(PriceView::from).collect(),
            options: current.options.show(),
            addon: current.addon.show(),
        }
    }
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(storefront))
        .routes(routes!(offers))
        .routes(routes!(offer))
        .routes(routes!(addons))
}

/// The shop of this host.
#[utoipa::path(get, path = "/storefront", tag = "storefront", responses((status = 200, body = Storefront)))]
async fn storefront(BrandHost(brand): BrandHost) -> Reply<Json<Storefront>> {
    Ok(Json(brand.content.clone().into()))
}

/// What it sells.
#[utoipa::path(get, path = "/storefront/plans", tag = "storefront", responses((status = 200, body = List<Offer>)))]
async fn offers(
    State(state): State<AppState>,
    request: RequestInfo,
    BrandHost(brand): BrandHost,
) -> Reply<Json<List<Offer>>> {
    let plans = state.catalog.plans(&brand, &request).await?;
    Ok(Json(List::of(plans.to_vec())))
}

/// One of them.
#[utoipa::path(get, path = "/storefront/plans/{slug}", tag = "storefront", params(("slug" = String, Path)), responses((status = 200, body = Offer)))]
async fn offer(
    State(state): State<AppState>,
    request: RequestInfo,
    BrandHost(brand): BrandHost,
    Path(slug): Path<String>,
) -> Reply<Json<Offer>> {
    Ok(Json(state.catalog.plan(&brand, &slug, &request).await?.into()))
}

/// What can be added to its plans.
#[utoipa::path(get, path = "/storefront/addons", tag = "storefront", operation_id = "addons", responses((status = 200, body = List<Offer>)))]
async fn addons(
    State(state): State<AppState>,
    request: RequestInfo,
    BrandHost(brand): BrandHost,
) -> Reply<Json<List<Offer>>> {
    let plans = state.catalog.plans(&brand, &request).await?;
    Ok(Json(List::of(plans.addons().to_vec())))
}
