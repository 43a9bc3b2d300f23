//! Which tax a customer pays: the seller's settings, its rules, and where the customer is.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::rule::{Levy, Place, Rule, find};
use super::{Pricing, Rate, Round, Tax, Treatment};
use crate::domain::address::Source;
use crate::domain::offer::Offer;
use crate::domain::profile::Profile;
use crate::domain::vat::Evidence;

/// Why a place without a rule is not taxed.
const NO_TAX_THERE: &str = "The place of supply is outside the seller's country";

/// How long an invoice waits for the answer about a VAT number where the entity does not say.
const VAT_WAIT_HOURS: u32 = 24;

/// What is done where no rule is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Elsewhere {
    /// As at home.
    #[default]
    HomeRate,
    /// No tax.
    Untaxed,
}

/// How a legal entity taxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether prices contain tax.
    #[serde(default)]
    pub pricing: Pricing,
    /// Where it is rounded.
    #[serde(default)]
    pub round: Round,
    /// What is done in other countries without a rule.
    #[serde(default)]
    pub elsewhere: Elsewhere,
    /// How long an invoice waits for the answer about a VAT number, in hours; afterwards it is issued as if there were none.
    #[serde(default)]
    pub vat_wait_hours: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pricing: Pricing::default(),
            round: Round::default(),
            elsewhere: Elsewhere::default(),
            vat_wait_hours: VAT_WAIT_HOURS,
        }
    }
}

impl Settings {
    /// How long an invoice waits for the answer about a VAT number.
    #[must_use]
    pub fn vat_wait(&self) -> TimeDelta {
        TimeDelta::hours(self.vat_wait_hours.into())
    }
}

/// What was decided for one customer and kind of product, and on what grounds; kept in the invoice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What tax does to prices.
    pub tax: Tax,
    /// What it is called.
    #[serde(default)]
    pub name: String,
    /// Where the customer was taken to be.
    #[serde(default)]
    pub place: Place,
    /// Who said so.
    #[serde(default)]
    pub source: Source,
    /// Proof that the buyer is a business; present exactly under reverse charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// What a customer is, for tax.
#[derive(Clone, Debug, Default)]
pub struct Buyer<'a> {
    /// Where.
    pub place: Place,
    /// Who said so.
    pub source: Source,
    /// The proof of a business, when there is a valid one.
    pub business: Option<&'a Evidence>,
}

/// The taxes of one legal entity, as far as they are loaded.
#[derive(Clone, Debug)]
pub struct Book {
    settings: Settings,
    country: String,
    zone: Tz,
    home_rate_bp: u32,
    home_name: String,
    countries: HashSet<String>,
    rules: Vec<Rule>,
}

impl Book {
    /// Without any rule: everybody is taxed as at home.
    #[must_use]
    pub fn new(profile: &Profile) -> Self {
        Self {
            settings: profile.entity.tax,
            country: profile.entity.country.clone(),
            zone: profile.entity.zone,
            home_rate_bp: profile.tax_rate_bp,
            home_name: profile.tax_name.clone(),
            countries: HashSet::new(),
            rules: Vec::new(),
        }
    }

    /// Whether the rules of a country were added.
    #[must_use]
    pub fn has(&self, country: &str) -> bool {
        self.countries.contains(country)
    }

    /// Adds all rules of countries.
    pub fn add(&mut self, countries: impl IntoIterator<Item = String>, rules: Vec<Rule>) {
        self.countries.extend(countries);
        self.rules.extend(rules);
    }

    /// What the customer is charged for a product of that tax category at `now`.
    #[must_use]
    pub fn decide(&self, buyer: &Buyer<'_>, category: &str, now: DateTime<Utc>) -> Decision {
        let day: NaiveDate = now.with_timezone(&self.zone).date_naive();
        let place = &buyer.place;
        let is_abroad = place.is_known() && place.country != self.country;
        let mut decision = Decision {
            name: self.home_name.clone(),
            place: place.clone(),
            source: buyer.source,
            ..Decision::default()
        };
        let (rate_bp, treatment) = match find(&self.rules, place, category, day) {
            Some(rule) => {
                decision.name.clone_from(&rule.name);
                let business = buyer.business.filter(|evidence| is_abroad && evidence.is_of(&place.country));
                let treatment = match (&rule.levy, business) {
                    (Levy::Rate, Some(evidence)) if rule.reverse_charge => {
                        decision.evidence = Some(evidence.clone());
                        Treatment::ReverseCharge
                    }
                    (Levy::Rate, _) => Treatment::Rate,
                    (Levy::Exempt { reason }, _) => Treatment::Exempt { reason: reason.clone() },
                    (Levy::OutOfScope { reason }, _) => Treatment::OutOfScope { reason: reason.clone() },
                };
                (rule.rate_bp, treatment)
            }
            None if is_abroad && self.settings.elsewhere == Elsewhere::Untaxed => {
                (0, Treatment::OutOfScope { reason: NO_TAX_THERE.to_owned() })
            }
            None => (self.home_rate_bp, Treatment::Rate),
        };
        let Settings { pricing, round, .. } = self.settings;
        decision.tax = Tax { pricing, round, rate_bp, treatment, others: BTreeMap::new() };
        decision
    }

    /// The same for an offer: its plan, and add-ons that are other kinds of products. A proof of the buyer's business is kept
    /// where it counts for any of them.
    #[must_use]
    pub fn decide_offer(&self, buyer: &Buyer<'_>, offer: &Offer, now: DateTime<Utc>) -> Decision {
        let mut decision = self.decide(buyer, &offer.tax_category, now);
        for category in offer.addons.iter().filter_map(|addon| addon.tax_category.as_ref()) {
            if *category == offer.tax_category || decision.tax.others.contains_key(category) {
                continue;
            }
            let other = self.decide(buyer, category, now);
            decision.evidence = decision.evidence.or(other.evidence);
            let rate = Rate { rate_bp: other.tax.rate_bp, treatment: other.tax.treatment };
            decision.tax.others.insert(category.clone(), rate);
        }
        decision
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;
    use ottery_kernel::{BrandId, EntityId};

    use super::*;
    use crate::domain::profile::Entity;

    fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 6, 30, 23, 0, 0).unwrap()
    }

    /// A German seller that charges 19 % at home.
    fn book(settings: Settings) -> Book {
        let entity = Entity {
            id: EntityId::new(now()),
            name: "Nordlicht Medien GmbH".into(),
            address_lines: Vec::new(),
            country: "DE".into(),
            tax_id: "DE123456788".into(),
            zone: Tz::Europe__Berlin,
            series: "INV".into(),
            email: String::new(),
            tax: settings,
        };
        let profile = Profile {
            brand: BrandId::new(now()),
            name: "Nordlicht".into(),
            entity,
            currencies: Vec::new(),
            zone: Tz::Europe__Berlin,
            grace_days: 3,
            terminate_after_days: 14,
            renewal_lead_hours: 72,
            reminder_hours: Vec::new(),
            rules: crate::domain::rules::InvoiceRules::default(),
            tax_rate_bp: 1900,
            tax_name: "USt".into(),
            default_locale: "de".into(),
            support_email: String::new(),
            tokens: std::collections::BTreeMap::new(),
            logo: String::new(),
        };
        let mut book = Book::new(&profile);
        let rule = |country: &str, rate_bp, name: &str| Rule {
            country: country.into(),
            rate_bp,
            name: name.into(),
            reverse_charge: true,
            ..Rule::default()
        };
        let ended = Rule { until: "2026-07-01".parse().ok(), ..rule("EE", 2200, "KM") };
        let exempt = Rule { levy: Levy::Exempt { reason: "Article 132".into() }, ..rule("IT", 0, "IVA") };
        let rules = vec![rule("FR", 2000, "TVA"), rule("GR", 2400, "FPA"), rule("DE", 1900, "USt"), ended, exempt];
        book.add(["FR", "GR", "DE", "EE", "IT"].map(str::to_owned), rules);
        book
    }

    fn proof(number: &str) -> Evidence {
        Evidence {
            number: number.into(),
            validator: "vies".into(),
            checked_at: now(),
            check_id: "vat_1".into(),
            reference: "WAPIAAAA".into(),
            name: String::new(),
            address: String::new(),
        }
    }

    fn decide(book: &Book, country: &str, business: Option<&Evidence>) -> Decision {
        book.decide(&Buyer { place: Place::country(country), business, ..Buyer::default() }, "", now())
    }

    #[test]
    fn the_customers_place_decides_and_who_has_none_is_taxed_as_at_home() {
        let book = book(Settings::default());
        let rate = |country| decide(&book, country, None).tax.rate_bp;
        assert_eq!((rate("FR"), rate("DE"), rate(""), rate("US")), (2000, 1900, 1900, 1900));
        assert_eq!(decide(&book, "FR", None).name, "TVA");
        // 23:00 UTC is the first of July in Berlin, where the rate of Estonia is over.
        assert_eq!(decide(&book, "EE", None).name, "USt");
    }

    #[test]
    fn abroad_without_a_rule_may_be_untaxed_and_home_never_is() {
        let book = book(Settings { elsewhere: Elsewhere::Untaxed, ..Settings::default() });
        let abroad = decide(&book, "US", None).tax;
        assert_eq!((abroad.rate_bp, abroad.charged_bp()), (0, 0));
        assert!(matches!(abroad.treatment, Treatment::OutOfScope { .. }));
        assert_eq!(decide(&book, "", None).tax.rate_bp, 1900);
    }

    #[test]
    fn a_business_abroad_owes_the_tax_itself_when_its_number_is_of_the_same_country() {
        let book = book(Settings::default());
        let (french, greek, german) = (proof("FR40303265045"), proof("EL094259216"), proof("DE136695976"));
        let reversed = decide(&book, "FR", Some(&french));
        assert_eq!((reversed.tax.treatment.clone(), reversed.tax.charged_bp()), (Treatment::ReverseCharge, 0));
        assert_eq!(reversed.evidence.as_ref(), Some(&french), "the proof is kept");
        assert_eq!(decide(&book, "GR", Some(&greek)).tax.treatment, Treatment::ReverseCharge);
        let other = decide(&book, "FR", Some(&german));
        assert_eq!(
            (other.tax.treatment, other.evidence),
            (Treatment::Rate, None),
            "a German number says nothing of France"
        );
        assert_eq!(decide(&book, "DE", Some(&german)).tax.treatment, Treatment::Rate, "at home everybody pays");
        assert!(matches!(decide(&book, "IT", Some(&proof("IT00743110157"))).tax.treatment, Treatment::Exempt { .. }));
    }
}
