//! Add-ons between the catalogue, billing and whoever reads.

use anyhow::Context as _;
use ottery_kernel::Money;
use ottery_proto::billing::v1 as proto;
use ottery_proto::catalog::v1 as catalog;

use super::{money, money_from, term, term_from};
use crate::domain::addon::{AddOn, Cycle, Product};

/// The add-on the catalogue sells as that plan; none when the plan is none.
///
/// # Errors
/// When the answer is incomplete, which a working catalogue never sends.
pub fn product_from(plan: &catalog::Plan) -> anyhow::Result<Option<Product>> {
    let version = plan.current.as_ref().context("a plan without version")?;
    let Some(rule) = &version.addon else { return Ok(None) };
    Ok(Some(Product {
        plan_id: plan.id.parse()?,
        version_id: version.id.parse()?,
        name: version.name.clone(),
        connections: version.connections,
        bouquet_ids: version.mapping.clone().unwrap_or_default().bouquet_ids,
        cycles: version.prices.iter().map(cycle_from).collect::<Result<_, _>>()?,
        plans: rule.plans.clone(),
        tax_category: version.tax_category.clone().unwrap_or_default(),
    }))
}

fn cycle_from(sent: &catalog::Price) -> anyhow::Result<Cycle> {
    let price = money_from("price.amount", sent.amount.as_ref().context("a price without amount")?)?;
    let setup_fee = match sent.setup_fee.as_ref().filter(|fee| fee.minor != 0) {
        Some(fee) => money_from("setup_fee", fee)?,
        None => Money::zero(price.currency),
    };
    let term = term_from(sent.term.as_ref().context("a price without term")?)?;
    Ok(Cycle { price_id: sent.id.parse()?, term, price, setup_fee })
}

/// An add-on somebody has.
#[must_use]
pub fn bought(addon: &AddOn) -> proto::BoughtAddOn {
    proto::BoughtAddOn {
        plan_id: addon.plan_id.to_string(),
        plan_version_id: addon.version_id.to_string(),
        name: addon.name.clone(),
        cycle: Some(term(addon.cycle.term)),
        cycle_price: Some(money(addon.cycle.price)),
        // What the catalogue lets through always fits.
        price: Some(money(addon.price().unwrap_or(addon.cycle.price))),
    }
}
