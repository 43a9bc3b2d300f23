//! Taxes, both ways.

use ottery_proto::catalog::v1::tax_settings::{Elsewhere, Pricing, Rounding};
use ottery_proto::catalog::v1::{TaxRule, TaxSettings, TaxTable, tax_rule};

use super::convert::instant;
use crate::domain::tax as domain;
use crate::store::tax::StoredTable;

pub(super) fn settings(sent: TaxSettings) -> domain::TaxSettings {
    domain::TaxSettings {
        pricing: match sent.pricing() {
            Pricing::Unspecified | Pricing::Inclusive => domain::Pricing::Inclusive,
            Pricing::Exclusive => domain::Pricing::Exclusive,
        },
        rounding: match sent.rounding() {
            Rounding::Unspecified | Rounding::Line => domain::TaxRounding::Line,
            Rounding::Total => domain::TaxRounding::Total,
        },
        elsewhere: match sent.elsewhere() {
            Elsewhere::Unspecified | Elsewhere::HomeRate => domain::Elsewhere::HomeRate,
            Elsewhere::Untaxed => domain::Elsewhere::Untaxed,
        },
        vat_wait_hours: sent.vat_wait_hours,
    }
}

pub(super) fn to_settings(settings: domain::TaxSettings) -> TaxSettings {
    TaxSettings {
        pricing: match settings.pricing {
            domain::Pricing::Inclusive => Pricing::Inclusive.into(),
            domain::Pricing::Exclusive => Pricing::Exclusive.into(),
        },
        rounding: match settings.rounding {
            domain::TaxRounding::Line => Rounding::Line.into(),
            domain::TaxRounding::Total => Rounding::Total.into(),
        },
        elsewhere: match settings.elsewhere {
            domain::Elsewhere::HomeRate => Elsewhere::HomeRate.into(),
            domain::Elsewhere::Untaxed => Elsewhere::Untaxed.into(),
        },
        vat_wait_hours: settings.vat_wait_hours,
    }
}

pub(super) fn rule(sent: TaxRule) -> domain::RuleDraft {
    let levy = match sent.levy() {
        tax_rule::Levy::Unspecified => None,
        tax_rule::Levy::Rate => Some(domain::Levy::Rate),
        tax_rule::Levy::Exempt => Some(domain::Levy::Exempt),
        tax_rule::Levy::OutOfScope => Some(domain::Levy::OutOfScope),
    };
    domain::RuleDraft {
        country: sent.country,
        region: sent.region,
        postal_prefix: sent.postal_prefix,
        category: sent.category,
        rate_bp: sent.rate_bp,
        name: sent.name,
        levy,
        reason: sent.reason,
        reverse_charge: sent.reverse_charge,
        valid_from: sent.valid_from,
        valid_until: sent.valid_until,
    }
}

fn to_rule(rule: &domain::Rule) -> TaxRule {
    let levy = match rule.levy {
        domain::Levy::Rate => tax_rule::Levy::Rate,
        domain::Levy::Exempt => tax_rule::Levy::Exempt,
        domain::Levy::OutOfScope => tax_rule::Levy::OutOfScope,
    };
    let day = |day: Option<chrono::NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
    TaxRule {
        country: rule.country.clone(),
        region: rule.region.clone(),
        postal_prefix: rule.postal_prefix.clone(),
        category: rule.category.clone(),
        rate_bp: rule.rate_bp,
        name: rule.name.clone(),
        levy: levy.into(),
        reason: rule.reason.clone(),
        reverse_charge: rule.reverse_charge,
        valid_from: day(rule.valid_from),
        valid_until: day(rule.valid_until),
    }
}

pub(crate) fn table(table: &StoredTable) -> TaxTable {
    TaxTable {
        brand_id: table.brand.to_string(),
        rules: table.rules.iter().map(to_rule).collect(),
        version: table.version.cast_unsigned(),
        updated_at: table.updated_at.map(instant),
    }
}
