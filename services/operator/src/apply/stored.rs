//! Contract to documents: what is there, in the words of who declares it.

use chrono::{DateTime, SecondsFormat};
use ottery_kernel::{Currency, Money};
use ottery_proto::catalog::v1::{
    Brand, ChangeTiming, LateRenewal, OptionPrice, Plan, PlanOption, Price, Term, TermUnit, plan, plan_option,
};
use ottery_proto::common::v1;
use ottery_proto::provisioning::v1::Panel;
use prost_types::Timestamp;

use crate::types::{
    AddOnSpec, BrandSpec, ChangeTiming as Timing, ChangesSpec, EntitySpec, LateRenewal as Late, MappingSpec,
    OptionEffect, OptionPriceSpec, OptionSpec, PanelSpec, PlanSpec, PriceSpec, SaleState, SecretSource, TermSpec,
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
    let late_renewal = match content.late_renewal() {
        LateRenewal::FromPayment => Late::FromPayment,
        LateRenewal::FromOldEnd | LateRenewal::Unspecified => Late::FromOldEnd,
    };
    let mapping = content.mapping.unwrap_or_default();
    let sale = stored.sale.unwrap_or_default();
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
        anchor_day: content.anchor_day.unwrap_or_default(),
        changes: content.changes.as_ref().map(changes).unwrap_or_default(),
        pause_days_max: content.pause_days_max.unwrap_or_default(),
        tax_category: content.tax_category.unwrap_or_default(),
        late_renewal,
        options: content.options.unwrap_or_default().items.into_iter().map(option).collect(),
        add_on: content.addon.map(|addon| AddOnSpec { plans: addon.plans }),
        stock: stored.stock.and_then(|stock| stock.count),
        sale_from: instant(sale.from),
        sale_until: instant(sale.until),
        // An announcement is an act; what is there afterwards are prices of subscriptions.
        price_change: None,
    }
}

fn changes(stored: &ottery_proto::catalog::v1::ChangePolicy) -> ChangesSpec {
    let usual = ChangesSpec::default();
    let timing = |stored: ChangeTiming, usual: Timing| match stored {
        ChangeTiming::Unspecified => usual,
        ChangeTiming::ProrateNow => Timing::ProrateNow,
        ChangeTiming::FullPriceReset => Timing::FullPriceReset,
        ChangeTiming::AtRenewal => Timing::AtRenewal,
    };
    ChangesSpec {
        upgrade: timing(stored.upgrade(), usual.upgrade),
        downgrade: timing(stored.downgrade(), usual.downgrade),
        term: timing(stored.term(), usual.term),
    }
}

fn option(stored: PlanOption) -> OptionSpec {
    let effect = match stored.effect() {
        plan_option::Effect::Connections => OptionEffect::Connections,
        plan_option::Effect::None | plan_option::Effect::Unspecified => OptionEffect::None,
    };
    let price = |price: OptionPrice| OptionPriceSpec {
        amount: price.amount.map(|amount| money(&amount)).unwrap_or_default(),
        setup_fee: fee(price.setup_fee),
        term: term(price.term.unwrap_or_default()),
    };
    OptionSpec {
        effect,
        key: stored.key,
        name: stored.name,
        min: stored.min,
        max: stored.max,
        step: stored.step,
        included: stored.included,
        prices: stored.prices.into_iter().map(price).collect(),
    }
}

fn price(stored: Price) -> PriceSpec {
    PriceSpec {
        amount: stored.amount.map(|amount| money(&amount)).unwrap_or_default(),
        setup_fee: fee(stored.setup_fee),
        term: term(stored.term.unwrap_or_default()),
        once: stored.once,
    }
}

fn fee(stored: Option<v1::Money>) -> String {
    stored.filter(|fee| fee.minor != 0).map(|fee| money(&fee)).unwrap_or_default()
}

fn term(stored: Term) -> TermSpec {
    let unit = match stored.unit() {
        TermUnit::Day => Unit::Day,
        TermUnit::Week => Unit::Week,
        TermUnit::Month | TermUnit::Unspecified => Unit::Month,
        TermUnit::Year => Unit::Year,
    };
    TermSpec { count: stored.count, unit }
}

/// `2027-01-31T12:00:00Z`; empty for none.
fn instant(stored: Option<Timestamp>) -> String {
    let at = stored.and_then(|at| DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?));
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true)).unwrap_or_default()
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

    #[test]
    fn everything_a_plan_can_say_is_read_back_as_it_was_said() {
        let text = "apiVersion: ottery.dev/v1alpha1
kind: Plan
metadata: {name: family}
spec:
  brand: nord
  state: OnSale
  position: 2
  featured: true
  name: Family
  summary: For everybody
  features: [All channels]
  connections: 2
  trialDays: 3
  mapping: {pool: main, bouquetIds: [1], packageId: 7, outputs: [hls], region: eu}
  prices:
    - {amount: 9.99 EUR, setupFee: 5.00 EUR, term: {count: 1, unit: Month}}
    - {amount: 2.50 EUR, term: {count: 7, unit: Day}, once: true}
  anchorDay: 15
  changes: {upgrade: FullPriceReset, downgrade: ProrateNow, term: AtRenewal}
  pauseDaysMax: 30
  taxCategory: press
  lateRenewal: FromPayment
  options:
    - key: streams
      name: Streams at a time
      effect: Connections
      min: 2
      max: 6
      step: 2
      included: 2
      prices:
        - {amount: 3.00 EUR, setupFee: 1.00 EUR, term: {count: 1, unit: Month}}
        - {amount: 1.00 EUR, term: {count: 7, unit: Day}}
  addOn: {plans: [solo, family]}
  stock: 100
  saleFrom: 2027-01-01T00:00:00Z
  saleUntil: 2027-02-01T00:00:00Z
";
        let documents = super::super::parse("plan", text).unwrap();
        let super::super::Content::Plan(declared) = &documents[0].content else { panic!("a plan") };
        let request = super::super::convert::plan("family", &declared.spec).unwrap();
        let stored = Plan {
            slug: request.slug.clone(),
            state: request.state,
            position: request.position,
            featured: request.featured,
            current: request.content.clone(),
            stock: request.stock,
            sale: request.sale,
            ..Plan::default()
        };
        let wanted = PlanSpec { brand: String::new(), slug: "family".into(), ..declared.spec.clone() };
        assert_eq!(plan(stored), wanted);
    }
}
