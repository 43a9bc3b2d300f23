//! Creating, changing and finding plans.

use ottery_kernel::{BrandId, PlanId, PlanVersionId, PriceId};
use ottery_kit::audit;
use ottery_kit::db::{Scope, begin, is_unique_violation};
use ottery_kit::grpc::Actor;
use serde_json::json;
use uuid::Uuid;

use super::error::check_version;
use super::{App, AppError, Page, page};
use crate::domain::addon;
use crate::domain::option::{OptionDraft, check_options, validate_options};
use crate::domain::plan::{ContentDraft, PriceDraft, validate_prices};
use crate::domain::sale::Window;
use crate::domain::{Content, Invalid, Plan, PlanState, PlanVersion, Price, Sale, Slug};
use crate::{events, store};

/// A plan as it should become.
#[derive(Clone, Debug)]
pub struct PutPlan {
    /// Part of its address.
    pub slug: String,
    /// Place in the storefront.
    pub position: u32,
    /// Shown on the home page.
    pub featured: bool,
    /// What it says.
    pub content: ContentDraft,
    /// What it costs.
    pub prices: Vec<PriceDraft>,
    /// What can be bought by the unit beside it; none keeps what the version before has.
    pub options: Option<Vec<OptionDraft>>,
    /// How many can be sold; none keeps what is there.
    pub stock: Option<Option<u32>>,
    /// From when and until when it is sold; none keeps what is there.
    pub window: Option<Window>,
    /// Whether it can be bought; none leaves it as it is, and makes a new plan a draft.
    pub state: Option<PlanState>,
}

impl App {
    /// Creates a plan (no id) or changes one; saying the same again changes nothing. Other content or prices become the next
    /// version.
    pub async fn put_plan(
        &self,
        actor: &Actor,
        brand: BrandId,
        id: Option<PlanId>,
        wanted: PutPlan,
        expected_version: u64,
    ) -> Result<Plan, AppError> {
        let now = self.now();
        let slug: Slug = wanted.slug.parse()?;
        if wanted.position > 10_000 {
            return Err(Invalid::new("position", "RANGE", "use 0 to 10000").into());
        }
        // What is wrong with a new plan is told before anything is looked up; a known one may be an add-on.
        if id.is_none() {
            wanted.content.clone().validate()?;
        }
        let (stock, window) = (wanted.stock, wanted.window);
        let sale = |before: Sale| {
            let Window { from, until } = window.unwrap_or(Window { from: before.from, until: before.until });
            Sale { stock: stock.unwrap_or(before.stock), from, until }.validate()
        };
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let owner = store::brand::get(&mut tx, brand).await?.ok_or(AppError::missing("brand"))?;
        let prices = validate_prices(wanted.prices, &owner.brand.currencies, now)?;
        let options = wanted.options.map(|options| validate_options(options, &owner.brand.currencies)).transpose()?;
        let taken = |error: sqlx::Error, slug: &Slug| -> AppError {
            if is_unique_violation(&error, "plan_brand_id_slug_key") {
                return Invalid::new("slug", "SLUG_TAKEN", format!("another plan of this brand is called `{slug}`"))
                    .into();
            }
            error.into()
        };
        let (plan, before) = match id {
            None => {
                check_version(expected_version, 0)?;
                let content = Content { options: options.unwrap_or_default(), ..wanted.content.validate()? };
                check_options(&content.options, content.connections, &prices)?;
                addon::check(&content, &prices)?;
                let id = PlanId::new(now);
                let current = PlanVersion {
                    id: PlanVersionId::new(now),
                    plan_id: id,
                    number: 1,
                    content,
                    prices,
                    published_at: now,
                };
                let mut plan = Plan {
                    id,
                    brand,
                    slug,
                    state: PlanState::Draft,
                    position: wanted.position,
                    featured: wanted.featured,
                    version: 1,
                    sale: sale(Sale::default())?,
                    current,
                };
                if let Some(state) = wanted.state {
                    plan.set_state(state)?;
                    plan.version = 1;
                }
                store::plan::insert(&mut tx, &plan).await.map_err(|error| taken(error, &plan.slug))?;
                (plan, None)
            }
            Some(id) => {
                let mut plan = store::plan::lock(&mut tx, id).await?.ok_or(AppError::missing("plan"))?;
                check_version(expected_version, plan.version)?;
                let before = plan.clone();
                let old = &plan.current.content;
                let content = Content {
                    options: options.unwrap_or_else(|| old.options.clone()),
                    ..wanted.content.after(old).validate()?
                };
                check_options(&content.options, content.connections, &prices)?;
                addon::check(&content, &prices)?;
                addon::check_kind(old, &content)?;
                if plan.state == PlanState::OnSale && wanted.state != Some(PlanState::Archived) && prices.is_empty() {
                    return Err(Invalid::new(
                        "content.prices",
                        "PLAN_WITHOUT_PRICE",
                        "a plan on sale keeps at least one price",
                    )
                    .into());
                }
                let next = plan.next_version(content, prices, now);
                if let Some(next) = next {
                    store::plan::insert_version(&mut tx, brand, &next).await?;
                    plan.current = next;
                }
                (plan.slug, plan.position, plan.featured) = (slug, wanted.position, wanted.featured);
                plan.sale = sale(plan.sale)?;
                if let Some(state) = wanted.state {
                    plan.set_state(state)?;
                }
                plan.version = before.version;
                if plan == before {
                    return Ok(plan);
                }
                plan.version += 1;
                store::plan::update(&mut tx, &plan).await.map_err(|error| taken(error, &plan.slug))?;
                (plan, Some(before))
            }
        };
        let action = if before.is_some() { "plan.update" } else { "plan.create" };
        audit::append(&mut tx, actor, action, plan.id, before.as_ref().map(summary), Some(summary(&plan))).await?;
        store::brand::touch_catalog(&mut tx, brand).await?;
        events::plan_changed(&mut tx, &plan, now).await?;
        self.finish(tx).await?;
        Ok(plan)
    }

    /// Puts a plan on sale or into the archive.
    pub async fn set_plan_state(
        &self,
        actor: &Actor,
        brand: BrandId,
        id: PlanId,
        state: PlanState,
        expected_version: u64,
    ) -> Result<Plan, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let mut plan = store::plan::lock(&mut tx, id).await?.ok_or(AppError::missing("plan"))?;
        check_version(expected_version, plan.version)?;
        let before = summary(&plan);
        if !plan.set_state(state)? {
            return Ok(plan);
        }
        store::plan::update(&mut tx, &plan).await?;
        audit::append(&mut tx, actor, "plan.update", plan.id, Some(before), Some(summary(&plan))).await?;
        store::brand::touch_catalog(&mut tx, brand).await?;
        events::plan_changed(&mut tx, &plan, self.now()).await?;
        self.finish(tx).await?;
        Ok(plan)
    }

    /// The plan of that id, or of that slug.
    pub async fn get_plan(&self, brand: BrandId, id: Option<PlanId>, slug: &str) -> Result<Plan, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        store::plan::get(&mut tx, id, slug).await?.ok_or(AppError::missing("plan"))
    }

    /// Plans in the order of the storefront; only what can be bought now when asked so.
    pub async fn list_plans(
        &self,
        brand: BrandId,
        on_sale_only: bool,
        cursor: &str,
        limit: u32,
    ) -> Result<Page<Plan>, AppError> {
        let limit = page::limit(limit)?;
        let after = match cursor {
            "" => None,
            cursor => Some(read_cursor(cursor).ok_or_else(page::bad_cursor)?),
        };
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        // The shop's time is the brand's.
        let stored = store::brand::get(&mut tx, brand).await?.ok_or(AppError::missing("brand"))?;
        let now = stored.clock.now().unwrap_or_else(|| self.now());
        let sold_at = on_sale_only.then_some(now);
        let plans = store::plan::list(&mut tx, after, sold_at, limit + 1).await?;
        Ok(page::cut(plans, limit, |plan| format!("{}.{}", plan.position, plan.id)))
    }

    /// A version, however old, with the plan as it is now.
    pub async fn get_plan_version(&self, brand: BrandId, id: PlanVersionId) -> Result<(Plan, PlanVersion), AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        store::plan::version(&mut tx, id).await?.ok_or(AppError::missing("plan version"))
    }

    /// A price, however old, with its version and the plan as it is now.
    pub async fn get_price(&self, brand: BrandId, id: PriceId) -> Result<(Plan, PlanVersion, Price), AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let version = store::plan::version_of_price(&mut tx, id).await?.ok_or(AppError::missing("price"))?;
        let (plan, version) = store::plan::version(&mut tx, version).await?.ok_or(AppError::missing("price"))?;
        let price = version.prices.iter().copied().find(|price| price.id == id).ok_or(AppError::missing("price"))?;
        Ok((plan, version, price))
    }
}

fn read_cursor(cursor: &str) -> Option<(i32, Uuid)> {
    let (position, id) = cursor.split_once('.')?;
    Some((position.parse().ok()?, id.parse::<PlanId>().ok()?.as_uuid()))
}

fn summary(plan: &Plan) -> serde_json::Value {
    json!({
        "slug": plan.slug.as_str(),
        "state": plan.state.as_str(),
        "position": plan.position,
        "featured": plan.featured,
        "stock": plan.sale.stock,
        "sale_from": plan.sale.from,
        "sale_until": plan.sale.until,
        "number": plan.current.number,
        "content": plan.current.content,
        "prices": plan.current.prices.iter().map(|price| json!({
            "amount": price.amount,
            "setup_fee": price.setup_fee,
            "term": price.term,
            "once": price.once,
        })).collect::<Vec<_>>(),
    })
}
