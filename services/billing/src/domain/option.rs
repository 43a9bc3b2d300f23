//! Options: what is bought by the unit beside the plan itself.
//!
//! An offer holds the options of its plan version with the quantities that were chosen and the prices of that version, so
//! that one unit more costs a year later what it cost on the first day. A coupon is about the plan's price: it takes
//! nothing off units.

use std::borrow::Cow;
use std::fmt;

use ottery_kernel::{Currency, Money, MoneyError};
use serde::{Deserialize, Serialize};

use super::addon::AddOn;
use super::calendar::Stretch;
use super::derivation::{Addend, Derivation, Priced, Source, Units};
use super::line::Line;
use super::offer::Offer;
use super::tax::Tax;

/// What the units of an option are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Provisioning hears of them by the option's key.
    #[default]
    None,
    /// Streams at a time: the quantity is their number.
    Connections,
}

/// An option with the quantity that was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Names it over versions and plans.
    pub key: String,
    /// As it was sold.
    pub name: String,
    /// What its units are.
    pub effect: Effect,
    /// Fewest units.
    pub min: u32,
    /// Most units.
    pub max: u32,
    /// Units from one quantity to the next, at least 1.
    pub step: u32,
    /// Units that cost nothing extra.
    pub included: u32,
    /// One unit beyond the included ones, one term; in the terms of the plan's price.
    pub unit_price: Money,
    /// Once for such a unit when it is added.
    pub setup_fee: Money,
    /// How many.
    pub quantity: u32,
}

/// How many units somebody wants of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// The option's key.
    pub key: String,
    /// How many units, the included ones counted in.
    pub quantity: u32,
}

/// Why a choice cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionRefused {
    /// The plan has no such option.
    #[error("the plan has no option `{key}`; it has {known}")]
    Unknown {
        /// What was named.
        key: String,
        /// What there is.
        known: String,
    },
    /// One option was named more than once.
    #[error("`{0}` is named more than once; name it once")]
    Twice(String),
    /// Too few, too many, or between two steps.
    #[error("`{key}`: choose {min} to {max} in steps of {step}, got {got}")]
    Range {
        /// Of which option.
        key: String,
        /// Fewest.
        min: u32,
        /// Most.
        max: u32,
        /// From one to the next.
        step: u32,
        /// What was wanted.
        got: u32,
    },
    /// More of one and fewer of another cannot happen at the same time.
    #[error("more of `{more}` begins at once and fewer of `{fewer}` with the renewal: add first, then take away")]
    Mixed {
        /// What grows.
        more: String,
        /// What shrinks.
        fewer: String,
    },
}

impl OptionRefused {
    /// Stable, for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "OPTION_UNKNOWN",
            Self::Twice(_) => "OPTION_TWICE",
            Self::Range { .. } => "OPTION_QUANTITY",
            Self::Mixed { .. } => "OPTIONS_MIXED",
        }
    }
}

impl Choice {
    /// What somebody has who chooses nothing: the included units.
    #[must_use]
    pub const fn usual(&self) -> u32 {
        if self.included > self.min { self.included } else { self.min }
    }

    const fn allows(&self, quantity: u32) -> bool {
        quantity >= self.min && quantity <= self.max && (quantity - self.min).is_multiple_of(self.step)
    }

    fn extra(&self) -> Extra<'_> {
        Extra {
            key: Cow::Borrowed(&self.key),
            name: &self.name,
            quantity: self.quantity,
            units: self.quantity.saturating_sub(self.included),
            unit_price: self.unit_price,
            setup_fee: self.setup_fee,
            of: Of::Option,
        }
    }
}

/// Something beside the plan that is in the price of a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra<'a> {
    /// Names it over versions and plans.
    pub key: Cow<'a, str>,
    /// As it was sold.
    pub name: &'a str,
    /// How many of it somebody has.
    pub quantity: u32,
    /// How many of these cost something.
    pub units: u32,
    /// One of them, one term.
    pub unit_price: Money,
    /// Once for each of them.
    pub setup_fee: Money,
    /// What it is.
    pub of: Of<'a>,
}

/// What an extra is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of<'a> {
    /// Units of an option of the plan.
    Option,
    /// A product of its own.
    AddOn(&'a AddOn),
}

impl<'a> Extra<'a> {
    /// Its tax category; none for the plan's.
    #[must_use]
    pub fn category(&self) -> Option<&'a str> {
        match self.of {
            Of::Option => None,
            Of::AddOn(addon) => addon.tax_category.as_deref(),
        }
    }

    /// What tax does to its price: add-ons may be other kinds of products than the plan, whose tax is given.
    #[must_use]
    pub fn tax<'t>(&self, plan: &'t Tax) -> Cow<'t, Tax> {
        plan.of_category(self.category())
    }

    /// What a whole term of it costs.
    ///
    /// # Errors
    /// When the amount does not fit.
    pub fn price(&self) -> Result<Money, MoneyError> {
        self.unit_price.checked_mul(self.units.into())
    }

    /// What it costs once, when so many of its units were there before.
    ///
    /// # Errors
    /// When the amount does not fit.
    pub fn setup(&self, before: u32) -> Result<Money, MoneyError> {
        self.setup_fee.checked_mul(self.units.saturating_sub(before).into())
    }

    /// The price it has on an offer.
    fn priced(&self, offer: &Offer) -> Priced {
        match self.of {
            Of::Option => Priced::of(offer),
            Of::AddOn(addon) => addon.priced(),
        }
    }

    /// Where the price of a term of it comes from.
    #[must_use]
    pub fn source(&self, offer: &Offer) -> Source {
        let (count, each) = match self.of {
            Of::Option => (self.units, self.unit_price),
            Of::AddOn(addon) => (addon.times, addon.cycle.price),
        };
        let units = Units { key: self.key.to_string(), name: self.name.to_owned(), count, each };
        Source::Extra { price: self.priced(offer), units }
    }

    /// Where what it costs once comes from, for so many of its units.
    fn setup_source(&self, offer: &Offer, count: u32) -> Source {
        let units = Units { key: self.key.to_string(), name: self.name.to_owned(), count, each: self.setup_fee };
        Source::ExtraSetup { price: self.priced(offer), units }
    }
}

/// So many units, as a line says it: as a quantity when each of them costs the same, else in words.
///
/// # Errors
/// When the amount is too large to compute with.
pub fn units_line(
    units: u32,
    name: impl fmt::Display,
    how: Derivation,
    currency: Currency,
    tax: &Tax,
) -> Result<Line, MoneyError> {
    let price = how.total(currency)?;
    let is_even = |amount: Money| amount.minor % i64::from(units.max(1)) == 0;
    let mut line = Line::priced(name.to_string(), price, tax, None)?.derived(how);
    if units > 1 && is_even(line.amount) {
        line.quantity = units;
    } else if units > 1 {
        line.description = format!("{units} × {}", line.description);
    }
    Ok(line)
}

/// The lines of what is beside the plan, for `stretch`.
///
/// # Errors
/// When an amount is too large to compute with.
pub fn stretch_lines(offer: &Offer, stretch: &Stretch, tax: &Tax) -> Result<Vec<Line>, MoneyError> {
    let part = if stretch.is_bridge() { ", prorated" } else { "" };
    let sold = offer.extras().filter(|extra| extra.units > 0);
    sold.map(|extra| {
        let how = stretch.addend(extra.source(offer), extra.price()?).into();
        let name = format_args!("{}, {}{part}", extra.name, offer.term);
        units_line(extra.units, name, how, offer.price.currency, &extra.tax(tax))
    })
    .collect()
}

/// The lines of what the units of `offer` cost once; `before` is what somebody has already, none at all with an order.
///
/// # Errors
/// When an amount is too large to compute with.
pub fn setup_lines(offer: &Offer, before: Option<&Offer>, tax: &Tax) -> Result<Vec<Line>, MoneyError> {
    let mut lines = Vec::new();
    for extra in offer.extras() {
        let had = before.map_or(0, |before| before.units_of(&extra.key));
        let cost = extra.setup(had)?;
        if cost.is_positive() {
            let name = format_args!("Set-up: {}", extra.name);
            let added = extra.units.saturating_sub(had);
            let how = Addend::all(extra.setup_source(offer, added), cost).into();
            lines.push(units_line(added, name, how, offer.price.currency, &extra.tax(tax))?);
        }
    }
    Ok(lines)
}

impl Offer {
    /// What is in its price beside the plan.
    pub fn extras(&self) -> impl Iterator<Item = Extra<'_>> {
        self.options.iter().map(Choice::extra).chain(self.addons.iter().map(AddOn::extra))
    }

    fn quantity_of(&self, key: &str) -> u32 {
        self.extras().find(|extra| extra.key == key).map_or(0, |extra| extra.quantity)
    }

    /// How many units of that name cost something; 0 when it has none.
    #[must_use]
    pub fn units_of(&self, key: &str) -> u32 {
        self.extras().find(|extra| extra.key == key).map_or(0, |extra| extra.units)
    }

    /// What a whole term of it costs, options counted in, before any coupon.
    ///
    /// # Errors
    /// When the amount does not fit.
    pub fn term_price(&self) -> Result<Money, MoneyError> {
        self.extras().try_fold(self.price, |sum, extra| sum.checked_add(extra.price()?))
    }

    /// Whether something is charged once, with the first invoice.
    #[must_use]
    pub fn has_setup(&self) -> bool {
        self.setup_fee.is_some_and(Money::is_positive)
            || self.extras().any(|extra| extra.units > 0 && extra.setup_fee.is_positive())
    }

    /// The same plan with other quantities; options that are not named stay as they are.
    ///
    /// # Errors
    /// The first choice that cannot be made.
    pub fn choose(mut self, wanted: &[Quantity]) -> Result<Self, OptionRefused> {
        for (n, Quantity { key, quantity }) in wanted.iter().enumerate() {
            if wanted.iter().take(n).any(|earlier| earlier.key == *key) {
                return Err(OptionRefused::Twice(key.clone()));
            }
            let Some(choice) = self.options.iter_mut().find(|choice| choice.key == *key) else {
                let known: Vec<&str> = self.options.iter().map(|choice| choice.key.as_str()).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(OptionRefused::Unknown { key: key.clone(), known });
            };
            if !choice.allows(*quantity) {
                let Choice { min, max, step, .. } = *choice;
                return Err(OptionRefused::Range { key: key.clone(), min, max, step, got: *quantity });
            }
            choice.quantity = *quantity;
        }
        Ok(self.counted())
    }

    /// The same plan with the quantities and add-ons of another offer, as far as it has these options, allows that many, and
    /// the add-ons' cycles fit; what it includes by itself is never given up.
    #[must_use]
    pub fn keeping(mut self, before: &Self) -> Self {
        for choice in &mut self.options {
            let had = before.options.iter().find(|had| had.key == choice.key).map_or(0, |had| had.quantity);
            let wanted = had.max(choice.usual());
            choice.quantity = if choice.allows(wanted) { wanted } else { choice.usual() };
        }
        let (term, currency) = (self.term, self.price.currency);
        let along = before.addons.iter().filter_map(|addon| addon.moved_to(term, currency)).collect();
        self.with_addons(along).counted()
    }

    /// The streams at a time follow the option that says how many there are.
    fn counted(mut self) -> Self {
        let streams = self.options.iter().find(|choice| choice.effect == Effect::Connections);
        if let Some(streams) = streams {
            self.connections = streams.quantity.saturating_add(self.added_connections());
        }
        self
    }

    /// Whether it is the same price with the same quantities.
    #[must_use]
    pub fn buys_the_same(&self, other: &Self) -> bool {
        let pairs = |offer: &Self| -> Vec<(String, u32)> {
            offer.extras().map(|extra| (extra.key.into_owned(), extra.quantity)).collect()
        };
        self.price_id == other.price_id && pairs(self) == pairs(other)
    }

    /// What there is less of in `new`: name, before, afterwards.
    pub fn fewer_in<'a>(&'a self, new: &'a Self) -> impl Iterator<Item = (&'a str, u32, u32)> {
        let of = |extra: Extra<'a>| (extra.name, extra.quantity, new.quantity_of(&extra.key));
        self.extras().map(of).filter(|(_, before, after)| after < before)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::{TimeZone, Utc};
    use ottery_kernel::{Period, Term};

    use super::*;
    use crate::domain::proration::tests::offer;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    /// Two streams included, up to six, each more at 3.00 and 1.00 once; and a country lock at 0.50.
    pub fn with_options(minor: i64, term: Term) -> Offer {
        let streams = Choice {
            key: "streams".into(),
            name: "Streams at a time".into(),
            effect: Effect::Connections,
            min: 2,
            max: 6,
            step: 1,
            included: 2,
            unit_price: eur(300),
            setup_fee: eur(100),
            quantity: 2,
        };
        let lock = Choice {
            key: "lock".into(),
            name: "Country lock".into(),
            effect: Effect::None,
            min: 0,
            max: 1,
            included: 0,
            unit_price: eur(50),
            setup_fee: eur(0),
            quantity: 0,
            ..streams.clone()
        };
        Offer { options: vec![streams, lock], ..offer(minor, term) }
    }

    pub fn quantity(key: &str, quantity: u32) -> Quantity {
        Quantity { key: key.into(), quantity }
    }

    #[test]
    fn what_is_chosen_is_in_the_price_and_the_streams_follow() {
        let plain = with_options(1000, Term::MONTH);
        assert_eq!((plain.term_price(), plain.connections), (Ok(eur(1000)), 2));
        let chosen = plain.choose(&[quantity("streams", 4), quantity("lock", 1)]).unwrap();
        assert_eq!((chosen.term_price(), chosen.connections), (Ok(eur(1650)), 4));
        assert_eq!((chosen.units_of("streams"), chosen.units_of("lock"), chosen.units_of("none")), (2, 1, 0));
        assert!(chosen.has_setup());
    }

    #[test]
    fn a_choice_that_cannot_be_made_says_what_can() {
        let choose = |wanted: &[Quantity]| with_options(1000, Term::MONTH).choose(wanted).unwrap_err();
        assert_eq!(choose(&[quantity("streams", 7)]).to_string(), "`streams`: choose 2 to 6 in steps of 1, got 7");
        assert_eq!(choose(&[quantity("streams", 1)]).reason(), "OPTION_QUANTITY");
        assert_eq!(choose(&[quantity("dvr", 1)]).to_string(), "the plan has no option `dvr`; it has streams, lock");
        assert_eq!(choose(&[quantity("lock", 1), quantity("lock", 0)]).reason(), "OPTION_TWICE");
        let mut pairs = with_options(1000, Term::MONTH);
        pairs.options[0].step = 2;
        assert_eq!(pairs.clone().choose(&[quantity("streams", 3)]).unwrap_err().reason(), "OPTION_QUANTITY");
        assert_eq!(pairs.choose(&[quantity("streams", 4)]).unwrap().connections, 4);
    }

    #[test]
    fn quantities_come_along_to_another_plan_as_far_as_it_has_them() {
        let had = with_options(1000, Term::MONTH).choose(&[quantity("streams", 5), quantity("lock", 1)]).unwrap();
        let yearly = with_options(9000, Term::YEAR).keeping(&had);
        assert_eq!((yearly.connections, yearly.units_of("lock")), (5, 1));
        // A larger plan includes more than was bought before; a smaller one does not go that far.
        let mut large = with_options(2000, Term::MONTH);
        (large.options[0].included, large.options[0].max, large.connections) = (6, 9, 6);
        assert_eq!(large.keeping(&had).connections, 6);
        let mut small = with_options(500, Term::MONTH);
        (small.options[0].max, small.options[1].key) = (3, "other".into());
        let small = small.keeping(&had);
        assert_eq!((small.connections, small.units_of("other")), (2, 0));
        assert_eq!(had.fewer_in(&small).collect::<Vec<_>>(), [("Streams at a time", 5, 2), ("Country lock", 1, 0)]);
    }

    #[test]
    fn lines_name_units_and_always_add_up() {
        let at = |month| Utc.with_ymd_and_hms(2026, month, 1, 0, 0, 0).unwrap();
        let june = Period::try_new(at(6), at(7)).unwrap();
        let tax = Tax::contained(1900);
        let chosen = with_options(1000, Term::MONTH).choose(&[quantity("streams", 5)]).unwrap();
        let whole = stretch_lines(&chosen, &Stretch::term(june), &tax).unwrap();
        assert_eq!((whole.len(), whole[0].quantity, whole[0].amount), (1, 3, eur(900)));
        assert_eq!(whole[0].description, "Streams at a time, 1 month");
        // 7 of 30 days: 2.10, and 0.70 each.
        let week = Period::try_new(june.start(), june.start() + chrono::TimeDelta::days(7)).unwrap();
        let part = stretch_lines(&chosen, &Stretch { period: week, whole: june }, &tax).unwrap();
        assert_eq!((part[0].quantity, part[0].amount), (3, eur(210)));
        // 1 of 30 days: 0.30 becomes 0.10 each; an amount that no three units share says so in words.
        let how = Addend::all(Source::Price(Priced::of(&chosen)), eur(100)).into();
        let odd = units_line(3, "Streams", how, Currency::EUR, &tax).unwrap();
        assert_eq!((odd.quantity, odd.description.as_str()), (1, "3 × Streams"));
        let setup = setup_lines(&chosen, None, &tax).unwrap();
        assert_eq!((setup[0].description.as_str(), setup[0].amount), ("Set-up: Streams at a time", eur(300)));
        let more = chosen.clone().choose(&[quantity("streams", 6)]).unwrap();
        assert_eq!(setup_lines(&more, Some(&chosen), &tax).unwrap()[0].amount, eur(100));
        assert!(setup_lines(&chosen, Some(&more), &tax).unwrap().is_empty());
    }

    #[test]
    fn an_offer_of_before_there_were_options_is_read_as_it_was() {
        let plain = offer(1000, Term::MONTH);
        let text = serde_json::to_string(&plain).unwrap();
        assert!(!text.contains("options"), "{text}");
        assert_eq!(serde_json::from_str::<Offer>(&text).unwrap(), plain);
        let chosen = with_options(1000, Term::MONTH);
        assert_eq!(serde_json::from_str::<Offer>(&serde_json::to_string(&chosen).unwrap()).unwrap(), chosen);
    }
}
