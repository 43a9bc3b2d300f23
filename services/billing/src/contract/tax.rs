//! Taxes as the catalogue tells them.

use ottery_proto::catalog::v1::tax_rule;
use ottery_proto::catalog::v1::tax_settings as sent;
use ottery_proto::catalog::v1::{TaxRule, TaxSettings};

use crate::domain::tax::{Elsewhere, Levy, Pricing, Round, Rule, Settings};

/// How an entity taxes.
#[must_use]
pub fn settings_from(told: &TaxSettings) -> Settings {
    Settings {
        pricing: match told.pricing() {
            sent::Pricing::Unspecified | sent::Pricing::Inclusive => Pricing::Inclusive,
            sent::Pricing::Exclusive => Pricing::Exclusive,
        },
        round: match told.rounding() {
            sent::Rounding::Unspecified | sent::Rounding::Line => Round::Line,
            sent::Rounding::Total => Round::Total,
        },
        elsewhere: match told.elsewhere() {
            sent::Elsewhere::Unspecified | sent::Elsewhere::HomeRate => Elsewhere::HomeRate,
            sent::Elsewhere::Untaxed => Elsewhere::Untaxed,
        },
        vat_wait_hours: told.vat_wait_hours,
    }
}

/// As told.
#[must_use]
pub fn settings(settings: Settings) -> TaxSettings {
    TaxSettings {
        pricing: match settings.pricing {
            Pricing::Inclusive => sent::Pricing::Inclusive.into(),
            Pricing::Exclusive => sent::Pricing::Exclusive.into(),
        },
        rounding: match settings.round {
            Round::Line => sent::Rounding::Line.into(),
            Round::Total => sent::Rounding::Total.into(),
        },
        elsewhere: match settings.elsewhere {
            Elsewhere::HomeRate => sent::Elsewhere::HomeRate.into(),
            Elsewhere::Untaxed => sent::Elsewhere::Untaxed.into(),
        },
        vat_wait_hours: settings.vat_wait_hours,
    }
}

/// A rule.
///
/// # Errors
/// When a day is none; a working catalogue never sends such a one.
pub fn rule_from(told: &TaxRule) -> anyhow::Result<Rule> {
    let reason = || told.reason.clone();
    let day = |text: &str| if text.is_empty() { Ok(None) } else { text.parse().map(Some) };
    Ok(Rule {
        country: told.country.clone(),
        region: told.region.clone(),
        postal_prefix: told.postal_prefix.clone(),
        category: told.category.clone(),
        rate_bp: told.rate_bp,
        name: told.name.clone(),
        levy: match told.levy() {
            tax_rule::Levy::Unspecified | tax_rule::Levy::Rate => Levy::Rate,
            tax_rule::Levy::Exempt => Levy::Exempt { reason: reason() },
            tax_rule::Levy::OutOfScope => Levy::OutOfScope { reason: reason() },
        },
        reverse_charge: told.reverse_charge,
        from: day(&told.valid_from)?,
        until: day(&told.valid_until)?,
    })
}
