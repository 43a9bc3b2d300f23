//! Creating, changing and finding brands.

use ottery_kernel::{BrandId, EntityId};
use ottery_kit::audit;
use ottery_kit::db::{Scope, begin, is_unique_violation};
use ottery_kit::grpc::Actor;
use serde_json::json;
use sqlx::PgConnection;

use super::error::check_version;
use super::{App, AppError, Page, page};
use crate::domain::brand::BrandDraft;
use crate::domain::{Brand, Invalid};
use crate::events;
use crate::store::brand::{self as store, StoredBrand};

impl App {
    /// Creates a brand (no id) or changes one; saying the same again changes nothing.
    pub async fn put_brand(
        &self,
        actor: &Actor,
        id: Option<BrandId>,
        draft: BrandDraft,
        expected_version: u64,
    ) -> Result<StoredBrand, AppError> {
        match id {
            None => self.create_brand(actor, draft, expected_version).await,
            Some(id) => self.change_brand(actor, id, draft, expected_version).await,
        }
    }

    async fn create_brand(&self, actor: &Actor, draft: BrandDraft, expected: u64) -> Result<StoredBrand, AppError> {
        check_version(expected, 0)?;
        let now = self.now();
        let id = BrandId::new(now);
        let brand = draft.validate(EntityId::new(now))?;
        // Its events belong to the brand that is being made.
        let mut tx = begin(&self.pool, Scope::Brand(id)).await?;
        refuse_taken_hosts(&mut tx, id, &brand).await?;
        store::insert(&mut tx, id, &brand, now).await.map_err(|error| taken(error, &brand))?;
        audit::append(&mut tx, &of_brand(actor, id), "brand.create", id, None, Some(summary(&brand))).await?;
        let stored = events::brand_changed(&mut tx, id, now).await?;
        self.finish(tx).await?;
        Ok(stored)
    }

    async fn change_brand(
        &self,
        actor: &Actor,
        id: BrandId,
        draft: BrandDraft,
        expected: u64,
    ) -> Result<StoredBrand, AppError> {
        let now = self.now();
        let mut tx = begin(&self.pool, Scope::Brand(id)).await?;
        let stored = store::lock(&mut tx, id).await?.ok_or(AppError::missing("brand"))?;
        check_version(expected, stored.version)?;
        let brand = draft.after(&stored.brand).validate(stored.brand.entity.id)?;
        if brand.slug != stored.brand.slug {
            return Err(
                Invalid::new("slug", "SLUG_FIXED", "a brand keeps its slug; create another brand instead").into()
            );
        }
        if let Some(gone) = stored.brand.currencies.iter().find(|currency| !brand.currencies.contains(currency)) {
            self.refuse_currency_in_use(&mut tx, gone.code()).await?;
        }
        if brand == stored.brand {
            return Ok(stored);
        }
        refuse_taken_hosts(&mut tx, id, &brand).await?;
        store::update(&mut tx, id, &brand, now).await.map_err(|error| taken(error, &brand))?;
        store::touch_catalog(&mut tx, id).await?;
        audit::append(
            &mut tx,
            &of_brand(actor, id),
            "brand.update",
            id,
            Some(summary(&stored.brand)),
            Some(summary(&brand)),
        )
        .await?;
        let stored = events::brand_changed(&mut tx, id, now).await?;
        self.finish(tx).await?;
        Ok(stored)
    }

    async fn refuse_currency_in_use(&self, tx: &mut PgConnection, code: &str) -> Result<(), AppError> {
        let plans = crate::store::plan::list(tx, None, None, 1000).await?;
        let user =
            plans.iter().find(|plan| plan.current.prices.iter().any(|price| price.amount.currency.code() == code));
        match user {
            None => Ok(()),
            Some(plan) => Err(Invalid::new(
                "currencies",
                "CURRENCY_IN_USE",
                format!("{code} is used by a price of plan `{}`; remove that price first", plan.slug),
            )
            .into()),
        }
    }

    /// The brand of that id, or of that slug.
    pub async fn get_brand(&self, id: Option<BrandId>, slug: &str) -> Result<StoredBrand, AppError> {
        let mut connection = self.pool.acquire().await?;
        let found = match id {
            Some(id) => store::get(&mut connection, id).await?,
            None => store::by_slug(&mut connection, slug).await?,
        };
        found.ok_or(AppError::missing("brand"))
    }

    /// The brand that answers to that host; a port and capitals are ignored.
    pub async fn resolve_host(&self, host: &str) -> Result<StoredBrand, AppError> {
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let name = match name.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => name.as_str(),
        };
        let mut connection = self.pool.acquire().await?;
        store::by_host(&mut connection, name)
            .await?
            .ok_or_else(|| AppError::HostUnknown(name.chars().take(100).collect()))
    }

    /// Brands, newest first.
    pub async fn list_brands(&self, cursor: &str, limit: u32) -> Result<Page<StoredBrand>, AppError> {
        let limit = page::limit(limit)?;
        let before = match cursor {
            "" => None,
            cursor => Some(cursor.parse::<BrandId>().map_err(|_| page::bad_cursor())?.as_uuid()),
        };
        let mut connection = self.pool.acquire().await?;
        let brands = store::list(&mut connection, before, limit + 1).await?;
        Ok(page::cut(brands, limit, |brand| brand.id.to_string()))
    }
}

async fn refuse_taken_hosts(tx: &mut PgConnection, id: BrandId, brand: &Brand) -> Result<(), AppError> {
    match store::taken_hosts(tx, id, &brand.hosts).await?.first() {
        None => Ok(()),
        Some(host) => Err(host_taken(brand, host).into()),
    }
}

fn host_taken(brand: &Brand, host: &str) -> Invalid {
    let place = brand.hosts.iter().position(|own| own == host).unwrap_or(0);
    Invalid::new(
        format!("hosts[{place}]"),
        "HOST_TAKEN",
        format!("`{host}` belongs to another brand; remove it there first"),
    )
}

/// The constraint has the last word when two brands ask at once.
fn taken(error: sqlx::Error, brand: &Brand) -> AppError {
    if is_unique_violation(&error, "brand_slug_key") {
        return Invalid::new(
            "slug",
            "SLUG_TAKEN",
            format!("`{}` is another brand's slug; choose a different one", brand.slug),
        )
        .into();
    }
    if is_unique_violation(&error, "brand_host_pkey") {
        return Invalid::new("hosts", "HOST_TAKEN", "a host was just taken by another brand").into();
    }
    error.into()
}

fn of_brand(actor: &Actor, id: BrandId) -> Actor {
    Actor { brand: Some(id), ..actor.clone() }
}

fn summary(brand: &Brand) -> serde_json::Value {
    // Without the logo, which is long and says nothing in an audit trail.
    let mut summary = json!(brand);
    if let Some(tokens) = summary.get_mut("tokens").and_then(serde_json::Value::as_object_mut) {
        tokens.remove("logo");
    }
    summary
}
