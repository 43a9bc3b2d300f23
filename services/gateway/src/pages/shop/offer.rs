//! Plans as the storefront shows them: in one currency and term, with what a longer term saves.

use std::collections::BTreeMap;

use crate::brand::Brand;
use crate::pages::block::Link;
use crate::pages::options;
use crate::pages::text::{self, Manner};
use ottery_kernel::{Currency, Money, Rounding};
use ottery_proto::catalog::v1::tax_settings::Pricing;
use ottery_proto::catalog::v1::{LateRenewal, Plan, PlanVersion, Price, Term};

/// Basis points in a whole.
const WHOLE_BP: i64 = 10_000;

/// The tax at home, and whether prices contain it: the seller's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HomeTax {
    /// As invoices call it.
    pub name: String,
    /// Basis points.
    pub rate_bp: u32,
    /// It comes on top of prices.
    pub is_added: bool,
}

impl HomeTax {
    /// What the brand's legal entity says.
    #[must_use]
    pub fn of(brand: &Brand) -> Self {
        let settings = brand.entity.as_ref().and_then(|entity| entity.tax).unwrap_or_default();
        let name = if brand.tax_name.is_empty() { "tax" } else { &brand.tax_name };
        Self { name: name.to_owned(), rate_bp: brand.tax_rate_bp, is_added: settings.pricing() == Pricing::Exclusive }
    }

    /// `19% VAT`
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {}", text::percent(self.rate_bp), self.name)
    }

    /// What stands beside a price; empty where there is no tax at home.
    fn beside(&self, price: Option<&ottery_proto::common::v1::Money>, manner: &Manner) -> String {
        let Some(price) = price.filter(|_| self.rate_bp > 0) else { return String::new() };
        if !self.is_added {
            return format!("including {}", self.label());
        }
        let with_tax = price.currency.parse::<Currency>().ok().and_then(|currency| {
            let net = Money::new(price.minor, currency);
            let tax = net.mul_ratio(self.rate_bp, WHOLE_BP, Rounding::HalfUp).ok()?;
            net.checked_add(tax).ok()
        });
        let gross = with_tax.map(|money| ottery_proto::common::v1::Money { minor: money.minor, ..price.clone() });
        match gross {
            Some(gross) => format!("plus {}: {} in all", self.label(), manner.money(Some(&gross))),
            None => format!("plus {}", self.label()),
        }
    }
}

/// What the visitor chose to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// ISO code.
    pub currency: String,
    /// Short name of a term.
    pub term: String,
}

/// A price, ready to be shown.
#[derive(Clone, Debug, Default)]
pub struct PriceView {
    /// `pri_…`
    pub id: String,
    /// With currency.
    pub amount: String,
    /// `month`, `3 months`.
    pub per: String,
    /// `1 month`.
    pub length: String,
    /// What a month of it costs, when the term is longer.
    pub monthly: String,
    /// Whole percent saved against paying for the shortest term so often; 0 for none.
    pub saving: u32,
    /// What that is in money, and against what; empty for none.
    pub saves: String,
    /// A pass ends with its term.
    pub once: bool,
    /// The tax at home, contained or on top; empty where there is none.
    pub tax: String,
    /// One-time charge; empty for none.
    pub setup_fee: String,
    /// On which day of the month it renews, and what that means for the first payment; empty when it is the day it begins.
    pub renews: String,
    /// Where one buys it.
    pub buy: String,
    /// Where one tries it; empty when there is no trial.
    pub trial: String,
    /// Decimal amount for machines.
    pub decimal: String,
    /// ISO code.
    pub currency: String,
}

/// A plan, ready to be shown.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// Where its page is.
    pub href: String,
    /// Its name.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// What is in it.
    pub features: Vec<String>,
    /// Streams at the same time.
    pub connections: u32,
    /// `1 stream at a time`.
    pub streams: String,
    /// Recommended.
    pub is_featured: bool,
    /// Free days.
    pub trial_days: u32,
    /// The day of the month it renews on; 0 for the day it begins.
    pub anchor_day: u32,
    /// Whether a renewal paid after access was paused begins with the payment.
    pub is_late_from_payment: bool,
    /// The price in the chosen currency and term; none when it is not sold like that.
    pub price: Option<PriceView>,
    /// All prices in the chosen currency.
    pub prices: Vec<PriceView>,
    /// What can be bought by the unit, and what it costs for the usual term.
    pub options: Vec<String>,
}

/// Plans in one currency and term, and what else could be chosen.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// The plans.
    pub offers: Vec<Offer>,
    /// Terms to choose from.
    pub terms: Vec<Link>,
    /// Currencies to choose from.
    pub currencies: Vec<Link>,
    /// What is shown.
    #[cfg(test)]
    pub choice: Choice,
}

/// Prices as minor units per month, for comparing terms.
fn monthly(price: &Price) -> Option<(i64, u32)> {
    let months = text::months(price.term.as_ref()?)?;
    Some((price.amount.as_ref()?.minor, months))
}

fn view(price: &Price, version: &PlanVersion, home: &HomeTax, manner: &Manner) -> PriceView {
    let mut shown = PriceView {
        id: price.id.clone(),
        amount: manner.money(price.amount.as_ref()),
        tax: home.beside(price.amount.as_ref(), manner),
        per: text::per(price.term.as_ref()),
        length: text::length(price.term.as_ref()),
        buy: format!("/checkout?price={}", price.id),
        ..PriceView::default()
    };
    if let Some(amount) = &price.amount {
        let exponent = amount.currency.parse::<ottery_kernel::Currency>();
        shown.decimal =
            exponent.map(|currency| ottery_kernel::Money::new(amount.minor, currency).to_decimal()).unwrap_or_default();
        shown.currency.clone_from(&amount.currency);
    }
    // Days and weeks have no day of the month.
    let anchor_day = version.anchor_day.unwrap_or(0);
    if anchor_day > 0 && price.term.as_ref().is_some_and(|term| text::months(term).is_some()) {
        let day = text::day_of_month(anchor_day);
        shown.renews = format!("Renews on {day} of the month; the first payment is only for the time until then.");
    }
    if version.trial_days > 0 {
        shown.trial = format!("/checkout?price={}&trial=1", price.id);
    }
    if let Some(fee) = price.setup_fee.as_ref().filter(|fee| fee.minor > 0) {
        shown.setup_fee = manner.money(Some(fee));
    }
    if let Some((minor, months)) = monthly(price).filter(|(_, months)| *months > 1) {
        let currency = price.amount.as_ref().map(|amount| amount.currency.clone()).unwrap_or_default();
        let each =
            ottery_proto::common::v1::Money { minor: (minor + i64::from(months) / 2) / i64::from(months), currency };
        shown.monthly = manner.money(Some(&each));
    }
    if let Some(saving) = &price.saving {
        shown.saving = saving.share_bp / 100;
        shown.saves = format!(
            "{} less than paying every {}",
            manner.money(saving.amount.as_ref()),
            text::per(saving.against.as_ref())
        );
    }
    shown.once = price.once;
    shown
}

fn offer(plan: &Plan, choice: &Choice, home: &HomeTax, manner: &Manner) -> Option<Offer> {
    let version = plan.current.as_ref()?;
    let mut all: Vec<&Price> = version.prices.iter().filter(|price| currency_of(price) == choice.currency).collect();
    all.sort_by_key(|price| price.term.as_ref().map_or(0, text::days));
    let prices: Vec<PriceView> = all.iter().map(|price| view(price, version, home, manner)).collect();
    let chosen =
        all.iter().position(|price| price.term.as_ref().is_some_and(|term| text::term_key(term) == choice.term));
    Some(Offer {
        href: format!("/plans/{}", plan.slug),
        name: version.name.clone(),
        summary: version.summary.clone(),
        features: version.features.clone(),
        connections: version.connections,
        streams: format!("{} at a time", text::counted(u64::from(version.connections.max(1)), "stream")),
        is_featured: plan.featured,
        trial_days: version.trial_days,
        anchor_day: version.anchor_day.unwrap_or(0),
        is_late_from_payment: version.late_renewal() == LateRenewal::FromPayment,
        options: chosen
            .or(Some(0))
            .and_then(|at| all.get(at))
            .map(|price| options::described(version, price, manner))
            .unwrap_or_default(),
        price: chosen.and_then(|at| prices.get(at).cloned()),
        prices,
    })
}

fn currency_of(price: &Price) -> &str {
    price.amount.as_ref().map_or("", |amount| amount.currency.as_str())
}

/// The plans as asked for; what cannot be had falls back to what can.
#[must_use]
pub fn shelf(plans: &[Plan], asked: &Choice, default_currency: &str, home: &HomeTax, manner: &Manner) -> Shelf {
    let prices = || plans.iter().filter_map(|plan| plan.current.as_ref()).flat_map(|version| &version.prices);
    let mut currencies: Vec<&str> = Vec::new();
    for price in prices() {
        let code = currency_of(price);
        if !code.is_empty() && !currencies.contains(&code) {
            currencies.push(code);
        }
    }
    currencies.sort_unstable();
    let currency = [asked.currency.as_str(), default_currency]
        .into_iter()
        .find(|code| currencies.contains(code))
        .or_else(|| currencies.first().copied())
        .unwrap_or_default()
        .to_owned();
    let mut terms: BTreeMap<u32, &Term> = BTreeMap::new();
    for price in prices().filter(|price| currency_of(price) == currency) {
        if let Some(term) = &price.term {
            terms.entry(text::days(term)).or_insert(term);
        }
    }
    let usual = terms.values().find(|term| text::months(term) == Some(1)).or_else(|| terms.values().next());
    let term = terms
        .values()
        .find(|term| text::term_key(term) == asked.term)
        .or(usual)
        .map(|term| text::term_key(term))
        .unwrap_or_default();
    let choice = Choice { currency, term };
    let link = |label: String, currency: &str, term: &str, is_current| Link {
        label,
        href: format!("/plans?term={term}&currency={currency}"),
        is_current,
    };
    Shelf {
        offers: plans
            .iter()
            .filter_map(|plan| offer(plan, &choice, home, manner))
            .filter(|offer| !offer.prices.is_empty())
            .collect(),
        terms: terms
            .values()
            .map(|term| {
                let key = text::term_key(term);
                link(text::length(Some(term)), &choice.currency, &key, key == choice.term)
            })
            .collect(),
        currencies: currencies
            .iter()
            .map(|code| link((*code).to_owned(), code, &choice.term, *code == choice.currency))
            .collect(),
        #[cfg(test)]
        choice,
    }
}

#[cfg(test)]
mod tests {
    use ottery_proto::catalog::v1::{Saving, TermUnit, plan};
    use ottery_proto::common::v1::Money;

    use super::*;

    fn price(id: &str, count: u32, minor: i64, currency: &str) -> Price {
        Price {
            id: id.into(),
            term: Some(Term { count, unit: TermUnit::Month.into() }),
            amount: Some(Money { minor, currency: currency.into() }),
            ..Price::default()
        }
    }

    fn plans() -> Vec<Plan> {
        let prices =
            vec![price("pri_1", 1, 1000, "EUR"), price("pri_12", 12, 9000, "EUR"), price("pri_usd", 1, 1100, "USD")];
        let version =
            PlanVersion { name: "Basic".into(), connections: 1, prices, trial_days: 3, ..PlanVersion::default() };
        vec![Plan {
            slug: "basic".into(),
            state: plan::State::OnSale.into(),
            current: Some(version),
            ..Plan::default()
        }]
    }

    fn manner() -> Manner {
        Manner { locale: "en".into(), zone: chrono_tz::Tz::UTC, now: chrono::DateTime::UNIX_EPOCH }
    }

    #[test]
    fn a_longer_term_says_what_it_saves() {
        let mut plans = plans();
        let saving = Saving {
            against: Some(Term { count: 1, unit: TermUnit::Month.into() }),
            amount: Some(Money { minor: 3000, currency: "EUR".into() }),
            share_bp: 2599,
        };
        plans[0].current.as_mut().unwrap().prices[1].saving = Some(saving);
        let asked = Choice { currency: "EUR".into(), term: "12m".into() };
        let shelf = shelf(&plans, &asked, "EUR", &HomeTax::default(), &manner());
        let price = shelf.offers[0].price.clone().unwrap();
        assert_eq!(price.saves, "€30.00 less than paying every month");
        assert_eq!((price.saving, price.monthly.as_str(), price.amount.as_str()), (25, "€7.50", "€90.00"));
    }

    #[test]
    fn a_price_says_the_tax_at_home_as_the_seller_prices() {
        let home = |is_added, rate_bp| HomeTax { name: "VAT".into(), rate_bp, is_added };
        let beside = |home: &HomeTax, currency: &str| {
            let asked = Choice { currency: currency.into(), term: "1m".into() };
            shelf(&plans(), &asked, "EUR", home, &manner()).offers[0].price.clone().unwrap().tax
        };
        assert_eq!(beside(&home(true, 1900), "EUR"), "plus 19% VAT: €11.90 in all");
        assert_eq!(beside(&home(true, 770), "USD"), "plus 7.70% VAT: $11.85 in all");
        assert_eq!(beside(&home(false, 1900), "EUR"), "including 19% VAT");
        assert_eq!((beside(&home(true, 0), "EUR"), beside(&home(false, 0), "EUR")), (String::new(), String::new()));
    }

    #[test]
    fn a_plan_by_calendar_says_so_beside_its_price() {
        let mut plans = plans();
        plans[0].current.as_mut().unwrap().anchor_day = Some(1);
        let asked = Choice { currency: "EUR".into(), term: "1m".into() };
        let price = shelf(&plans, &asked, "EUR", &HomeTax::default(), &manner()).offers[0].price.clone().unwrap();
        assert_eq!(price.renews, "Renews on the 1st of the month; the first payment is only for the time until then.");
        plans[0].current.as_mut().unwrap().anchor_day = None;
        let shelf = shelf(&plans, &asked, "EUR", &HomeTax::default(), &manner());
        assert_eq!(shelf.offers[0].price.as_ref().unwrap().renews, "");
    }

    #[test]
    fn what_nobody_sells_falls_back_to_the_monthly_price_of_the_brand() {
        let asked = Choice { currency: "XYZ".into(), term: "99y".into() };
        let shelf = shelf(&plans(), &asked, "EUR", &HomeTax::default(), &manner());
        assert_eq!(shelf.choice, Choice { currency: "EUR".into(), term: "1m".into() });
        assert_eq!(shelf.currencies.len(), 2);
        assert_eq!(shelf.offers[0].price.as_ref().unwrap().id, "pri_1");
    }
}
