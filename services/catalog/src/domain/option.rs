//! Options of a plan: what is bought by the unit beside it.

use ottery_kernel::{Currency, Money, Term};
use serde::{Deserialize, Serialize};

use super::plan::{CONNECTIONS_MAX, Price, PriceDraft};
use super::words::line;
use super::{Invalid, Slug};

/// Options a plan may have.
const OPTIONS_MAX: usize = 20;
/// Units of one option at most.
const QUANTITY_MAX: u32 = 1_000;

/// What the units of an option are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptionEffect {
    /// Provisioning hears of them by the option's key.
    #[default]
    None,
    /// Streams at a time.
    Connections,
}

/// What a unit costs in one currency and term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionPrice {
    /// Of the plan.
    pub term: Term,
    /// Gross, one unit beyond the included ones, one term.
    pub amount: Money,
    /// Gross, once for such a unit.
    pub setup_fee: Money,
}

/// Something bought by the unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanOption {
    /// Names it over versions and plans.
    pub key: Slug,
    /// As customers read it.
    pub name: String,
    /// What its units are.
    pub effect: OptionEffect,
    /// Fewest units.
    pub min: u32,
    /// Most units.
    pub max: u32,
    /// Units from one quantity to the next.
    pub step: u32,
    /// Units that cost nothing extra.
    pub included: u32,
    /// One for every currency and term of the plan, maybe more.
    pub prices: Vec<OptionPrice>,
}

/// An option as it arrives.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the same fields as PlanOption, unchecked")]
pub struct OptionDraft {
    pub key: String,
    pub name: String,
    pub effect: Option<OptionEffect>,
    pub min: u32,
    pub max: u32,
    /// 0 is 1.
    pub step: u32,
    pub included: u32,
    pub prices: Vec<PriceDraft>,
}

/// Checks the options of a plan as far as they speak for themselves; [`check_options`] compares them with the plan.
///
/// # Errors
/// The first field that cannot be right, as `content.options[n].…`.
pub fn validate_options(drafts: Vec<OptionDraft>, allowed: &[Currency]) -> Result<Vec<PlanOption>, Invalid> {
    if drafts.len() > OPTIONS_MAX {
        return Err(Invalid::new("content.options", "LENGTH", format!("give at most {OPTIONS_MAX} options")));
    }
    let mut options: Vec<PlanOption> = Vec::with_capacity(drafts.len());
    for (n, draft) in drafts.into_iter().enumerate() {
        let at = format!("content.options[{n}]");
        let option = draft.validate(allowed).map_err(|invalid| invalid.below(&at))?;
        if options.iter().any(|other| other.key == option.key) {
            let message = format!("there is already an option `{}`; its key names it", option.key);
            return Err(Invalid::new(format!("{at}.key"), "OPTION_TWICE", message));
        }
        let moves = |option: &PlanOption| option.effect == OptionEffect::Connections;
        if moves(&option) && options.iter().any(moves) {
            let message = "one option alone can say how many streams run at a time";
            return Err(Invalid::new(format!("{at}.effect"), "OPTION_TWICE", message));
        }
        options.push(option);
    }
    Ok(options)
}

/// Checks options against the plan they belong to: nobody can buy what has no price.
///
/// # Errors
/// The first option that does not fit, as `content.options[n].…`.
pub fn check_options(options: &[PlanOption], connections: u32, prices: &[Price]) -> Result<(), Invalid> {
    for (n, option) in options.iter().enumerate() {
        let field = |name: &str| format!("content.options[{n}].{name}");
        if option.effect == OptionEffect::Connections && option.included != connections {
            let message = format!(
                "the plan has {connections} streams at a time, so {connections} are included; got {}",
                option.included
            );
            return Err(Invalid::new(field("included"), "OPTION_INCLUDED", message));
        }
        let is_missing = |price: &&Price| option.price(price.amount.currency, price.term).is_none();
        if let Some(price) = prices.iter().find(is_missing) {
            let (currency, term) = (price.amount.currency, price.term);
            let message = format!(
                "`{}` needs a price in {currency} for {term}, because the plan has one; 0 makes it free",
                option.key
            );
            return Err(Invalid::new(field("prices"), "OPTION_PRICE_MISSING", message));
        }
    }
    Ok(())
}

impl PlanOption {
    /// What a unit costs beside the plan's price of that currency and term.
    #[must_use]
    pub fn price(&self, currency: Currency, term: Term) -> Option<&OptionPrice> {
        self.prices.iter().find(|price| price.amount.currency == currency && price.term == term)
    }
}

impl OptionDraft {
    fn validate(self, allowed: &[Currency]) -> Result<PlanOption, Invalid> {
        let key: Slug = self.key.parse().map_err(|invalid: Invalid| Invalid { field: "key".into(), ..invalid })?;
        let name = line("name", &self.name, 2, 60)?;
        let effect = self.effect.ok_or_else(|| Invalid::new("effect", "MISSING", "choose none or connections"))?;
        let step = self.step.max(1);
        let (least, most) = match effect {
            OptionEffect::None => (0, QUANTITY_MAX),
            OptionEffect::Connections => (1, CONNECTIONS_MAX),
        };
        if !(least..=most).contains(&self.min) {
            return Err(Invalid::new("min", "RANGE", format!("use {least} to {most}, got {}", self.min)));
        }
        if self.max > most || self.max <= self.min {
            let message = format!("use {} to {most}: more than the fewest, got {}", self.min + 1, self.max);
            return Err(Invalid::new("max", "RANGE", message));
        }
        if !(self.max - self.min).is_multiple_of(step) {
            let message = format!("from {} to {} there are no whole steps of {step}", self.min, self.max);
            return Err(Invalid::new("step", "OPTION_STEP", message));
        }
        // What is included can be chosen, unless more is asked for at least.
        let is_off =
            self.included > self.max || (self.included > self.min && !(self.included - self.min).is_multiple_of(step));
        if is_off {
            let message = format!(
                "use a number of units somebody can have: {} to {} in steps of {step}, got {}",
                self.min, self.max, self.included
            );
            return Err(Invalid::new("included", "OPTION_INCLUDED", message));
        }
        let mut prices: Vec<OptionPrice> = Vec::with_capacity(self.prices.len());
        for (n, draft) in self.prices.into_iter().enumerate() {
            let at = format!("prices[{n}]");
            let (term, amount, setup_fee) = draft.parts(allowed, 0).map_err(|invalid| invalid.below(&at))?;
            if prices.iter().any(|other| other.amount.currency == amount.currency && other.term == term) {
                return Err(Invalid::new(at, "PRICE_TWICE", "there is already a price of this currency and term"));
            }
            prices.push(OptionPrice { term, amount, setup_fee });
        }
        Ok(PlanOption { key, name, effect, min: self.min, max: self.max, step, included: self.included, prices })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use ottery_kernel::{PriceId, TermUnit};

    use super::*;

    fn price(currency: &str, minor: i64, months: u32) -> PriceDraft {
        PriceDraft {
            currency: currency.into(),
            amount_minor: minor,
            setup_fee: None,
            term_count: months,
            term_unit: Some(TermUnit::Month),
            once: false,
        }
    }

    fn streams() -> OptionDraft {
        OptionDraft {
            key: "streams".into(),
            name: "Streams at a time".into(),
            effect: Some(OptionEffect::Connections),
            min: 2,
            max: 6,
            step: 2,
            included: 2,
            prices: vec![price("EUR", 300, 1)],
        }
    }

    fn refused(draft: OptionDraft) -> (String, &'static str) {
        let invalid = validate_options(vec![draft], &[Currency::EUR]).unwrap_err();
        (invalid.field, invalid.reason)
    }

    #[test]
    fn quantities_lie_on_the_steps_between_fewest_and_most() {
        let option = validate_options(vec![streams()], &[Currency::EUR]).unwrap().remove(0);
        assert_eq!((option.min, option.max, option.step, option.included), (2, 6, 2, 2));
        let field = |name: &str| format!("content.options[0].{name}");
        assert_eq!(refused(OptionDraft { max: 2, ..streams() }), (field("max"), "RANGE"));
        assert_eq!(refused(OptionDraft { max: 52, ..streams() }), (field("max"), "RANGE"));
        assert_eq!(refused(OptionDraft { min: 0, ..streams() }), (field("min"), "RANGE"));
        assert_eq!(refused(OptionDraft { step: 3, ..streams() }), (field("step"), "OPTION_STEP"));
        assert_eq!(refused(OptionDraft { included: 3, ..streams() }), (field("included"), "OPTION_INCLUDED"));
        assert_eq!(refused(OptionDraft { included: 8, ..streams() }), (field("included"), "OPTION_INCLUDED"));
        assert_eq!(refused(OptionDraft { key: "Two words".into(), ..streams() }), (field("key"), "SLUG_MALFORMED"));
        assert_eq!(refused(OptionDraft { effect: None, ..streams() }), (field("effect"), "MISSING"));
        let foreign = OptionDraft { prices: vec![price("USD", 300, 1)], ..streams() };
        assert_eq!(refused(foreign), (field("prices[0].amount.currency"), "CURRENCY_NOT_OFFERED"));
    }

    #[test]
    fn a_key_and_the_streams_belong_to_one_option() {
        let lock = OptionDraft { effect: Some(OptionEffect::None), min: 0, max: 1, step: 0, included: 0, ..streams() };
        let both = validate_options(vec![streams(), lock.clone()], &[Currency::EUR]).unwrap_err();
        assert_eq!((both.field.as_str(), both.reason), ("content.options[1].key", "OPTION_TWICE"));
        let more = OptionDraft { key: "more".into(), ..streams() };
        let both = validate_options(vec![streams(), more], &[Currency::EUR]).unwrap_err();
        assert_eq!((both.field.as_str(), both.reason), ("content.options[1].effect", "OPTION_TWICE"));
        let lock = OptionDraft { key: "country-lock".into(), ..lock };
        let options = validate_options(vec![streams(), lock], &[Currency::EUR]).unwrap();
        assert_eq!(options[1].step, 1, "no step is a step of one");
    }

    #[test]
    fn every_price_of_the_plan_has_a_price_of_the_option() {
        let options = validate_options(vec![streams()], &[Currency::EUR]).unwrap();
        let of = |months| Price {
            id: PriceId::new(DateTime::UNIX_EPOCH),
            amount: Money::new(1000, Currency::EUR),
            setup_fee: Money::zero(Currency::EUR),
            term: Term::try_new(months, TermUnit::Month).unwrap(),
            once: false,
        };
        assert_eq!(check_options(&options, 2, &[of(1)]), Ok(()));
        let missing = check_options(&options, 2, &[of(1), of(3)]).unwrap_err();
        assert_eq!((missing.field.as_str(), missing.reason), ("content.options[0].prices", "OPTION_PRICE_MISSING"));
        let other = check_options(&options, 4, &[of(1)]).unwrap_err();
        assert_eq!((other.field.as_str(), other.reason), ("content.options[0].included", "OPTION_INCLUDED"));
    }
}
