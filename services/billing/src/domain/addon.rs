//! Add-ons: products of their own that live on a subscription.
//!
//! An add-on has prices and cycles of its own. On a subscription it is paid with it, for the same time: of its cycles the
//! longest that fits into the subscription's term a whole number of times is taken that often. So it ends with the
//! subscription's period by itself, the first part is a bridge up to there, and one invoice renews both.

use ottery_kernel::{Currency, Money, MoneyError, PlanId, PlanVersionId, PriceId, Term, TermUnit};
use serde::{Deserialize, Serialize};

use super::derivation::Priced;
use super::offer::Offer;
use super::option::{Extra, Of};

/// One of an add-on's own prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    /// Which price of the catalogue it is.
    pub price_id: PriceId,
    /// Its length.
    pub term: Term,
    /// One cycle; like a plan's price, with or without tax.
    pub price: Money,
    /// Once, when it is added.
    pub setup_fee: Money,
}

/// An add-on as it was sold, on a subscription of a certain term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddOn {
    /// Which product.
    pub plan_id: PlanId,
    /// Its version.
    pub version_id: PlanVersionId,
    /// As it was sold.
    pub name: String,
    /// Streams at a time it adds.
    pub connections: u32,
    /// Bouquets it adds.
    pub bouquet_ids: Vec<i64>,
    /// Its prices, so that it can come along to another term.
    pub cycles: Vec<Cycle>,
    /// The cycle that is paid.
    pub cycle: Cycle,
    /// How often that fits into the subscription's term.
    pub times: u32,
    /// Kind of product, for tax; none on those that were sold when add-ons had the kind of their plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_category: Option<String>,
}

/// An add-on as the catalogue sells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Which product.
    pub plan_id: PlanId,
    /// Its version.
    pub version_id: PlanVersionId,
    /// Its name.
    pub name: String,
    /// Streams at a time it adds.
    pub connections: u32,
    /// Bouquets it adds.
    pub bouquet_ids: Vec<i64>,
    /// Its prices.
    pub cycles: Vec<Cycle>,
    /// Addresses of the plans it can be added to; empty: any.
    pub plans: Vec<String>,
    /// Kind of product, for tax.
    pub tax_category: String,
}

/// Why an add-on cannot be added or taken away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddOnRefused {
    /// It is for other plans.
    #[error("`{addon}` cannot be added to the plan `{plan}`; it is for {accepted}")]
    Plan {
        /// Which.
        addon: String,
        /// To what.
        plan: String,
        /// To what it can be added.
        accepted: String,
    },
    /// None of its cycles fits.
    #[error("`{addon}` is sold per {cycles}, and none of that fits into {term} in {currency} a whole number of times")]
    Cycle {
        /// Which.
        addon: String,
        /// Its cycles.
        cycles: String,
        /// Of the subscription.
        term: Term,
        /// Of the subscription.
        currency: Currency,
    },
    /// It is there already.
    #[error("`{0}` is there already; an add-on is added once")]
    Twice(String),
    /// It is not there.
    #[error("the subscription has no add-on {0}")]
    Absent(PlanId),
}

impl AddOnRefused {
    /// Stable, for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Plan { .. } => "ADDON_NOT_FOR_PLAN",
            Self::Cycle { .. } => "ADDON_CYCLE",
            Self::Twice(_) => "ADDON_TWICE",
            Self::Absent(_) => "ADDON_ABSENT",
        }
    }
}

/// Months, or days.
fn length(term: Term) -> (bool, u32) {
    let count = u32::from(term.count());
    match term.unit() {
        TermUnit::Day => (false, count),
        TermUnit::Week => (false, count * 7),
        TermUnit::Month => (true, count),
        TermUnit::Year => (true, count * 12),
    }
}

/// How often `cycle` fits into `term`; none when there is a rest.
fn times(cycle: Term, term: Term) -> Option<u32> {
    let ((in_months, short), (of_months, long)) = (length(cycle), length(term));
    (in_months == of_months && long.is_multiple_of(short)).then(|| long / short)
}

/// The longest cycle that fits, and how often.
fn fitting(cycles: &[Cycle], term: Term, currency: Currency) -> Option<(Cycle, u32)> {
    let fits = cycles.iter().filter(|cycle| cycle.price.currency == currency);
    let fits = fits.filter_map(|cycle| Some((*cycle, times(cycle.term, term)?)));
    fits.min_by_key(|(_, times)| *times)
}

impl Product {
    /// This product on a subscription of `offer`, whose plan has that address.
    ///
    /// # Errors
    /// When it is not for the plan, or none of its cycles fits.
    pub fn on(self, offer: &Offer, plan_slug: &str) -> Result<AddOn, AddOnRefused> {
        if !self.plans.is_empty() && !self.plans.iter().any(|plan| plan == plan_slug) {
            let (plan, accepted) = (offer.plan_name.clone(), self.plans.join(", "));
            return Err(AddOnRefused::Plan { addon: self.name, plan, accepted });
        }
        let Some((cycle, times)) = fitting(&self.cycles, offer.term, offer.price.currency) else {
            let cycles: Vec<String> = self.cycles.iter().map(|cycle| cycle.term.to_string()).collect();
            let (term, currency) = (offer.term, offer.price.currency);
            return Err(AddOnRefused::Cycle { addon: self.name, cycles: cycles.join(", "), term, currency });
        };
        let Self { plan_id, version_id, name, connections, bouquet_ids, cycles, plans: _, tax_category } = self;
        let tax_category = Some(tax_category);
        Ok(AddOn { plan_id, version_id, name, connections, bouquet_ids, cycles, cycle, times, tax_category })
    }
}

impl AddOn {
    /// The same add-on on a subscription of another term; none when no cycle fits.
    #[must_use]
    pub fn moved_to(&self, term: Term, currency: Currency) -> Option<Self> {
        let (cycle, times) = fitting(&self.cycles, term, currency)?;
        Some(Self { cycle, times, ..self.clone() })
    }

    /// What a whole term of the subscription costs more with it.
    ///
    /// # Errors
    /// When the amount does not fit.
    pub fn price(&self) -> Result<Money, MoneyError> {
        self.cycle.price.checked_mul(self.times.into())
    }

    pub(super) fn extra(&self) -> Extra<'_> {
        Extra {
            key: self.plan_id.to_string().into(),
            name: &self.name,
            quantity: 1,
            units: 1,
            // One unit is the add-on for a whole term; what the catalogue lets through always fits.
            unit_price: self.price().unwrap_or(self.cycle.price),
            setup_fee: self.cycle.setup_fee,
            of: Of::AddOn(self),
        }
    }

    pub(super) fn priced(&self) -> Priced {
        Priced {
            price_id: self.cycle.price_id,
            plan_version_id: self.version_id,
            plan: self.name.clone(),
            term: self.cycle.term,
        }
    }
}

impl Offer {
    /// With one more add-on.
    ///
    /// # Errors
    /// When it is there already.
    pub fn adding(self, addon: AddOn) -> Result<Self, AddOnRefused> {
        if self.addons.iter().any(|known| known.plan_id == addon.plan_id) {
            return Err(AddOnRefused::Twice(addon.name));
        }
        let mut addons = self.addons.clone();
        addons.push(addon);
        Ok(self.with_addons(addons))
    }

    /// Without one of its add-ons.
    ///
    /// # Errors
    /// When it has no such add-on.
    pub fn dropping(self, plan: PlanId) -> Result<Self, AddOnRefused> {
        let mut addons = self.addons.clone();
        addons.retain(|addon| addon.plan_id != plan);
        if addons.len() == self.addons.len() {
            return Err(AddOnRefused::Absent(plan));
        }
        Ok(self.with_addons(addons))
    }

    /// With exactly these add-ons; the streams they add are counted.
    #[must_use]
    pub fn with_addons(mut self, addons: Vec<AddOn>) -> Self {
        let own = self.connections.saturating_sub(self.added_connections());
        self.addons = addons;
        self.connections = own.saturating_add(self.added_connections());
        self
    }

    /// Streams at a time that add-ons bring.
    #[must_use]
    pub fn added_connections(&self) -> u32 {
        self.addons.iter().map(|addon| addon.connections).fold(0, u32::saturating_add)
    }

    /// The bouquets of the plan and of its add-ons, each once.
    #[must_use]
    pub fn bouquet_ids(&self) -> Vec<i64> {
        let mut ids = self.mapping.bouquet_ids.clone();
        for id in self.addons.iter().flat_map(|addon| &addon.bouquet_ids) {
            if !ids.contains(id) {
                ids.push(*id);
            }
        }
        ids
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::option::tests::{quantity, with_options};
    use crate::domain::proration::tests::offer;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    fn months(count: u16) -> Term {
        Term::try_new(count, TermUnit::Month).unwrap()
    }

    /// Sport for 4.00 a month or 40.00 a year, 2.00 once, with one more stream.
    pub fn sport() -> Product {
        let cycle = |term, minor| {
            let price_id = PriceId::new(DateTime::UNIX_EPOCH);
            Cycle { price_id, term, price: eur(minor), setup_fee: eur(200) }
        };
        Product {
            plan_id: PlanId::new(DateTime::UNIX_EPOCH),
            version_id: PlanVersionId::new(DateTime::UNIX_EPOCH),
            name: "Sport".into(),
            connections: 1,
            bouquet_ids: vec![7, 2],
            cycles: vec![cycle(Term::MONTH, 400), cycle(Term::YEAR, 4000)],
            plans: vec!["family".into()],
            tax_category: String::new(),
        }
    }

    #[test]
    fn of_its_cycles_the_longest_that_fits_is_taken_as_often_as_it_fits() {
        let on = |term| sport().on(&offer(1000, term), "family").map(|one| (one.cycle.term, one.times, one.price()));
        assert_eq!(on(Term::MONTH).unwrap(), (Term::MONTH, 1, Ok(eur(400))));
        assert_eq!(on(months(6)).unwrap(), (Term::MONTH, 6, Ok(eur(2400))));
        assert_eq!(on(months(12)).unwrap(), (Term::YEAR, 1, Ok(eur(4000))));
        assert_eq!(on(months(36)).unwrap(), (Term::YEAR, 3, Ok(eur(12_000))));
        let week = Term::try_new(1, TermUnit::Week).unwrap();
        let refused = on(week).unwrap_err();
        assert_eq!(refused.reason(), "ADDON_CYCLE");
        assert!(refused.to_string().contains("sold per 1 month, 1 year"), "{refused}");
    }

    #[test]
    fn it_is_added_once_to_the_plans_it_is_for() {
        let plain = offer(1000, Term::MONTH);
        let sport_on = sport().on(&plain, "family").unwrap();
        assert_eq!(sport().on(&plain, "solo").unwrap_err().reason(), "ADDON_NOT_FOR_PLAN");
        assert!(Product { plans: Vec::new(), ..sport() }.on(&plain, "solo").is_ok());
        let press = Product { tax_category: "press".into(), ..sport() };
        assert_eq!(press.on(&plain, "family").unwrap().tax_category.as_deref(), Some("press"));
        let with = plain.clone().adding(sport_on.clone()).unwrap();
        assert_eq!(with.clone().adding(sport_on.clone()).unwrap_err().reason(), "ADDON_TWICE");
        assert_eq!((with.connections, with.term_price(), with.has_setup()), (3, Ok(eur(1400)), true));
        let mapped = Offer {
            mapping: super::super::offer::Mapping { bouquet_ids: vec![1, 2], ..with.mapping.clone() },
            ..with.clone()
        };
        assert_eq!(mapped.bouquet_ids(), [1, 2, 7]);
        let without = with.dropping(sport_on.plan_id).unwrap();
        assert_eq!(without, plain);
        assert_eq!(without.dropping(sport_on.plan_id).unwrap_err().reason(), "ADDON_ABSENT");
    }

    #[test]
    fn its_streams_come_on_top_of_those_that_were_chosen() {
        let plain = with_options(1000, Term::MONTH);
        let sport_on = sport().on(&plain, "family").unwrap();
        let with = plain.adding(sport_on.clone()).unwrap().choose(&[quantity("streams", 4)]).unwrap();
        assert_eq!((with.connections, with.term_price()), (5, Ok(eur(1000 + 600 + 400))));
        assert_eq!(with.clone().dropping(sport_on.plan_id).unwrap().connections, 4);
        // To a year both come along, the add-on at its yearly price; where no cycle fits it stays behind.
        let yearly = with_options(9000, Term::YEAR).keeping(&with);
        assert_eq!((yearly.connections, yearly.term_price()), (5, Ok(eur(9000 + 600 + 4000))));
        let weekly = with_options(300, Term::try_new(1, TermUnit::Week).unwrap()).keeping(&with);
        assert_eq!((weekly.connections, weekly.addons.len()), (4, 0));
        assert_eq!(with.fewer_in(&weekly).collect::<Vec<_>>(), [("Sport", 1, 0)]);
    }

    #[test]
    fn an_offer_with_add_ons_is_read_back_as_it_was() {
        let plain = offer(1000, Term::MONTH);
        let with = plain.clone().adding(sport().on(&plain, "family").unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Offer>(&serde_json::to_string(&with).unwrap()).unwrap(), with);
        assert!(!serde_json::to_string(&plain).unwrap().contains("addons"));
    }
}
