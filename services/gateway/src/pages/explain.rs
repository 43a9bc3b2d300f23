//! "How was this computed", for customers and staff.

use axum::extract::{Path, State};
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::{ExplainedFigure, ExplainedStep, Explanation};

use super::account::show as account_page;
use super::block::{Block, Cell, Table, Tone};
use super::frame::{Page, Ui, manner};
use super::staff::desk::Desk;
use super::text::Manner;
use crate::problem::Reply;
use crate::session::Customer;
use crate::state::AppState;

/// The page of an explanation below `up`.
fn page(found: &Explanation, manner: &Manner, up: (&str, String)) -> Page {
    let mut page = Page::new(format!("{}: how it is computed", found.title))
        .up(up.0, up.1)
        .intro("Each amount with the steps that lead to it. The steps add up to the amount, to the last unit.");
    if !found.note.is_empty() {
        page = page.with(Block::note(Tone::Neutral, "To know", found.note.clone()));
    }
    for figure in &found.figures {
        page = page.with(Block::Table(table(figure, manner)));
    }
    if !found.postings.is_empty() {
        let rows = found.postings.iter().map(|one| {
            vec![
                Cell::code(&one.id).note(manner.moment(one.booked_at.as_ref())),
                Cell::text(&one.kind).note(one.reference_id.clone()),
                Cell::code(&one.debit),
                Cell::code(&one.credit),
                Cell::number(manner.money(one.amount.as_ref())),
            ]
        });
        let columns = ["Transfer", "What happened", "Debit", "Credit", "#Amount"];
        page = page.with(Block::Table(Table::new("In the books", &columns, "").rows(rows)));
    }
    page
}

fn table(figure: &ExplainedFigure, manner: &Manner) -> Table {
    let mut rows: Vec<Vec<Cell>> = figure.steps.iter().map(|step| row(step, manner)).collect();
    rows.push(vec![Cell::text(&figure.name), Cell::text(""), Cell::number(manner.money(figure.amount.as_ref()))]);
    Table::new(&figure.name, &["Step", "#From", "#Amount"], "").rows(rows)
}

fn row(step: &ExplainedStep, manner: &Manner) -> Vec<Cell> {
    let period = match (&step.period_start, &step.period_end) {
        (Some(from), Some(to)) => format!("{} to {}", manner.moment(Some(from)), manner.moment(Some(to))),
        _ => step.reference_id.clone(),
    };
    let share = if step.denominator == 0 {
        String::new()
    } else {
        format!("× {} / {}{}", step.numerator, step.denominator, rounded(step))
    };
    vec![
        Cell::text(&step.text).note(period),
        Cell::number(manner.money(step.base.as_ref())).note(share),
        Cell::number(manner.money(step.result.as_ref())),
    ]
}

fn rounded(step: &ExplainedStep) -> &'static str {
    match step.rounding.as_str() {
        "half_up" => ", to the nearest unit",
        "largest_remainder" => ", so that the parts add up",
        _ => "",
    }
}

/// `GET /account/invoices/{id}/explain`
pub async fn account_invoice(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(invoice_id): Path<String>,
) -> Reply<Response> {
    let up = format!("/account/invoices/{invoice_id}");
    let asked = billing::ExplainInvoiceRequest { invoice_id };
    let found = state.clients.billing(&customer.caller.call()).explain_invoice(asked).await?.into_inner();
    account_page(&customer, &ui, page(&found, &manner(&state, &customer.brand), ("Invoice", up)))
}

/// `GET /account/subscriptions/{id}/explain`
pub async fn account_subscription(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(subscription_id): Path<String>,
) -> Reply<Response> {
    let up = format!("/account/subscriptions/{subscription_id}");
    let asked = billing::ExplainSubscriptionRequest { subscription_id };
    let found = state.clients.billing(&customer.caller.call()).explain_subscription(asked).await?.into_inner();
    account_page(&customer, &ui, page(&found, &manner(&state, &customer.brand), ("Subscription", up)))
}

/// `GET /staff/b/{brand}/invoices/{id}/explain`
pub async fn staff_invoice(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = billing::ExplainInvoiceRequest { invoice_id: desk.id.clone() };
    let found = state.clients.billing(&desk.call()).explain_invoice(asked).await?.into_inner();
    let up = desk.at(&format!("/invoices/{}", desk.id));
    desk.show(&ui, page(&found, &desk.manner(&state), ("Invoice", up)))
}

/// `GET /staff/b/{brand}/subscriptions/{id}/explain`
pub async fn staff_subscription(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = billing::ExplainSubscriptionRequest { subscription_id: desk.id.clone() };
    let found = state.clients.billing(&desk.call()).explain_subscription(asked).await?.into_inner();
    let up = desk.at(&format!("/subscriptions/{}", desk.id));
    desk.show(&ui, page(&found, &desk.manner(&state), ("Subscription", up)))
}

#[cfg(test)]
mod tests {
    use ottery_proto::common::v1::Money;

    use super::*;

    #[test]
    fn a_step_says_what_it_starts_from_how_much_of_it_counts_and_how_it_was_rounded() {
        let step = ExplainedStep {
            text: "Price of Family, 1 month, for 15 of 30 days".into(),
            base: Some(Money { minor: 3000, currency: "EUR".into() }),
            numerator: 15,
            denominator: 30,
            rounding: "half_up".into(),
            result: Some(Money { minor: 1500, currency: "EUR".into() }),
            reference_id: "pay_1".into(),
            ..ExplainedStep::default()
        };
        let manner = Manner { locale: "en".into(), zone: chrono_tz::Tz::UTC, now: chrono::DateTime::UNIX_EPOCH };
        let cells = row(&step, &manner);
        assert_eq!((cells[0].text.as_str(), cells[0].note.as_str()), (step.text.as_str(), "pay_1"));
        assert_eq!(cells[1].note, "× 15 / 30, to the nearest unit");
        assert!(cells[2].text.contains("15.00"), "{}", cells[2].text);
    }
}
