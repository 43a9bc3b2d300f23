//! What amounts a brand takes: of top-ups, and the least of a payment.

use axum::extract::State;
use axum::response::Response;
use ottery_kernel::{Currency, Money as Exact};
use ottery_proto::billing::v1 as billing;

use super::desk::Desk;
use super::invoice_form::amount;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table};
use crate::pages::frame::{Page, Ui, go_done};
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// The amounts of a currency, as fields and columns name them, as the contract does, and what they mean.
const AMOUNTS: [(&str, &str, &str); 3] = [
    ("top_up_min", "Smallest top-up", ""),
    ("top_up_max", "Largest top-up", ""),
    ("charge_min", "Least payment", "0: as little as the payment provider takes."),
];

fn field(name: &str, currency: &str) -> String {
    format!("{name}.{currency}")
}

fn decimal(minor: i64, currency: &str) -> String {
    currency.parse::<Currency>().map(|code| Exact::new(minor, code).to_decimal()).unwrap_or_default()
}

const fn minors(rule: &billing::AmountRule) -> [i64; 3] {
    [rule.top_up_min_minor, rule.top_up_max_minor, rule.charge_min_minor]
}

/// `GET /staff/b/{brand}/amounts`
pub async fn page(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    show(&state, &desk, &ui, None).await
}

async fn show(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let asked = billing::GetAmountRulesRequest {};
    let found = state.clients.billing(&desk.call()).get_amount_rules(asked).await?.into_inner();
    let page = Page::new("Amounts")
        .intro(
            "What customers may put into their wallet at once, and the least that is asked for in one payment. A renewal below that is \
             carried forward and asked for with the next one; an order below it is for the wallet only.",
        )
        .refused(failed);
    if !desk.may("brand.update") {
        let rows = found.rules.iter().map(|rule| {
            let amounts = minors(rule).map(|minor| Cell::number(decimal(minor, &rule.currency)));
            [Cell::text(rule.currency.clone())].into_iter().chain(amounts).collect()
        });
        let columns: Vec<&str> = std::iter::once("Currency").chain(AMOUNTS.map(|(_, label, _)| label)).collect();
        return desk.show(ui, page.with(Block::Table(Table::new("", &columns, "The brand sells nothing.").rows(rows))));
    }
    let mut form =
        Form::new("", desk.at("/amounts"), "Save").field(Field::hidden("version", found.version.to_string()));
    for rule in &found.rules {
        for ((name, label, help), minor) in AMOUNTS.into_iter().zip(minors(rule)) {
            let label = format!("{label} in {}", rule.currency);
            let entry = Field { inputmode: "decimal", ..Field::text(field(name, &rule.currency), label) };
            form = form.field(entry.value(decimal(minor, &rule.currency)).help(help).half());
        }
    }
    desk.show(ui, page.with(Block::Form(form.refused(failed))))
}

/// `POST /staff/b/{brand}/amounts`
pub async fn put(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let currencies = &desk.brand.currencies;
    let result = async {
        let rules = currencies.iter().map(|currency| rule(&sent, currency)).collect::<Reply<Vec<_>>>()?;
        let request = billing::PutAmountRulesRequest { rules, expected_version: sent.number("version")? };
        state.clients.billing(&desk.call()).put_amount_rules(request).await.map_err(Refusal::from)?;
        Ok::<_, Refusal>(())
    };
    match result.await {
        Ok(()) => Ok(go_done(&desk.at("/amounts"), "saved")),
        Err(refusal) => {
            let failed = Failed { action: String::new(), sent, refusal: in_form(refusal, currencies) };
            show(&state, &desk, &ui, Some(&failed)).await
        }
    }
}

fn rule(sent: &Sent, currency: &str) -> Reply<billing::AmountRule> {
    let entered = |name: &str| -> Reply<i64> {
        let name = field(name, currency);
        let missing = || Refusal::invalid(name.as_str(), "amount_missing", format!("say how much, in {currency}"));
        Ok(amount(sent, &name, currency)?.ok_or_else(missing)?.minor)
    };
    let (top_up_min_minor, top_up_max_minor) = (entered("top_up_min")?, entered("top_up_max")?);
    if top_up_max_minor < top_up_min_minor {
        let message = format!("at least {}, the smallest top-up", decimal(top_up_min_minor, currency));
        return Err(Refusal::invalid(field("top_up_max", currency), "amount_invalid", message));
    }
    let charge_min_minor = entered("charge_min")?;
    Ok(billing::AmountRule { currency: currency.to_owned(), top_up_min_minor, top_up_max_minor, charge_min_minor })
}

/// The refusal with its field named as the form names it: `rules[1].top_up_max_minor` is `top_up_max.USD`.
fn in_form(mut refusal: Refusal, currencies: &[String]) -> Refusal {
    let own = |named: &str| {
        let (at, name) = named.strip_prefix("rules[")?.split_once("].")?;
        Some(field(name.strip_suffix("_minor")?, currencies.get(at.parse::<usize>().ok()?)?))
    };
    if let Some(named) = refusal.field.as_deref().and_then(own) {
        refusal.field = Some(named);
    }
    refusal
}
