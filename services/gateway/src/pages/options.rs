//! Choosing options in a form: one field for each, with what it costs.

use ottery_proto::billing::v1::{ChosenOption, OptionQuantity};
use ottery_proto::catalog::v1::{PlanOption, PlanVersion, Price};
use ottery_proto::common::v1::Money;

use super::block::{Field, Sent};
use super::text::{self, Manner};
use crate::problem::Reply;

/// Quantities a select lists; more are typed.
const LISTED_MAX: u32 = 60;

/// Name of the field of an option.
fn field_name(key: &str) -> String {
    format!("option.{key}")
}

/// What a form needs of an option, wherever it comes from.
#[derive(Clone, Debug)]
pub struct Shown {
    key: String,
    name: String,
    min: u32,
    max: u32,
    step: u32,
    included: u32,
    quantity: u32,
    unit: Option<Money>,
    setup: Option<Money>,
}

impl Shown {
    /// An option of a plan beside that price; none when it is not sold with it.
    fn of_plan(option: &PlanOption, price: &Price) -> Option<Self> {
        let currency = |amount: &Option<Money>| amount.as_ref().map(|amount| amount.currency.clone());
        let beside = option
            .prices
            .iter()
            .find(|own| own.term == price.term && currency(&own.amount) == currency(&price.amount))?;
        Some(Self {
            key: option.key.clone(),
            name: option.name.clone(),
            min: option.min,
            max: option.max,
            step: option.step,
            included: option.included,
            quantity: option.included.max(option.min),
            unit: beside.amount.clone(),
            setup: beside.setup_fee.clone(),
        })
    }

    /// An option somebody has.
    fn of_chosen(option: &ChosenOption) -> Self {
        Self {
            key: option.key.clone(),
            name: option.name.clone(),
            min: option.min,
            max: option.max,
            step: option.step,
            included: option.included,
            quantity: option.quantity,
            unit: option.unit_price.clone(),
            setup: option.setup_fee.clone(),
        }
    }

    /// `€3.00 per month each beyond 2, €1.00 once`
    fn costs(&self, per: &str, manner: &Manner) -> String {
        let unit = manner.money(self.unit.as_ref());
        let beyond = if self.included > 0 { format!(" beyond {}", self.included) } else { String::new() };
        let setup = match self.setup.as_ref().filter(|setup| setup.minor > 0) {
            Some(setup) => format!(", {} once", manner.money(Some(setup))),
            None => String::new(),
        };
        format!("{unit} per {per} each{beyond}{setup}")
    }

    fn field(&self, per: &str, manner: &Manner) -> Field {
        let help = format!("{}.", self.costs(per, manner));
        let step = self.step.max(1);
        let listed = (self.max.saturating_sub(self.min)) / step;
        let field = if listed < LISTED_MAX {
            let counts = (0..=listed).map(|n| self.min + n * step);
            let options = counts.map(|count| (count.to_string(), self.label(count, manner))).collect();
            Field::select(field_name(&self.key), &self.name, options)
        } else {
            Field::new("number", field_name(&self.key), &self.name)
        };
        field.value(self.quantity.to_string()).help(help)
    }

    /// `4 (€6.00)`
    fn label(&self, count: u32, manner: &Manner) -> String {
        let units = i64::from(count.saturating_sub(self.included));
        let unit = self.unit.clone().unwrap_or_default();
        let cost = Money { minor: unit.minor.saturating_mul(units), ..unit };
        if cost.minor == 0 { count.to_string() } else { format!("{count} ({})", manner.money(Some(&cost))) }
    }
}

/// The options of a plan that are sold beside that price.
#[must_use]
pub fn of_plan(version: &PlanVersion, price: &Price) -> Vec<Shown> {
    let options = version.options.iter().flat_map(|options| &options.items);
    options.filter_map(|option| Shown::of_plan(option, price)).collect()
}

/// The options somebody has.
#[must_use]
pub fn of_chosen(options: &[ChosenOption]) -> Vec<Shown> {
    options.iter().map(Shown::of_chosen).collect()
}

/// One field for each option, holding what is chosen.
pub fn fields(options: &[Shown], per: &str, manner: &Manner) -> Vec<Field> {
    options.iter().map(|option| option.field(per, manner)).collect()
}

/// What options there are and what they cost, for a plan's page.
#[must_use]
pub fn described(version: &PlanVersion, price: &Price, manner: &Manner) -> Vec<String> {
    let per = text::per(price.term.as_ref());
    let sentence = |one: &Shown| format!("{}: {} to {}, {}", one.name, one.min, one.max, one.costs(&per, manner));
    of_plan(version, price).iter().map(sentence).collect()
}

/// What a form or address chose of these options; what it does not name stays as it is.
///
/// # Errors
/// A quantity that is no number.
pub fn chosen(sent: &Sent, options: &[Shown]) -> Reply<Vec<OptionQuantity>> {
    let mut found = Vec::new();
    for option in options {
        let name = field_name(&option.key);
        if !sent.get(&name).is_empty() {
            found.push(OptionQuantity { key: option.key.clone(), quantity: sent.number(&name)? });
        }
    }
    Ok(found)
}

/// Choices as pairs for hidden fields and addresses.
#[must_use]
pub fn pairs(chosen: &[OptionQuantity]) -> Vec<(String, String)> {
    chosen.iter().map(|one| (field_name(&one.key), one.quantity.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use ottery_proto::catalog::v1::{OptionPrice, PlanOptions, Term, TermUnit};

    use super::*;

    fn eur(minor: i64) -> Option<Money> {
        Some(Money { minor, currency: "EUR".into() })
    }

    fn month() -> Option<Term> {
        Some(Term { count: 1, unit: TermUnit::Month.into() })
    }

    fn version() -> PlanVersion {
        let streams = PlanOption {
            key: "streams".into(),
            name: "Streams".into(),
            min: 2,
            max: 4,
            step: 1,
            included: 2,
            prices: vec![OptionPrice { term: month(), amount: eur(300), setup_fee: eur(100) }],
            ..PlanOption::default()
        };
        PlanVersion { options: Some(PlanOptions { items: vec![streams] }), ..PlanVersion::default() }
    }

    #[test]
    fn an_option_says_what_each_quantity_costs_beside_the_price_it_belongs_to() {
        let manner = Manner { locale: "en".into(), zone: chrono_tz::Tz::UTC, now: chrono::DateTime::UNIX_EPOCH };
        let price = Price { term: month(), amount: eur(1000), ..Price::default() };
        let shown = of_plan(&version(), &price);
        let field = fields(&shown, "month", &manner).remove(0);
        assert_eq!((field.name.as_str(), field.value.as_str()), ("option.streams", "2"));
        let labels: Vec<_> = field.options.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["2", "3 (€3.00)", "4 (€6.00)"]);
        assert_eq!(field.help, "€3.00 per month each beyond 2, €1.00 once.");
        assert_eq!(
            described(&version(), &price, &manner),
            ["Streams: 2 to 4, €3.00 per month each beyond 2, €1.00 once"]
        );
        // Not sold beside a price of another currency.
        let dollars = Price { amount: Some(Money { minor: 1100, currency: "USD".into() }), ..price };
        assert!(of_plan(&version(), &dollars).is_empty());
    }

    #[test]
    fn what_is_sent_is_read_back_as_it_was_written() {
        let shown = of_plan(&version(), &Price { term: month(), amount: eur(1000), ..Price::default() });
        let sent = Sent::from(vec![("option.streams".to_owned(), "4".to_owned()), ("option.dvr".into(), "9".into())]);
        let chosen = chosen(&sent, &shown).unwrap();
        assert_eq!(pairs(&chosen), [("option.streams".to_owned(), "4".to_owned())]);
        let wrong = Sent::from(vec![("option.streams".to_owned(), "many".to_owned())]);
        assert_eq!(super::chosen(&wrong, &shown).unwrap_err().field.as_deref(), Some("option.streams"));
    }
}
