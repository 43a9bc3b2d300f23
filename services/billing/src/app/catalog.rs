//! What billing asks the catalogue.

use std::time::Duration;

use ottery_kernel::{BrandId, PlanId, PriceId};
use ottery_kit::grpc::{CallContext, Code, Problem};
use ottery_proto::catalog::v1::catalog_service_client::CatalogServiceClient;
use ottery_proto::catalog::v1::{GetBrandRequest, GetCouponRequest, GetPlanRequest, GetPriceRequest, plan};

use super::Billing;
use super::stock::{Sale, Sold};
use crate::contract;
use crate::domain::addon::Product;
use crate::domain::coupon::{Coupon, CouponRefused};
use crate::domain::offer::Offer;
use crate::domain::profile::Profile;
use crate::store;

/// How long the catalogue may take; a visitor waits for it.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(2);

fn away(status: tonic::Status, not_found: Problem) -> Problem {
    match status.code() {
        Code::NotFound => not_found,
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Cancelled => {
            tracing::warn!(error = %status, "the catalogue does not answer");
            Problem::unavailable("CATALOG_AWAY", "prices cannot be read right now; try again in a moment")
        }
        _ => Problem::from(status),
    }
}

impl Billing {
    fn catalog(&self, brand: BrandId) -> CatalogServiceClient<ottery_kit::grpc::Channel> {
        let context = CallContext::brand(brand).timeout(CATALOG_TIMEOUT).repeatable();
        CatalogServiceClient::new(self.host.client_channel("catalog").with(&context))
    }

    /// The offer behind a price of a plan that is on sale, whenever that is.
    ///
    /// # Errors
    /// As [`Billing::sold`].
    pub async fn offer_on_sale(&self, brand: BrandId, price: PriceId) -> Result<Offer, Problem> {
        Ok(self.sold(brand, price).await?.offer)
    }

    /// A price of a plan that is on sale, with the limits of that.
    ///
    /// # Errors
    /// When there is no such price, its plan is not sold (any more), or the catalogue is away.
    pub async fn sold(&self, brand: BrandId, price: PriceId) -> Result<Sold, Problem> {
        let request = GetPriceRequest { price_id: price.to_string() };
        let unknown =
            Problem::not_found("PRICE_NOT_FOUND", format!("there is no price {price}; take one from the plan list"))
                .on_field("price_id");
        let reply = self.catalog(brand).get_price(request).await.map_err(|status| away(status, unknown))?.into_inner();
        let offer = contract::offer_from(&reply)?;
        let plan = reply.plan.unwrap_or_default();
        if reply.plan_version.is_some_and(|version| version.addon.is_some()) {
            let message =
                format!("`{}` is an add-on; order it with a plan, or add it to a subscription", offer.plan_name);
            return Err(Problem::refused("ADDON_ALONE", message).on_field("price_id"));
        }
        if plan.state() != plan::State::OnSale {
            return Err(Problem::refused(
                "PLAN_NOT_ON_SALE",
                format!("the plan `{}` is not sold any more; choose another", offer.plan_name),
            )
            .on_field("price_id"));
        }
        if plan.current.as_ref().is_some_and(|current| current.id != offer.plan_version_id.to_string()) {
            return Err(Problem::refused("PRICE_OUTDATED", "the plan has changed since; reload the plan list")
                .on_field("price_id"));
        }
        let (stock, window) = (plan.stock.unwrap_or_default(), plan.sale.unwrap_or_default());
        let (from, until) = (contract::instant_from(window.from)?, contract::instant_from(window.until)?);
        let sale = Sale { plan: offer.plan_id, name: offer.plan_name.clone(), stock: stock.count, from, until };
        Ok(Sold { offer, slug: plan.slug, sale })
    }

    /// The add-ons behind these plans, as they are sold now.
    ///
    /// # Errors
    /// When one is no add-on, is not sold, or the catalogue is away.
    pub async fn addons_on_sale(&self, brand: BrandId, plans: &[PlanId]) -> Result<Vec<(Product, Sale)>, Problem> {
        let mut found = Vec::with_capacity(plans.len());
        for id in plans {
            let message = format!("there is no add-on {id}; take one from the list of add-ons");
            let unknown = Problem::not_found("ADDON_NOT_FOUND", message).on_field("addons");
            let request = GetPlanRequest { plan_id: id.to_string(), slug: String::new() };
            let asked = self.catalog(brand).get_plan(request).await;
            let plan = asked.map_err(|status| away(status, unknown.clone()))?.into_inner();
            let Some(product) = contract::addon::product_from(&plan)? else { return Err(unknown) };
            if plan.state() != plan::State::OnSale {
                let message = format!("`{}` is not sold any more; leave it out", product.name);
                return Err(Problem::refused("PLAN_NOT_ON_SALE", message).on_field("addons"));
            }
            let (stock, window) = (plan.stock.unwrap_or_default(), plan.sale.unwrap_or_default());
            let (from, until) = (contract::instant_from(window.from)?, contract::instant_from(window.until)?);
            let sale = Sale { plan: product.plan_id, name: product.name.clone(), stock: stock.count, from, until };
            found.push((product, sale));
        }
        Ok(found)
    }

    /// The address of a plan, whether it is sold or not.
    ///
    /// # Errors
    /// When the catalogue does not know it or is away.
    pub async fn plan_slug(&self, brand: BrandId, plan: PlanId) -> Result<String, Problem> {
        let unknown = Problem::not_found("PLAN_NOT_FOUND", format!("there is no plan {plan}"));
        let request = GetPlanRequest { plan_id: plan.to_string(), slug: String::new() };
        let asked = self.catalog(brand).get_plan(request).await.map_err(|status| away(status, unknown))?;
        Ok(asked.into_inner().slug)
    }

    /// The enabled coupon of that code; none when no code is given. A code that is malformed, archived or another brand's is
    /// unknown like any other.
    ///
    /// # Errors
    /// When there is no such coupon, or the catalogue is away.
    pub async fn coupon(&self, brand: BrandId, code: &str) -> Result<Option<Coupon>, Problem> {
        let code = code.trim();
        if code.is_empty() {
            return Ok(None);
        }
        let request = GetCouponRequest { coupon_id: String::new(), code: code.to_owned() };
        // What was typed comes back to who typed it, cut to a length that can be shown.
        let unknown = Problem::from(CouponRefused::Unknown(code.chars().take(32).collect()));
        let told = self.catalog(brand).get_coupon(request).await.map_err(|status| away(status, unknown))?.into_inner();
        Ok(Some(contract::coupon_from(&told)?))
    }

    /// The brand's settings, asking the catalogue when its event has not come yet.
    ///
    /// # Errors
    /// When the catalogue does not know the brand or is away.
    pub async fn profile(&self, brand: BrandId) -> Result<Profile, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        if let Some(profile) = store::profile::get(&mut tx, brand).await? {
            return Ok(profile);
        }
        // No transaction waits for another service.
        tx.rollback().await?;
        let request = GetBrandRequest { brand_id: brand.to_string(), slug: String::new() };
        let unknown = Problem::not_found("BRAND_NOT_FOUND", format!("there is no brand {brand}"));
        let told = self.catalog(brand).get_brand(request).await.map_err(|status| away(status, unknown))?.into_inner();
        let profile = contract::profile_from(&told)?;
        let (mut tx, _) = self.begin(brand).await?;
        store::profile::put(&mut tx, &profile, i64::try_from(told.version).unwrap_or(i64::MAX), now).await?;
        tx.commit().await?;
        Ok(profile)
    }
}
