//! When a subscription renews, and pausing it.

use axum::extract::{Path, State};
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::Subscription;
use ottery_proto::billing::v1::subscription::State as Life;

use super::show as page_of;
use super::subscriptions::load;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Field, Form, Sent};
use crate::pages::frame::{Page, Ui, go, go_done, manner};
use crate::pages::text::{self, Manner};
use crate::problem::Reply;
use crate::session::Customer;
use crate::state::AppState;

/// Until when it is paused.
#[must_use]
pub fn paused(one: &Subscription, manner: &Manner) -> String {
    match &one.pause_until {
        Some(until) => format!("Paused until {}", manner.date(Some(until))),
        None => "Paused".to_owned(),
    }
}

/// Asks for another day to renew on; none when there is no renewal to move.
#[must_use]
pub fn anchor_form(one: &Subscription, here: &str) -> Option<Block> {
    let is_movable = matches!(one.state(), Life::Active | Life::Trialing) && one.cancel_at.is_none();
    if !is_movable || one.anchor_day == 0 {
        return None;
    }
    let asked = if one.next_anchor_day > 0 { one.next_anchor_day } else { one.anchor_day };
    let mut form = Form::new("", format!("{here}/anchor"), "See what it costs")
        .intro("The current period stays as it is. One period of another length follows, and you pay only its part.")
        .field(Field::new("number", "day", "Day of the month, 1 to 31").value(asked.to_string()).required().half())
        .folded("Renew on another day");
    form.is_get = true;
    Some(Block::Form(form))
}

/// Asks for how long to pause; none when the plan has no pause.
#[must_use]
pub fn pause_form(one: &Subscription, here: &str) -> Option<Block> {
    (one.state() == Life::Active && one.pause_days_max > 0).then(|| {
        let most = text::counted(u64::from(one.pause_days_max), "day");
        let form = Form::new("", format!("{here}/pause"), "Pause")
            .intro(format!("Up to {most}. Access is off meanwhile; what is left of the paid time is kept."))
            .field(Field::new("number", "days", "Days").value(one.pause_days_max.to_string()).required().half())
            .folded("Pause subscription");
        Block::Form(form)
    })
}

/// Offers to pay the next period now.
#[must_use]
pub fn renew_form(one: &Subscription, here: &str) -> Option<Block> {
    let is_possible = one.state() == Life::Active && one.cancel_at.is_none() && one.open_invoice_id.is_empty();
    is_possible.then(|| {
        let form = Form::new("", format!("{here}/renew"), "Get the invoice")
            .intro("The next period follows the current one; no time is lost.")
            .folded("Renew early");
        Block::Form(form)
    })
}

/// What another renewal day costs, line by line.
#[must_use]
pub fn anchor_facts(one: &Subscription, quote: &billing::AnchorQuote, manner: &Manner) -> Block {
    let part = if quote.prorated { "its part of a term" } else { "as ever" };
    Block::facts(
        "",
        vec![
            ("Current period", Cell::text(format!("until {}, unchanged", manner.date(one.paid_through.as_ref())))),
            (
                "Then once",
                Cell::text(format!(
                    "{} to {}",
                    manner.date(quote.period_start.as_ref()),
                    manner.date(quote.period_end.as_ref())
                ))
                .note(format!("{}, {part}", manner.money(quote.amount.as_ref()))),
            ),
            (
                "After that",
                Cell::text(format!(
                    "{} to {}, and so on",
                    manner.date(quote.then_start.as_ref()),
                    manner.date(quote.then_end.as_ref())
                ))
                .note(manner.money(one.price.as_ref())),
            ),
            ("Due now", Cell::text("Nothing")),
        ],
    )
}

/// `GET /account/subscriptions/{id}/anchor?day=…`: what it costs, before anything happens.
pub async fn preview(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(id): Path<String>,
) -> Reply<Response> {
    let day = ui.query.number("day")?;
    let asked = billing::MoveAnchorRequest { subscription_id: id.clone(), day, time_zone: String::new() };
    let quote = state.clients.billing(&customer.caller.call()).quote_anchor(asked).await?.into_inner();
    let one = load(&state, &customer, &id).await?;
    let here = format!("/account/subscriptions/{id}");
    let form = Form::new("", format!("{here}/anchor"), format!("Renew on {} of the month", text::day_of_month(day)))
        .field(Field::hidden("day", day.to_string()));
    let page = Page::new("Renew on another day")
        .up("Subscription", here)
        .with(anchor_facts(&one, &quote, &manner(&state, &customer.brand)))
        .with(Block::Form(form));
    page_of(&customer, &ui, page)
}

/// `POST /account/subscriptions/{id}/anchor`
pub async fn move_anchor(
    State(state): State<AppState>,
    customer: Customer,
    Path(id): Path<String>,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    let day = sent.number("day")?;
    let asked = billing::MoveAnchorRequest { subscription_id: id.clone(), day, time_zone: String::new() };
    state.clients.billing(&customer.caller.call()).move_anchor(asked).await?;
    Ok(go_done(&format!("/account/subscriptions/{id}"), "moved"))
}

/// `POST /account/subscriptions/{id}/pause`
pub async fn pause(
    State(state): State<AppState>,
    customer: Customer,
    Path(id): Path<String>,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    let asked = billing::PauseSubscriptionRequest { subscription_id: id.clone(), days: sent.number("days")? };
    state.clients.billing(&customer.caller.call()).pause_subscription(asked).await?;
    Ok(go_done(&format!("/account/subscriptions/{id}"), "paused"))
}

/// `POST /account/subscriptions/{id}/renew`: the invoice, ready to be paid.
pub async fn renew(State(state): State<AppState>, customer: Customer, Path(id): Path<String>) -> Reply<Response> {
    let asked = billing::RenewSubscriptionRequest { subscription_id: id.clone() };
    let one = state.clients.billing(&customer.caller.call()).renew_subscription(asked).await?.into_inner();
    Ok(match one.open_invoice_id.as_str() {
        // What is in the wallet may have paid it at once.
        "" => go_done(&format!("/account/subscriptions/{id}"), "saved"),
        invoice => go(&format!("/account/invoices/{invoice}")),
    })
}

/// `POST /account/subscriptions/{id}/unpause`
pub async fn unpause(State(state): State<AppState>, customer: Customer, Path(id): Path<String>) -> Reply<Response> {
    let asked = billing::UnpauseSubscriptionRequest { subscription_id: id.clone() };
    state.clients.billing(&customer.caller.call()).unpause_subscription(asked).await?;
    Ok(go_done(&format!("/account/subscriptions/{id}"), "unpaused"))
}
