//! Brands.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use ottery_kernel::BrandId;
use ottery_kit::grpc::Code;
use ottery_proto::catalog::v1 as catalog;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::clocks::TestClock;
use super::storefront::TokensView;
use super::taxes::TaxSettings;
use super::view::{DryRun, Page, Time, page, view};
use crate::limits::{Json, Query};
use crate::problem::{Refusal, Reply};
use crate::session::{Caller, Portal};
use crate::state::AppState;

/// Brands listed for somebody who works for a few of them.
const OWN_BRANDS_MAX: usize = 100;

/// Who sells: the issuer of invoices.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// `ent_…`; made when left out.
    #[serde(default)]
    pub id: String,
    /// As on invoices.
    pub name: String,
    /// As on invoices.
    pub address_lines: Vec<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// As on invoices.
    #[serde(default)]
    pub tax_id: String,
    /// IANA zone that decides the issue date.
    pub time_zone: String,
    /// Prefix of invoice numbers.
    pub invoice_series: String,
    /// As on invoices.
    #[serde(default)]
    pub email: String,
    /// How it taxes; as it was when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<TaxSettings>,
}

impl From<catalog::LegalEntity> for Entity {
    fn from(given: catalog::LegalEntity) -> Self {
        Self {
            id: given.id,
            name: given.name,
            address_lines: given.address_lines,
            country: given.country,
            tax_id: given.tax_id,
            time_zone: given.time_zone,
            invoice_series: given.invoice_series,
            email: given.email,
            tax: given.tax.map(Into::into),
        }
    }
}

impl From<Entity> for catalog::LegalEntity {
    fn from(given: Entity) -> Self {
        Self {
            id: given.id,
            name: given.name,
            address_lines: given.address_lines,
            country: given.country,
            tax_id: given.tax_id,
            time_zone: given.time_zone,
            invoice_series: given.invoice_series,
            email: given.email,
            tax: given.tax.map(Into::into),
        }
    }
}

view! {
    /// A brand.
    BrandView from catalog::Brand {
        id: String,
        slug: String,
        name: String,
        hosts: Vec<String>,
        entity: Option<Entity>,
        default_locale: String,
        locales: Vec<String>,
        default_currency: String,
        currencies: Vec<String>,
        time_zone: String,
        tokens: Option<TokensView>,
        support_email: String,
        sender_email: String,
        tagline: Option<String>,
        /// Days between a missed renewal and suspension.
        grace_days: u32,
        /// Days after suspension until termination.
        terminate_after_days: u32,
        /// Hours before the period's end at which the renewal invoice is issued.
        renewal_lead_hours: u32,
        /// Basis points; prices contain it.
        tax_rate_bp: u32,
        tax_name: Option<String>,
        test_clock: Option<TestClock>,
        version: u64,
        updated_at: Option<Time>,
        /// Basis points of the net amount.
        affiliate_rate_bp: u32,
        affiliate_hold_days: u32,
        /// Hours relative to the renewal; negative is before.
        reminder_hours: Vec<i32>,
        published: bool,
    }
}

/// How a brand looks.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokensInput {
    /// Semantic values: `accent`, `surface`, `text`, …
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// PNG or SVG as data URI, 64 KiB at most.
    #[serde(default)]
    pub logo: String,
}

/// A brand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BrandInput {
    /// Lower case letters, digits and hyphens; never changes.
    pub slug: String,
    /// As customers know it.
    pub name: String,
    /// Host names without port.
    pub hosts: Vec<String>,
    /// Who sells.
    pub entity: Option<Entity>,
    /// BCP 47; the first of `locales` when left out.
    #[serde(default)]
    pub default_locale: String,
    /// BCP 47.
    #[serde(default)]
    pub locales: Vec<String>,
    /// ISO 4217; the first of `currencies` when left out.
    #[serde(default)]
    pub default_currency: String,
    /// ISO 4217.
    #[serde(default)]
    pub currencies: Vec<String>,
    /// IANA zone.
    pub time_zone: String,
    /// How it looks.
    #[serde(default)]
    pub tokens: Option<TokensInput>,
    /// Where customers write to.
    pub support_email: String,
    /// Whom mails come from.
    pub sender_email: String,
    /// Below the name.
    #[serde(default)]
    pub tagline: String,
    /// Days.
    pub grace_days: u32,
    /// Days.
    pub terminate_after_days: u32,
    /// Hours.
    pub renewal_lead_hours: u32,
    /// Basis points.
    #[serde(default)]
    pub tax_rate_bp: u32,
    /// As on invoices.
    #[serde(default)]
    pub tax_name: String,
    /// Basis points.
    #[serde(default)]
    pub affiliate_rate_bp: u32,
    /// Days.
    #[serde(default)]
    pub affiliate_hold_days: u32,
    /// Hours.
    #[serde(default)]
    pub reminder_hours: Vec<i32>,
    /// Whether the shop is open.
    #[serde(default)]
    pub published: bool,
    /// The version that was read; 0 to create.
    #[serde(default)]
    pub version: u64,
}

/// Which brands.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BrandQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// The one brand of this slug.
    slug: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, update))
}

/// List the brands I work for.
#[utoipa::path(get, path = "/brands", tag = "brands", operation_id = "list_brands", params(BrandQuery), responses((status = 200, body = Page<BrandView>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<BrandQuery>,
) -> Reply<Json<Page<BrandView>>> {
    let request = page(query.cursor, query.limit)?;
    let is_wanted = |brand: &catalog::Brand| query.slug.as_ref().is_none_or(|slug| *slug == brand.slug);
    let brands = match (caller.actor.brand, &query.slug) {
        // Whoever works in one brand, as a brand's API key always does, is shown that one.
        (Some(brand), _) => found(&state, &caller, brand.to_string(), String::new()).await?,
        (None, _) if !caller.may("brand.read") => own(&state, &caller).await?,
        (None, Some(slug)) => found(&state, &caller, String::new(), slug.clone()).await?,
        (None, None) => {
            let request = catalog::ListBrandsRequest { page: request };
            let reply = state.clients.catalog(&caller.call()).list_brands(request).await?.into_inner();
            return Ok(Json(Page::of(reply.brands, reply.page)));
        }
    };
    Ok(Json(Page::of(brands.into_iter().filter(is_wanted).collect(), None)))
}

/// The brand of that id or slug, when there is one for this caller.
async fn found(state: &AppState, caller: &Caller, brand_id: String, slug: String) -> Reply<Vec<catalog::Brand>> {
    let request = catalog::GetBrandRequest { brand_id, slug };
    match state.clients.catalog(&caller.call()).get_brand(request).await {
        Ok(brand) => Ok(vec![brand.into_inner()]),
        Err(status) if status.code() == Code::NotFound => Ok(Vec::new()),
        Err(status) => Err(status.into()),
    }
}

/// Somebody without rights on the platform sees the brands they hold something in.
async fn own(state: &AppState, caller: &Caller) -> Reply<Vec<catalog::Brand>> {
    let session = caller.session.clone().ok_or_else(Refusal::sign_in)?;
    let mut brands: Vec<catalog::Brand> = Vec::new();
    for &brand in session.brands.iter().take(OWN_BRANDS_MAX) {
        let inside = state.sessions.of_cookie(Portal::Staff, &session.secret, Some(brand), &caller.request).await?;
        let inside = inside.ok_or_else(Refusal::sign_in)?;
        let context = caller.request.call(inside.actor_in(Some(brand)));
        let request = catalog::GetBrandRequest { brand_id: brand.to_string(), slug: String::new() };
        match state.clients.catalog(&context).get_brand(request).await {
            Ok(found) => brands.push(found.into_inner()),
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(status.into()),
        }
    }
    Ok(brands)
}

/// Get a brand.
#[utoipa::path(get, path = "/brands/{id}", tag = "brands", operation_id = "get_brand", params(("id" = String, Path)), responses((status = 200, body = BrandView)))]
async fn read(State(state): State<AppState>, caller: Caller, Path(brand_id): Path<String>) -> Reply<Json<BrandView>> {
    Ok(Json(get(&state, &caller, brand_id).await?.into()))
}

pub(super) async fn get(state: &AppState, caller: &Caller, brand_id: String) -> Reply<catalog::Brand> {
    known(&brand_id)?;
    let request = catalog::GetBrandRequest { brand_id, slug: String::new() };
    Ok(state.clients.catalog(&caller.call()).get_brand(request).await?.into_inner())
}

/// An id that cannot be one is the id of nothing.
fn known(brand_id: &str) -> Reply<()> {
    brand_id.parse::<BrandId>().map(|_| ()).map_err(|error| Refusal::invalid("id", "id_malformed", error.to_string()))
}

/// Add a brand.
#[utoipa::path(post, path = "/brands", tag = "brands", operation_id = "create_brand", params(DryRun), request_body = BrandInput, responses((status = 201, body = BrandView)))]
async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Query(mode): Query<DryRun>,
    Json(input): Json<BrandInput>,
) -> Reply<Response> {
    let brand = put(&state, &caller, String::new(), input, mode).await?;
    Ok((mode.created(), Json(brand)).into_response())
}

/// Change a brand.
#[utoipa::path(put, path = "/brands/{id}", tag = "brands", operation_id = "update_brand", params(("id" = String, Path), DryRun), request_body = BrandInput, responses((status = 200, body = BrandView)))]
async fn update(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(mode): Query<DryRun>,
    Json(input): Json<BrandInput>,
) -> Reply<Json<BrandView>> {
    known(&id)?;
    put(&state, &caller, id, input, mode).await.map(Json)
}

async fn put(state: &AppState, caller: &Caller, id: String, input: BrandInput, mode: DryRun) -> Reply<BrandView> {
    let hosts = &state.config.http.admin_hosts;
    if let Some(taken) = input.hosts.iter().find(|host| hosts.iter().any(|admin| admin.eq_ignore_ascii_case(host))) {
        return Err(Refusal::invalid(
            "hosts",
            "host_reserved",
            format!("`{taken}` serves the staff area; choose another name"),
        ));
    }
    let tokens = input.tokens.map(|tokens| catalog::DesignTokens {
        schema: 1,
        values: tokens.values.into_iter().collect(),
        logo: tokens.logo,
    });
    let brand = catalog::Brand {
        id,
        slug: input.slug,
        name: input.name,
        hosts: input.hosts,
        entity: input.entity.map(Into::into),
        default_locale: input.default_locale,
        locales: input.locales,
        default_currency: input.default_currency,
        currencies: input.currencies,
        time_zone: input.time_zone,
        tokens,
        support_email: input.support_email,
        sender_email: input.sender_email,
        tagline: input.tagline,
        grace_days: input.grace_days,
        terminate_after_days: input.terminate_after_days,
        renewal_lead_hours: input.renewal_lead_hours,
        tax_rate_bp: input.tax_rate_bp,
        tax_name: input.tax_name,
        affiliate_rate_bp: input.affiliate_rate_bp,
        affiliate_hold_days: input.affiliate_hold_days,
        reminder_hours: input.reminder_hours,
        published: input.published,
        ..Default::default()
    };
    let request =
        catalog::PutBrandRequest { brand: Some(brand), expected_version: input.version, dry_run: mode.dry_run };
    let brand = state.clients.catalog(&caller.call()).put_brand(request).await?.into_inner();
    if !mode.dry_run {
        // This replica need not wait for the event.
        state.catalog.forget_hosts();
    }
    Ok(brand.into())
}
