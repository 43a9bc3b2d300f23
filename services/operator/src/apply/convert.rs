//! Documents to contract.

use chrono::DateTime;
use ottery_kernel::{Currency, Money};
use ottery_proto::catalog::v1::{
    AddOn, Brand, ChangePolicy, ChangeTiming, DesignTokens, LateRenewal, LegalEntity, OptionPrice, PanelMapping,
    PlanOption, PlanOptions, PlanVersion, Price, PutPlanRequest, SaleWindow, Stock, Term, TermUnit, plan, plan_option,
};
use ottery_proto::common::v1;
use ottery_proto::provisioning::v1::Panel;
use prost_types::Timestamp;

use crate::types::{
    BrandSpec, ChangeTiming as Timing, LateRenewal as Late, OptionEffect, OptionSpec, PanelSpec, PlanSpec, PriceSpec,
    SaleState, TermSpec, TermUnit as Unit,
};

pub(super) fn brand(slug: &str, spec: &BrandSpec) -> Brand {
    let entity = &spec.entity;
    Brand {
        slug: slug.to_owned(),
        name: spec.name.clone(),
        tagline: spec.tagline.clone(),
        hosts: spec.hosts.clone(),
        entity: Some(LegalEntity {
            id: String::new(),
            name: entity.name.clone(),
            address_lines: entity.address_lines.clone(),
            country: entity.country.clone(),
            tax_id: entity.tax_id.clone(),
            time_zone: entity.time_zone.clone(),
            invoice_series: entity.invoice_series.clone(),
            email: entity.email.clone(),
            // Not said here, so it stays as it is.
            tax: None,
        }),
        locales: spec.locales.clone(),
        currencies: spec.currencies.clone(),
        time_zone: spec.time_zone.clone(),
        tokens: Some(DesignTokens {
            schema: 1,
            values: spec.tokens.clone().into_iter().collect(),
            logo: spec.logo.clone(),
        }),
        support_email: spec.support_email.clone(),
        sender_email: spec.sender_email.clone(),
        grace_days: spec.grace_days,
        terminate_after_days: spec.terminate_after_days,
        renewal_lead_hours: spec.renewal_lead_hours,
        reminder_hours: spec.reminder_hours.clone(),
        tax_rate_bp: spec.tax_rate_bp,
        tax_name: spec.tax_name.clone(),
        affiliate_rate_bp: spec.affiliate_rate_bp,
        affiliate_hold_days: spec.affiliate_hold_days,
        published: spec.published,
        ..Brand::default()
    }
}

pub(super) fn panel(name: &str, spec: &PanelSpec) -> Panel {
    Panel {
        // As it is stored: panels are found by their name.
        name: if spec.display_name.is_empty() { name } else { spec.display_name.trim() }.to_owned(),
        driver: spec.driver.clone(),
        base_url: spec.base_url.clone(),
        player_url: spec.player_url.clone(),
        region: spec.region.clone(),
        pool: spec.pool.clone(),
        capacity: spec.capacity,
        rate_per_second: spec.rate_per_second,
        concurrency: spec.concurrency,
        enabled: spec.enabled,
        sandbox: spec.sandbox,
        sandbox_control_url: spec.sandbox_control_url.clone(),
        time_zone: spec.time_zone.clone(),
        ..Panel::default()
    }
}

/// The plan to put; its slug is the document's name unless it says otherwise.
///
/// # Errors
/// The field that cannot be read, and why.
pub(super) fn plan(name: &str, spec: &PlanSpec) -> Result<PutPlanRequest, (String, String)> {
    let state = match spec.state {
        SaleState::Draft => plan::State::Draft,
        SaleState::OnSale => plan::State::OnSale,
        SaleState::Archived => plan::State::Archived,
    };
    Ok(PutPlanRequest {
        slug: if spec.slug.is_empty() { name.to_owned() } else { spec.slug.clone() },
        position: spec.position,
        featured: spec.featured,
        content: Some(content(spec)?),
        state: state.into(),
        stock: Some(Stock { count: spec.stock }),
        sale: Some(SaleWindow {
            from: instant("spec.saleFrom", &spec.sale_from)?,
            until: instant("spec.saleUntil", &spec.sale_until)?,
        }),
        ..PutPlanRequest::default()
    })
}

/// An instant that may be left out.
fn instant(field: &str, text: &str) -> Result<Option<Timestamp>, (String, String)> {
    if text.is_empty() {
        return Ok(None);
    }
    let at = DateTime::parse_from_rfc3339(text)
        .map_err(|_| (field.to_owned(), format!("`{text}` is no instant; write it like 2027-01-31T12:00:00Z")))?;
    Ok(Some(Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }))
}

const fn timing(timing: Timing) -> ChangeTiming {
    match timing {
        Timing::ProrateNow => ChangeTiming::ProrateNow,
        Timing::FullPriceReset => ChangeTiming::FullPriceReset,
        Timing::AtRenewal => ChangeTiming::AtRenewal,
    }
}

/// What a plan says and costs.
pub(super) fn content(spec: &PlanSpec) -> Result<PlanVersion, (String, String)> {
    let mut prices = Vec::with_capacity(spec.prices.len());
    for (n, given) in spec.prices.iter().enumerate() {
        prices.push(price(n, given)?);
    }
    let mut options = Vec::with_capacity(spec.options.len());
    for (n, given) in spec.options.iter().enumerate() {
        options.push(option(n, given)?);
    }
    Ok(PlanVersion {
        name: spec.name.clone(),
        summary: spec.summary.clone(),
        features: spec.features.clone(),
        connections: spec.connections,
        prices,
        mapping: Some(PanelMapping {
            pool: spec.mapping.pool.clone(),
            bouquet_ids: spec.mapping.bouquet_ids.clone(),
            package_id: spec.mapping.package_id,
            outputs: spec.mapping.outputs.clone(),
            region: spec.mapping.region.clone(),
        }),
        trial_days: spec.trial_days,
        anchor_day: Some(spec.anchor_day),
        changes: Some(ChangePolicy {
            upgrade: timing(spec.changes.upgrade).into(),
            downgrade: timing(spec.changes.downgrade).into(),
            term: timing(spec.changes.term).into(),
        }),
        pause_days_max: Some(spec.pause_days_max),
        tax_category: Some(spec.tax_category.clone()),
        late_renewal: match spec.late_renewal {
            Late::FromOldEnd => LateRenewal::FromOldEnd,
            Late::FromPayment => LateRenewal::FromPayment,
        }
        .into(),
        options: Some(PlanOptions { items: options }),
        addon: spec.add_on.as_ref().map(|addon| AddOn { plans: addon.plans.clone() }),
        ..PlanVersion::default()
    })
}

fn price(n: usize, given: &PriceSpec) -> Result<Price, (String, String)> {
    let (amount, setup_fee) = amounts(&format!("spec.prices[{n}]"), &given.amount, &given.setup_fee)?;
    Ok(Price { term: Some(term(&given.term)), amount: Some(amount), setup_fee, once: given.once, ..Price::default() })
}

fn option(n: usize, given: &OptionSpec) -> Result<PlanOption, (String, String)> {
    let mut prices = Vec::with_capacity(given.prices.len());
    for (m, price) in given.prices.iter().enumerate() {
        let (amount, setup_fee) = amounts(&format!("spec.options[{n}].prices[{m}]"), &price.amount, &price.setup_fee)?;
        prices.push(OptionPrice { term: Some(term(&price.term)), amount: Some(amount), setup_fee });
    }
    Ok(PlanOption {
        key: given.key.clone(),
        name: given.name.clone(),
        effect: match given.effect {
            OptionEffect::None => plan_option::Effect::None,
            OptionEffect::Connections => plan_option::Effect::Connections,
        }
        .into(),
        min: given.min,
        max: given.max,
        step: given.step,
        included: given.included,
        prices,
    })
}

fn term(given: &TermSpec) -> Term {
    let unit = match given.unit {
        Unit::Day => TermUnit::Day,
        Unit::Week => TermUnit::Week,
        Unit::Month => TermUnit::Month,
        Unit::Year => TermUnit::Year,
    };
    Term { count: given.count, unit: unit.into() }
}

/// An amount and a fee that may be left out; `at` is where both are written.
fn amounts(at: &str, amount: &str, fee: &str) -> Result<(v1::Money, Option<v1::Money>), (String, String)> {
    let read = |field: &str, text: &str| money(text).map_err(|reason| (format!("{at}.{field}"), reason));
    let setup_fee = if fee.is_empty() { None } else { Some(read("setupFee", fee)?) };
    Ok((read("amount", amount)?, setup_fee))
}

/// `9.99 EUR`
fn money(text: &str) -> Result<v1::Money, String> {
    let (number, code) = text
        .trim()
        .split_once(' ')
        .ok_or_else(|| format!("`{text}` is not an amount with its currency, such as `9.99 EUR`"))?;
    let currency: Currency = code.trim().parse().map_err(|error| format!("{error}"))?;
    let money = Money::parse(number, currency).map_err(|error| error.to_string())?;
    Ok(v1::Money { currency: currency.code().to_owned(), minor: money.minor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_with_the_exponent_of_its_currency() {
        let minor = |text| money(text).map(|money| money.minor);
        assert_eq!((minor("9.99 EUR"), minor("1500 JPY"), minor("1.250 KWD")), (Ok(999), Ok(1500), Ok(1250)));
        for bad in ["9.99", "9.999 EUR", "1.5 JPY", "ten EUR", "9.99 EURO"] {
            assert!(money(bad).is_err(), "{bad}");
        }
    }
}
