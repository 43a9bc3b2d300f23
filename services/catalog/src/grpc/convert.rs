//! Domain to contract.

use chrono::{DateTime, Utc};
use ottery_kernel::{AnchorRule, ChangeTiming as KernelTiming, LateRenewal as KernelLate, TermUnit as KernelUnit};
use ottery_proto::catalog::v1::{
    AddOn, Brand, ChangePolicy, ChangeTiming, Coupon, DesignTokens, LateRenewal, LegalEntity, OptionPrice,
    PanelMapping, Plan, PlanOption, PlanOptions, PlanVersion, Price, SaleWindow, Saving, Stock, Term, TermUnit,
    TestClock, coupon, plan, plan_option, test_clock,
};
use ottery_proto::common::v1::Money;

use crate::domain;
use crate::domain::coupon::{Benefit, Duration, Occasion};
use crate::domain::option::OptionEffect;
use crate::store::brand::StoredBrand;

pub(crate) fn instant(at: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}

fn money(money: ottery_kernel::Money) -> Money {
    Money { currency: money.currency.code().to_owned(), minor: money.minor }
}

pub(crate) fn clock(clock: &domain::TestClock) -> TestClock {
    let (state, waiting_for) = match clock {
        domain::TestClock::Off => (test_clock::State::Off, String::new()),
        domain::TestClock::Ready(_) => (test_clock::State::Ready, String::new()),
        domain::TestClock::Advancing { waiting_for, .. } => (test_clock::State::Advancing, waiting_for.clone()),
    };
    TestClock { state: state.into(), now: clock.now().map(instant), waiting_for }
}

pub(crate) fn brand(stored: &StoredBrand) -> Brand {
    let brand = &stored.brand;
    let entity = &brand.entity;
    Brand {
        id: stored.id.to_string(),
        slug: brand.slug.to_string(),
        name: brand.name.clone(),
        hosts: brand.hosts.clone(),
        entity: Some(LegalEntity {
            id: entity.id.to_string(),
            name: entity.name.clone(),
            address_lines: entity.address_lines.clone(),
            country: entity.country.clone(),
            tax_id: entity.tax_id.clone(),
            time_zone: entity.time_zone.name().to_owned(),
            invoice_series: entity.invoice_series.clone(),
            email: entity.email.clone(),
            tax: Some(super::tax::to_settings(entity.tax)),
        }),
        default_locale: brand.default_locale.to_string(),
        locales: brand.locales.iter().map(ToString::to_string).collect(),
        default_currency: brand.default_currency.to_string(),
        currencies: brand.currencies.iter().map(ToString::to_string).collect(),
        time_zone: brand.time_zone.name().to_owned(),
        tokens: Some(DesignTokens {
            schema: domain::tokens::SCHEMA,
            values: brand.tokens.values.clone().into_iter().collect(),
            logo: brand.tokens.logo.clone(),
        }),
        support_email: brand.support_email.clone(),
        sender_email: brand.sender_email.clone(),
        tagline: brand.tagline.clone(),
        grace_days: brand.grace_days,
        terminate_after_days: brand.terminate_after_days,
        renewal_lead_hours: brand.renewal_lead_hours,
        tax_rate_bp: brand.tax_rate_bp,
        tax_name: brand.tax_name.clone(),
        test_clock: Some(clock(&stored.clock)),
        version: stored.version.cast_unsigned(),
        updated_at: Some(instant(stored.updated_at)),
        affiliate_rate_bp: brand.affiliate_rate_bp,
        affiliate_hold_days: brand.affiliate_hold_days,
        reminder_hours: brand.reminder_hours.clone(),
        published: brand.published,
    }
}

pub(crate) use super::tax::table as tax_table;

pub(crate) fn term(term: ottery_kernel::Term) -> Term {
    let unit = match term.unit() {
        KernelUnit::Day => TermUnit::Day,
        KernelUnit::Week => TermUnit::Week,
        KernelUnit::Month => TermUnit::Month,
        KernelUnit::Year => TermUnit::Year,
    };
    Term { count: term.count().into(), unit: unit.into() }
}

pub(crate) fn price(price: &domain::Price) -> Price {
    Price {
        id: price.id.to_string(),
        term: Some(term(price.term)),
        amount: Some(money(price.amount)),
        setup_fee: Some(money(price.setup_fee)),
        once: price.once,
        saving: None,
    }
}

/// A price among those it is sold beside.
fn compared(one: &domain::Price, all: &[domain::Price]) -> Price {
    let saving = domain::saving::saving(one, all).map(|saving| Saving {
        against: Some(term(saving.against)),
        amount: Some(money(saving.amount)),
        share_bp: saving.share_bp,
    });
    Price { saving, ..price(one) }
}

pub(crate) fn version(version: &domain::PlanVersion) -> PlanVersion {
    let content = &version.content;
    PlanVersion {
        id: version.id.to_string(),
        plan_id: version.plan_id.to_string(),
        number: version.number,
        name: content.name.clone(),
        summary: content.summary.clone(),
        features: content.features.clone(),
        connections: content.connections,
        prices: version.prices.iter().map(|price| compared(price, &version.prices)).collect(),
        mapping: Some(PanelMapping {
            pool: content.mapping.pool.clone(),
            bouquet_ids: content.mapping.bouquet_ids.clone(),
            package_id: content.mapping.package_id,
            outputs: content.mapping.outputs.clone(),
            region: content.mapping.region.clone(),
        }),
        trial_days: content.trial_days,
        published_at: Some(instant(version.published_at)),
        anchor_day: Some(match content.anchor {
            AnchorRule::Anniversary => 0,
            AnchorRule::Day(day) => day.get(),
        }),
        changes: Some(changes(content.changes)),
        pause_days_max: Some(content.pause_days_max),
        late_renewal: match content.late_renewal {
            KernelLate::FromOldEnd => LateRenewal::FromOldEnd.into(),
            KernelLate::FromPayment => LateRenewal::FromPayment.into(),
        },
        tax_category: Some(content.tax_category.clone()),
        options: Some(PlanOptions { items: content.options.iter().map(option).collect() }),
        addon: content.addon.as_ref().map(addon),
    }
}

fn addon(rule: &domain::addon::AddOnRule) -> AddOn {
    AddOn { plans: rule.plans.iter().map(ToString::to_string).collect() }
}

fn option(option: &domain::option::PlanOption) -> PlanOption {
    let price = |price: &domain::option::OptionPrice| OptionPrice {
        term: Some(term(price.term)),
        amount: Some(money(price.amount)),
        setup_fee: Some(money(price.setup_fee)),
    };
    PlanOption {
        key: option.key.to_string(),
        name: option.name.clone(),
        effect: match option.effect {
            OptionEffect::None => plan_option::Effect::None.into(),
            OptionEffect::Connections => plan_option::Effect::Connections.into(),
        },
        min: option.min,
        max: option.max,
        step: option.step,
        included: option.included,
        prices: option.prices.iter().map(price).collect(),
    }
}

fn changes(policy: ottery_kernel::ChangePolicy) -> ChangePolicy {
    let timing = |timing| match timing {
        KernelTiming::ProrateNow => ChangeTiming::ProrateNow.into(),
        KernelTiming::FullPriceReset => ChangeTiming::FullPriceReset.into(),
        KernelTiming::AtRenewal => ChangeTiming::AtRenewal.into(),
    };
    ChangePolicy { upgrade: timing(policy.upgrade), downgrade: timing(policy.downgrade), term: timing(policy.term) }
}

pub(crate) fn plan(plan: &domain::Plan) -> Plan {
    let state = match plan.state {
        domain::PlanState::Draft => plan::State::Draft,
        domain::PlanState::OnSale => plan::State::OnSale,
        domain::PlanState::Archived => plan::State::Archived,
    };
    Plan {
        id: plan.id.to_string(),
        brand_id: plan.brand.to_string(),
        slug: plan.slug.to_string(),
        state: state.into(),
        current: Some(version(&plan.current)),
        position: plan.position,
        featured: plan.featured,
        version: plan.version.cast_unsigned(),
        stock: Some(Stock { count: plan.sale.stock }),
        sale: Some(SaleWindow { from: plan.sale.from.map(instant), until: plan.sale.until.map(instant) }),
    }
}

pub(crate) fn coupon(given: &domain::Coupon) -> Coupon {
    let content = &given.content;
    let (kind, percent_bp, amounts) = match &content.benefit {
        Benefit::Percent { bp } => (coupon::Kind::Percent, *bp, [].as_slice()),
        Benefit::Fixed { amounts } => (coupon::Kind::Fixed, 0, amounts.as_slice()),
        Benefit::Price { amounts } => (coupon::Kind::Price, 0, amounts.as_slice()),
        Benefit::FreeSetup => (coupon::Kind::FreeSetup, 0, [].as_slice()),
    };
    let (duration, periods) = match content.duration {
        Duration::Once => (coupon::Duration::Once, 0),
        Duration::Periods { count } => (coupon::Duration::Periods, count),
        Duration::Forever => (coupon::Duration::Forever, 0),
    };
    let occasion = match content.occasion {
        Occasion::Orders => coupon::Occasion::Orders,
        Occasion::Upgrades => coupon::Occasion::Upgrades,
        Occasion::Both => coupon::Occasion::Both,
    };
    let state = match given.state {
        domain::CouponState::Enabled => coupon::State::Enabled,
        domain::CouponState::Archived => coupon::State::Archived,
    };
    Coupon {
        id: given.id.to_string(),
        brand_id: given.brand.to_string(),
        code: given.code.to_string(),
        name: content.name.clone(),
        kind: kind.into(),
        percent_bp,
        amounts: amounts.iter().copied().map(money).collect(),
        duration: duration.into(),
        periods,
        plan_ids: content.plan_ids.iter().map(ToString::to_string).collect(),
        terms: content.terms.iter().copied().map(term).collect(),
        new_customers_only: content.new_customers_only,
        occasion: occasion.into(),
        starts_at: content.starts_at.map(instant),
        ends_at: content.ends_at.map(instant),
        uses_max: content.uses_max.unwrap_or(0),
        uses_per_customer_max: content.uses_per_customer_max.unwrap_or(0),
        state: state.into(),
        version: given.version.cast_unsigned(),
        created_at: Some(instant(given.created_at)),
    }
}
