//! The part of a plan's form that is about its options.

use ottery_kernel::{Currency, Money as Exact};
use ottery_proto::catalog::v1::plan_option::Effect;
use ottery_proto::catalog::v1::{OptionPrice, PlanOption, PlanOptions, PlanVersion, Term, TermUnit};
use ottery_proto::common::v1::Money;

use super::plan_form::{decimal, head};
use crate::pages::block::{Field, Sent};
use crate::pages::text;
use crate::problem::{Refusal, Reply};

/// Empty places for new options.
const NEW_OPTIONS: usize = 2;
/// Options a plan may have in this form.
const OPTIONS_MAX: usize = 20;

/// Its fields.
pub fn fields(version: &PlanVersion) -> Vec<Field> {
    let options = version.options.clone().unwrap_or_default().items;
    let mut fields = vec![head("Options by the unit")];
    let blank = PlanOption { step: 1, ..PlanOption::default() };
    let known = options.iter().map(Some).chain(std::iter::repeat_n(None, NEW_OPTIONS));
    for (index, option) in known.enumerate() {
        let label = if option.is_some() { format!("Option {}", index + 1) } else { "New option".to_owned() };
        let option = option.unwrap_or(&blank);
        let part = |name: &str| format!("option{index}.{name}");
        let number = |name: &str, label: &str, value: u32| {
            Field::new("number", part(name), label).value(value.to_string()).quarter()
        };
        let effects = [("none", "told to the panel by its key"), ("connections", "number of streams at a time")];
        let effects = effects.map(|(value, label)| (value.to_owned(), label.to_owned())).to_vec();
        let effect = if option.effect() == Effect::Connections { "connections" } else { "none" };
        let prices: Vec<String> = option.prices.iter().map(written).collect();
        fields.extend([
            Field::text(part("name"), format!("{label}: name")).value(&option.name).half(),
            Field::text(part("key"), "Key").value(&option.key).half().example("streams"),
            number("min", "Fewest", option.min),
            number("max", "Most", option.max),
            number("step", "Steps of", option.step.max(1)),
            number("included", "Included", option.included),
            Field::select(part("effect"), "A unit is", effects).value(effect).half(),
            Field { rows: 2, ..Field::new("textarea", part("prices"), "A unit more costs") }
                .value(prices.join("\n"))
                .example("1 month: 3.00 EUR + 1.00 once")
                .half()
                .help("One line for each price of the plan. An option without a name is left out."),
        ]);
    }
    fields
}

/// `1 month: 3.00 EUR + 1.00 once`
fn written(price: &OptionPrice) -> String {
    let amount = price.amount.clone().unwrap_or_default();
    let setup = match price.setup_fee.as_ref().filter(|fee| fee.minor > 0) {
        Some(fee) => format!(" + {} once", decimal(Some(fee))),
        None => String::new(),
    };
    format!("{}: {} {}{setup}", text::length(price.term.as_ref()), decimal(Some(&amount)), amount.currency)
}

fn read_line(line: &str) -> Option<Result<OptionPrice, String>> {
    let (term, costs) = line.split_once(':')?;
    let (count, unit) = term.trim().split_once(' ')?;
    let unit = match unit.trim().trim_end_matches('s') {
        "day" => TermUnit::Day,
        "week" => TermUnit::Week,
        "month" => TermUnit::Month,
        "year" => TermUnit::Year,
        _ => return None,
    };
    let (amount, setup) = match costs.split_once('+') {
        Some((amount, setup)) => (amount, Some(setup.trim().trim_end_matches("once").trim())),
        None => (costs, None),
    };
    let (number, code) = amount.trim().split_once(' ')?;
    let count = count.trim().parse().ok()?;
    Some(read_amounts(number, setup, code.trim()).map(|(amount, setup_fee)| OptionPrice {
        term: Some(Term { count, unit: unit.into() }),
        amount: Some(amount),
        setup_fee,
    }))
}

fn read_amounts(number: &str, setup: Option<&str>, code: &str) -> Result<(Money, Option<Money>), String> {
    let currency: Currency =
        code.to_ascii_uppercase().parse().map_err(|error: ottery_kernel::CurrencyError| error.to_string())?;
    let money = |text: &str| {
        let exact = Exact::parse(&text.replace(',', "."), currency).map_err(|error| error.to_string())?;
        Ok::<_, String>(Money { minor: exact.minor, currency: currency.code().to_owned() })
    };
    Ok((money(number)?, setup.map(money).transpose()?))
}

/// The options as the form says.
///
/// # Errors
/// Numbers and prices that are none.
pub fn read(sent: &Sent) -> Reply<PlanOptions> {
    let mut items = Vec::new();
    for index in 0..OPTIONS_MAX {
        let part = |name: &str| format!("option{index}.{name}");
        if sent.get(&part("name")).is_empty() {
            continue;
        }
        let mut prices = Vec::new();
        for line in sent.lines(&part("prices")) {
            let wrong = |why: &str| {
                let message = format!("`{line}`: {why}; write for example “1 month: 3.00 EUR + 1.00 once”");
                Refusal::invalid(part("prices"), "option_price_invalid", message)
            };
            let read = read_line(&line).ok_or_else(|| wrong("this is no price"))?;
            prices.push(read.map_err(|why| wrong(&why))?);
        }
        let effect = if sent.get(&part("effect")) == "connections" { Effect::Connections } else { Effect::None };
        items.push(PlanOption {
            key: sent.text(&part("key")),
            name: sent.text(&part("name")),
            effect: effect.into(),
            min: sent.number(&part("min"))?,
            max: sent.number(&part("max"))?,
            step: sent.number(&part("step"))?,
            included: sent.number(&part("included"))?,
            prices,
        });
    }
    Ok(PlanOptions { items })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur(minor: i64) -> Option<Money> {
        Some(Money { minor, currency: "EUR".into() })
    }

    fn version() -> PlanVersion {
        let price = |count, unit: TermUnit, minor, setup_fee| OptionPrice {
            term: Some(Term { count, unit: unit.into() }),
            amount: eur(minor),
            setup_fee,
        };
        let streams = PlanOption {
            key: "streams".into(),
            name: "Streams".into(),
            effect: Effect::Connections.into(),
            min: 2,
            max: 6,
            step: 2,
            included: 2,
            prices: vec![
                price(1, TermUnit::Month, 300, eur(100)),
                price(3, TermUnit::Month, 800, None),
                price(1, TermUnit::Year, 3000, None),
            ],
        };
        PlanVersion { options: Some(PlanOptions { items: vec![streams] }), ..PlanVersion::default() }
    }

    #[test]
    fn what_the_form_shows_is_read_back_unchanged() {
        let shown = fields(&version()).into_iter().filter(|field| field.kind != "heading");
        let sent: Vec<_> = shown.map(|field| (field.name, field.value)).collect();
        assert!(sent.iter().any(|(_, value)| value.starts_with("1 month: 3.00 EUR + 1.00 once\n3 months: 8.00 EUR")));
        assert_eq!(Some(read(&Sent::from(sent)).unwrap()), version().options);
    }

    #[test]
    fn a_line_that_is_no_price_says_how_one_looks() {
        for line in ["3.00 EUR", "month: 3.00 EUR", "1 month: 3.00", "1 month: 3.001 EUR", "1 month: 3 EURO"] {
            let sent =
                vec![("option0.name".to_owned(), "Streams".to_owned()), ("option0.prices".to_owned(), line.to_owned())];
            let refusal = read(&Sent::from(sent)).unwrap_err();
            assert_eq!(refusal.field.as_deref(), Some("option0.prices"), "{line}");
            assert!(refusal.detail.contains(line), "{}", refusal.detail);
        }
    }
}
