//! Contract to what the domain checks.

use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use ottery_kernel::{ChangeTiming as KernelTiming, LateRenewal as KernelLate, TermUnit as KernelUnit};
use ottery_kit::grpc::Problem;
use ottery_proto::catalog::v1::{
    Brand, ChangePolicy, ChangeTiming, LateRenewal, LegalEntity, PlanVersion, Price, TermUnit, plan,
};

use crate::domain::PlanState;
use crate::domain::brand::{BrandDraft, EntityDraft};
use crate::domain::plan::{ChangesDraft, ContentDraft, PanelMapping, PriceDraft};

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
        late_renewal: match version.late_renewal() {
            LateRenewal::Unspecified => None,
            LateRenewal::FromOldEnd => Some(KernelLate::FromOldEnd),
            LateRenewal::FromPayment => Some(KernelLate::FromPayment),
        },
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
    let term_unit = match term.unit() {
        TermUnit::Unspecified => None,
        TermUnit::Day => Some(KernelUnit::Day),
        TermUnit::Week => Some(KernelUnit::Week),
        TermUnit::Month => Some(KernelUnit::Month),
        TermUnit::Year => Some(KernelUnit::Year),
    };
    PriceDraft {
        currency: amount.currency,
        amount_minor: amount.minor,
        setup_fee: price.setup_fee.map(|fee| (fee.currency, fee.minor)),
        term_count: term.count,
        term_unit,
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
