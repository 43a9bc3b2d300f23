//! Contract to documents: what is there, in the words of who declares it.

use ottery_kernel::{Currency, Money};
use ottery_proto::catalog::v1::{Brand, Plan, Price, TermUnit, plan};
use ottery_proto::common::v1;
use ottery_proto::provisioning::v1::Panel;

use crate::types::{
    BrandSpec, EntitySpec, MappingSpec, PanelSpec, PlanSpec, PriceSpec, SaleState, SecretSource, TermSpec,
    TermUnit as Unit,
};

/// Without its payment accounts, which are not the catalog's.
pub(super) fn brand(stored: Brand) -> BrandSpec {
    let entity = stored.entity.unwrap_or_default();
    let tokens = stored.tokens.unwrap_or_default();
    BrandSpec {
        name: stored.name,
        tagline: stored.tagline,
        hosts: stored.hosts,
        entity: EntitySpec {
            name: entity.name,
            address_lines: entity.address_lines,
            country: entity.country,
            tax_id: entity.tax_id,
            time_zone: entity.time_zone,
            invoice_series: entity.invoice_series,
            email: entity.email,
        },
        locales: first(stored.locales, &stored.default_locale),
        currencies: first(stored.currencies, &stored.default_currency),
        time_zone: stored.time_zone,
        support_email: stored.support_email,
        sender_email: stored.sender_email,
        tokens: tokens.values.into_iter().collect(),
        logo: tokens.logo,
        grace_days: stored.grace_days,
        terminate_after_days: stored.terminate_after_days,
        renewal_lead_hours: stored.renewal_lead_hours,
        reminder_hours: stored.reminder_hours,
        tax_rate_bp: stored.tax_rate_bp,
        tax_name: stored.tax_name,
        affiliate_rate_bp: stored.affiliate_rate_bp,
        affiliate_hold_days: stored.affiliate_hold_days,
        published: stored.published,
        payments: Vec::new(),
    }
}

/// A document names its default by writing it first.
fn first(mut list: Vec<String>, default: &str) -> Vec<String> {
    if let Some(at) = list.iter().position(|one| one == default) {
        list[..=at].rotate_right(1);
    }
    list
}

pub(super) fn panel(stored: Panel) -> PanelSpec {
    PanelSpec {
        brand: String::new(),
        display_name: stored.name,
        driver: stored.driver,
        base_url: stored.base_url,
        player_url: stored.player_url,
        api_key_from: SecretSource::default(),
        region: stored.region,
        pool: stored.pool,
        capacity: stored.capacity,
        rate_per_second: stored.rate_per_second,
        concurrency: stored.concurrency,
        time_zone: stored.time_zone,
        enabled: stored.enabled,
        sandbox: stored.sandbox,
        sandbox_control_url: stored.sandbox_control_url,
    }
}

pub(super) fn plan(stored: Plan) -> PlanSpec {
    let state = match stored.state() {
        plan::State::OnSale => SaleState::OnSale,
        plan::State::Archived => SaleState::Archived,
        plan::State::Draft | plan::State::Unspecified => SaleState::Draft,
    };
    let content = stored.current.unwrap_or_default();
    let mapping = content.mapping.unwrap_or_default();
    PlanSpec {
        brand: String::new(),
        slug: stored.slug,
        state,
        position: stored.position,
        featured: stored.featured,
        name: content.name,
        summary: content.summary,
        features: content.features,
        connections: content.connections,
        trial_days: content.trial_days,
        mapping: MappingSpec {
            pool: mapping.pool,
            bouquet_ids: mapping.bouquet_ids,
            package_id: mapping.package_id,
            outputs: mapping.outputs,
            region: mapping.region,
        },
        prices: content.prices.into_iter().map(price).collect(),
    }
}

fn price(stored: Price) -> PriceSpec {
    let term = stored.term.unwrap_or_default();
    let unit = match term.unit() {
        TermUnit::Day => Unit::Day,
        TermUnit::Week => Unit::Week,
        TermUnit::Month | TermUnit::Unspecified => Unit::Month,
        TermUnit::Year => Unit::Year,
    };
    PriceSpec {
        amount: stored.amount.map(|amount| money(&amount)).unwrap_or_default(),
        setup_fee: stored.setup_fee.filter(|fee| fee.minor != 0).map(|fee| money(&fee)).unwrap_or_default(),
        term: TermSpec { count: term.count, unit },
    }
}

/// `9.99 EUR`
fn money(stored: &v1::Money) -> String {
    match stored.currency.parse::<Currency>() {
        Ok(currency) => Money { minor: stored.minor, currency }.to_string(),
        // A currency this version does not know: its minor units, rather than a wrong point.
        Err(_) => format!("{} (minor) {}", stored.minor, stored.currency),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_comes_first() {
        let list = ["en", "de", "fr"].map(str::to_owned).to_vec();
        assert_eq!(first(list.clone(), "fr"), ["fr", "en", "de"]);
        assert_eq!(first(list.clone(), "en"), list);
    }

    #[test]
    fn what_a_document_said_is_read_back_as_it_was_said() {
        let text = crate::DEMO.replace("${", "http://demo.example/");
        for document in super::super::parse("demo", &text).unwrap() {
            if let super::super::Content::Plan(declared) = document.content {
                let content = super::super::convert::content(&declared.spec).unwrap();
                let stored = Plan { current: Some(content), ..Plan::default() };
                let read = plan(stored);
                assert_eq!((read.prices, read.mapping), (declared.spec.prices, declared.spec.mapping));
            }
        }
    }
}
