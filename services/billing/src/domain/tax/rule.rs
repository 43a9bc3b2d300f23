//! Rates by place, kind of product and day, as the catalogue tells them.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// Where a customer is, for tax.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// ISO 3166-1 alpha-2; empty when unknown.
    pub country: String,
    /// The part of ISO 3166-2 after the hyphen, such as `CA` of `US-CA`; empty when unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// As it was written; empty when unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub postal_code: String,
}

impl Place {
    /// A country, nothing nearer.
    #[must_use]
    pub fn country(country: impl Into<String>) -> Self {
        Self { country: country.into(), ..Self::default() }
    }

    /// Whether anything is known.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        !self.country.is_empty()
    }
}

/// How a rule taxes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Levy {
    /// At its rate.
    #[default]
    Rate,
    /// Exempt.
    Exempt {
        /// Which law says so.
        reason: String,
    },
    /// Not taxed at all.
    OutOfScope {
        /// Why.
        reason: String,
    },
}

/// One rule of a legal entity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// As in [`Place::region`]; empty for the whole country.
    #[serde(default)]
    pub region: String,
    /// What postal codes begin with, without blanks and hyphens, upper case; empty for all.
    #[serde(default)]
    pub postal_prefix: String,
    /// Tax category of a plan; empty for all of them.
    #[serde(default)]
    pub category: String,
    /// In basis points.
    pub rate_bp: u32,
    /// Of the tax, as printed.
    pub name: String,
    /// How it taxes.
    #[serde(default)]
    pub levy: Levy,
    /// A business with a valid number of this country owes the tax itself.
    #[serde(default)]
    pub reverse_charge: bool,
    /// First day, in the entity's zone; none: always.
    #[serde(default)]
    pub from: Option<NaiveDate>,
    /// First day on which it is over; none: never.
    #[serde(default)]
    pub until: Option<NaiveDate>,
}

impl Rule {
    fn applies(&self, place: &Place, postal_code: &str, category: &str, day: NaiveDate) -> bool {
        self.country == place.country
            && (self.region.is_empty() || self.region == place.region)
            && postal_code.starts_with(&self.postal_prefix)
            && (self.category.is_empty() || self.category == category)
            && self.from.is_none_or(|from| from <= day)
            && self.until.is_none_or(|until| day < until)
    }

    /// How near a rule is: the longest postal prefix, then a region, then the kind of product.
    fn nearness(&self) -> (usize, bool, bool, Option<NaiveDate>) {
        (self.postal_prefix.len(), !self.region.is_empty(), !self.category.is_empty(), self.from)
    }
}

/// The rule for a place, a tax category and a day: the nearest one. A rule of a place comes before one of a category, because
/// a state that taxes everything alike says so for every category.
#[must_use]
pub fn find<'a>(rules: &'a [Rule], place: &Place, category: &str, day: NaiveDate) -> Option<&'a Rule> {
    let postal_code: String =
        place.postal_code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
    rules.iter().filter(|rule| rule.applies(place, &postal_code, category, day)).max_by_key(|rule| rule.nearness())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn rule(country: &str, rate_bp: u32) -> Rule {
        Rule { country: country.into(), rate_bp, name: "Tax".into(), ..Rule::default() }
    }

    fn place(country: &str, region: &str, postal_code: &str) -> Place {
        Place { country: country.into(), region: region.into(), postal_code: postal_code.into() }
    }

    #[test]
    fn the_nearest_rule_counts() {
        let rules = [
            rule("US", 100),
            Rule { region: "CA".into(), ..rule("US", 725) },
            Rule { region: "CA".into(), postal_prefix: "941".into(), ..rule("US", 863) },
            Rule { category: "press".into(), ..rule("US", 50) },
            rule("DE", 1900),
            Rule { category: "press".into(), ..rule("DE", 700) },
        ];
        let rate = |place: &Place, category| find(&rules, place, category, day("2026-06-01")).map(|rule| rule.rate_bp);
        assert_eq!(rate(&place("US", "", ""), ""), Some(100));
        assert_eq!(rate(&place("US", "CA", "90001"), ""), Some(725));
        assert_eq!(rate(&place("US", "CA", "94103-1234"), ""), Some(863));
        assert_eq!(rate(&place("US", "NV", "94103"), ""), Some(100), "another state's prefix does not reach here");
        assert_eq!(rate(&place("US", "NV", ""), "press"), Some(50));
        assert_eq!(rate(&place("US", "CA", ""), "press"), Some(725), "a place is nearer than a category");
        assert_eq!(rate(&place("DE", "BY", "80331"), "press"), Some(700));
        assert_eq!(rate(&place("DE", "", ""), "anything"), Some(1900));
        assert_eq!(rate(&place("FR", "", ""), ""), None);
    }

    #[test]
    fn postal_codes_are_compared_without_blanks_and_case() {
        let rules = [Rule { postal_prefix: "BT1".into(), ..rule("GB", 2000) }];
        assert!(find(&rules, &place("GB", "", "bt 1 1aa"), "", day("2026-06-01")).is_some());
        assert!(find(&rules, &place("GB", "", "SW1A 1AA"), "", day("2026-06-01")).is_none());
    }

    #[test]
    fn a_rate_holds_from_its_first_day_until_the_day_it_ends() {
        let rules = [
            Rule { until: Some(day("2026-07-01")), ..rule("EE", 2200) },
            Rule { from: Some(day("2026-07-01")), ..rule("EE", 2400) },
        ];
        let rate = |date| find(&rules, &Place::country("EE"), "", day(date)).map(|rule| rule.rate_bp);
        assert_eq!((rate("2026-06-30"), rate("2026-07-01")), (Some(2200), Some(2400)));
    }
}
