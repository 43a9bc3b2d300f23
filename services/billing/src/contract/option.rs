//! Options between the catalogue, billing and whoever reads.

use anyhow::Context as _;
use ottery_proto::billing::v1 as proto;
use ottery_proto::catalog::v1 as catalog;
use ottery_proto::catalog::v1::plan_option::Effect as Sent;

use super::{money, money_from, term_from};
use crate::domain::option::{Choice, Effect, Quantity};

/// The options of a version at the prices that belong to `price`, each as the plan includes it.
///
/// # Errors
/// When one has no such price, which a working catalogue never sends.
pub fn choices_from(version: &catalog::PlanVersion, price: &catalog::Price) -> anyhow::Result<Vec<Choice>> {
    let options = version.options.iter().flat_map(|options| &options.items);
    options.map(|option| choice_from(option, price)).collect()
}

fn choice_from(option: &catalog::PlanOption, price: &catalog::Price) -> anyhow::Result<Choice> {
    let amount = price.amount.as_ref().context("a price without amount")?;
    let term = term_from(price.term.as_ref().context("a price without term")?)?;
    let is_of = |sent: &&catalog::OptionPrice| {
        sent.amount.as_ref().is_some_and(|sent| sent.currency == amount.currency)
            && sent.term.as_ref().and_then(|sent| term_from(sent).ok()) == Some(term)
    };
    let sent = option.prices.iter().find(is_of);
    let sent =
        sent.with_context(|| format!("option `{}` has no price in {} for {term}", option.key, amount.currency))?;
    let unit_price = money_from("options.amount", sent.amount.as_ref().context("an option without amount")?)?;
    let setup_fee = match sent.setup_fee.as_ref().filter(|fee| fee.minor != 0) {
        Some(fee) => money_from("options.setup_fee", fee)?,
        None => ottery_kernel::Money::zero(unit_price.currency),
    };
    let choice = Choice {
        key: option.key.clone(),
        name: option.name.clone(),
        effect: match option.effect() {
            Sent::Unspecified | Sent::None => Effect::None,
            Sent::Connections => Effect::Connections,
        },
        min: option.min,
        max: option.max,
        step: option.step.max(1),
        included: option.included,
        unit_price,
        setup_fee,
        quantity: 0,
    };
    Ok(Choice { quantity: choice.usual(), ..choice })
}

/// A chosen option.
#[must_use]
pub fn chosen(choice: &Choice) -> proto::ChosenOption {
    proto::ChosenOption {
        key: choice.key.clone(),
        name: choice.name.clone(),
        quantity: choice.quantity,
        included: choice.included,
        min: choice.min,
        max: choice.max,
        step: choice.step,
        unit_price: Some(money(choice.unit_price)),
        setup_fee: Some(money(choice.setup_fee)),
        effect: match choice.effect {
            Effect::None => Sent::None.into(),
            Effect::Connections => Sent::Connections.into(),
        },
    }
}

/// How many units of an option somebody has.
#[must_use]
pub fn quantity(choice: &Choice) -> proto::OptionQuantity {
    proto::OptionQuantity { key: choice.key.clone(), quantity: choice.quantity }
}

/// How many units somebody wants.
#[must_use]
pub fn quantities_from(sent: Vec<proto::OptionQuantity>) -> Vec<Quantity> {
    sent.into_iter().map(|sent| Quantity { key: sent.key, quantity: sent.quantity }).collect()
}
