//! Contract to what the domain checks.

use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use ottery_kernel::{ChangeTiming as KernelTiming, LateRenewal as KernelLate, TermUnit as KernelUnit};
use ottery_kit::grpc::Problem;
use ottery_proto::catalog::v1::{
    Brand, ChangePolicy, ChangeTiming, Coupon, LateRenewal, LegalEntity, OptionPrice, PlanOption, PlanVersion, Price,
    SaleWindow, Term, TermUnit, coupon, plan, plan_option,
};

use crate::domain::brand::{BrandDraft, EntityDraft};
use crate::domain::coupon::{CouponDraft, DurationKind, Kind, Occasion};
use crate::domain::option::{OptionDraft, OptionEffect};
use crate::domain::plan::{ChangesDraft, ContentDraft, PanelMapping, PriceDraft};
use crate::domain::sale::Window;
use crate::domain::{CouponState, PlanState};

/// An id, or a problem that names the field.
pub(super) fn id<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::invalid(field, "ID_MALFORMED", error.to_string()))
}

/// An id that may be absent.
pub(super) fn optional_id<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<Option<T>, Problem> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}

pub(super) fn instant(field: &'static str, at: Option<prost_types::Timestamp>) -> Result<DateTime<Utc>, Problem> {
    at.and_then(|at| DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?))
        .ok_or_else(|| Problem::invalid(field, "INSTANT_MISSING", "give an instant such as 2027-01-31T12:00:00Z"))
}

/// An instant that may be absent.
fn optional_instant(field: &'static str, at: Option<prost_types::Timestamp>) -> Result<Option<DateTime<Utc>>, Problem> {
    at.map(|at| instant(field, Some(at))).transpose()
}

pub(super) fn brand(brand: Brand) -> BrandDraft {
    let tokens = brand.tokens.unwrap_or_default();
    BrandDraft {
        slug: brand.slug,
        name: brand.name,
        hosts: brand.hosts,
        entity: brand.entity.map(entity),
        default_locale: brand.default_locale,
        locales: brand.locales,
        default_currency: brand.default_currency,
        currencies: brand.currencies,
        time_zone: brand.time_zone,
        tokens: tokens.values.into_iter().collect(),
        logo: tokens.logo,
        support_email: brand.support_email,
        sender_email: brand.sender_email,
        tagline: brand.tagline,
        grace_days: brand.grace_days,
        terminate_after_days: brand.terminate_after_days,
        renewal_lead_hours: brand.renewal_lead_hours,
        tax_rate_bp: brand.tax_rate_bp,
        tax_name: brand.tax_name,
        affiliate_rate_bp: brand.affiliate_rate_bp,
        affiliate_hold_days: brand.affiliate_hold_days,
        reminder_hours: brand.reminder_hours,
        published: brand.published,
    }
}

fn entity(entity: LegalEntity) -> EntityDraft {
    EntityDraft {
        name: entity.name,
        address_lines: entity.address_lines,
        country: entity.country,
        tax_id: entity.tax_id,
        time_zone: entity.time_zone,
        invoice_series: entity.invoice_series,
        email: entity.email,
        tax: entity.tax.map(super::tax::settings),
    }
}

pub(super) fn content(version: &PlanVersion) -> ContentDraft {
    let mapping = version.mapping.clone().unwrap_or_default();
    ContentDraft {
        name: version.name.clone(),
        summary: version.summary.clone(),
        features: version.features.clone(),
        connections: version.connections,
        mapping: PanelMapping {
            pool: mapping.pool,
            bouquet_ids: mapping.bouquet_ids,
            package_id: mapping.package_id,
            outputs: mapping.outputs,
            region: mapping.region,
        },
        trial_days: version.trial_days,
        anchor_day: version.anchor_day,
        changes: version.changes.as_ref().map(changes).unwrap_or_default(),
        pause_days_max: version.pause_days_max,
        addon: version.addon.as_ref().map(|addon| addon.plans.clone()),
        late_renewal: match version.late_renewal() {
            LateRenewal::Unspecified => None,
            LateRenewal::FromOldEnd => Some(KernelLate::FromOldEnd),
            LateRenewal::FromPayment => Some(KernelLate::FromPayment),
        },
        tax_category: version.tax_category.clone(),
    }
}

fn changes(sent: &ChangePolicy) -> ChangesDraft {
    let timing = |timing: ChangeTiming| match timing {
        ChangeTiming::Unspecified => None,
        ChangeTiming::ProrateNow => Some(KernelTiming::ProrateNow),
        ChangeTiming::FullPriceReset => Some(KernelTiming::FullPriceReset),
        ChangeTiming::AtRenewal => Some(KernelTiming::AtRenewal),
    };
    ChangesDraft { upgrade: timing(sent.upgrade()), downgrade: timing(sent.downgrade()), term: timing(sent.term()) }
}

pub(super) fn price(price: Price) -> PriceDraft {
    let amount = price.amount.unwrap_or_default();
    let term = price.term.unwrap_or_default();
    PriceDraft {
        currency: amount.currency,
        amount_minor: amount.minor,
        setup_fee: price.setup_fee.map(|fee| (fee.currency, fee.minor)),
        term_count: term.count,
        term_unit: unit(&term),
        once: price.once,
    }
}

/// From when and until when.
pub(super) fn window(sale: SaleWindow) -> Result<Window, Problem> {
    Ok(Window { from: optional_instant("sale.from", sale.from)?, until: optional_instant("sale.until", sale.until)? })
}

pub(super) fn option(option: PlanOption) -> OptionDraft {
    let effect = match option.effect() {
        plan_option::Effect::Unspecified => None,
        plan_option::Effect::None => Some(OptionEffect::None),
        plan_option::Effect::Connections => Some(OptionEffect::Connections),
    };
    let priced = |one: OptionPrice| {
        price(Price { term: one.term, amount: one.amount, setup_fee: one.setup_fee, ..Price::default() })
    };
    OptionDraft {
        effect,
        key: option.key,
        name: option.name,
        min: option.min,
        max: option.max,
        step: option.step,
        included: option.included,
        prices: option.prices.into_iter().map(priced).collect(),
    }
}

fn unit(term: &Term) -> Option<KernelUnit> {
    match term.unit() {
        TermUnit::Unspecified => None,
        TermUnit::Day => Some(KernelUnit::Day),
        TermUnit::Week => Some(KernelUnit::Week),
        TermUnit::Month => Some(KernelUnit::Month),
        TermUnit::Year => Some(KernelUnit::Year),
    }
}

pub(super) fn plan_state(state: plan::State) -> Result<PlanState, Problem> {
    match state {
        plan::State::Unspecified => Err(Problem::invalid("state", "MISSING", "choose draft, on_sale or archived")),
        plan::State::Draft => Ok(PlanState::Draft),
        plan::State::OnSale => Ok(PlanState::OnSale),
        plan::State::Archived => Ok(PlanState::Archived),
    }
}

pub(super) fn coupon(given: Coupon) -> Result<CouponDraft, Problem> {
    let kind = match given.kind() {
        coupon::Kind::Unspecified => None,
        coupon::Kind::Percent => Some(Kind::Percent),
        coupon::Kind::Fixed => Some(Kind::Fixed),
        coupon::Kind::Price => Some(Kind::Price),
        coupon::Kind::FreeSetup => Some(Kind::FreeSetup),
    };
    let duration = match given.duration() {
        coupon::Duration::Unspecified => None,
        coupon::Duration::Once => Some(DurationKind::Once),
        coupon::Duration::Periods => Some(DurationKind::Periods),
        coupon::Duration::Forever => Some(DurationKind::Forever),
    };
    let occasion = match given.occasion() {
        coupon::Occasion::Unspecified => None,
        coupon::Occasion::Orders => Some(Occasion::Orders),
        coupon::Occasion::Upgrades => Some(Occasion::Upgrades),
        coupon::Occasion::Both => Some(Occasion::Both),
    };
    Ok(CouponDraft {
        kind,
        duration,
        occasion,
        starts_at: optional_instant("starts_at", given.starts_at)?,
        ends_at: optional_instant("ends_at", given.ends_at)?,
        plan_ids: given.plan_ids.iter().map(|text| id("plan_ids", text)).collect::<Result<_, _>>()?,
        terms: given.terms.iter().map(|term| (term.count, unit(term))).collect(),
        amounts: given.amounts.into_iter().map(|amount| (amount.currency, amount.minor)).collect(),
        code: given.code,
        name: given.name,
        percent_bp: given.percent_bp,
        periods: given.periods,
        new_customers_only: given.new_customers_only,
        uses_max: given.uses_max,
        uses_per_customer_max: given.uses_per_customer_max,
    })
}

pub(super) fn coupon_state(state: coupon::State) -> Result<CouponState, Problem> {
    match state {
        coupon::State::Unspecified => Err(Problem::invalid("state", "MISSING", "choose enabled or archived")),
        coupon::State::Enabled => Ok(CouponState::Enabled),
        coupon::State::Archived => Ok(CouponState::Archived),
    }
}
