//! A lower price for one subscription, given by staff for a time.

use axum::extract::State;
use axum::response::Response;
use ottery_kernel::{Currency, Money as Exact};
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::Subscription;
use ottery_proto::billing::v1::subscription::State as Life;
use ottery_proto::common::v1::Money;

use super::coupon_form::day;
use super::desk::Desk;
use crate::limits::Form as Body;
use crate::pages::block::{Field, Form, Sent};
use crate::pages::frame::go_done;
use crate::pages::text::Manner;
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// What is given, in words; empty for nothing.
#[must_use]
pub fn told(one: &Subscription, manner: &Manner) -> String {
    let Some(given) = &one.price_override else { return String::new() };
    let price = manner.money(given.price.as_ref());
    match &given.until {
        Some(until) => format!("{price} for renewals before {}", manner.moment(Some(until))),
        None => format!("{price} for every renewal"),
    }
}

/// The form that gives a price, and the one that takes it back.
#[must_use]
pub fn forms(one: &Subscription, here: &str) -> Vec<Form> {
    if matches!(one.state(), Life::Pending | Life::Ended) || one.once {
        return Vec::new();
    }
    let reason = || Field::text("reason", "Reason").required();
    let action = format!("{here}/price-override");
    let currency = one.price.as_ref().map(|price| price.currency.clone()).unwrap_or_default();
    let give = Form::new("", action.clone(), "Give this price")
        .intro("From the next period on. Options and add-ons cost what they cost.")
        .field(Field::hidden("currency", currency))
        .field(Field { inputmode: "decimal", ..Field::text("price", "Price of a term") }.required().example("7.00"))
        .field(Field::new("date", "until", "Last day it renews at this price").help("Empty: no end."))
        .field(reason())
        .folded("Give a lower price");
    let take = one.price_override.as_ref().map(|_| {
        Form::new("", action, "Charge the plan's price again").field(reason()).folded("Take the lower price back")
    });
    [give].into_iter().chain(take).collect()
}

/// `POST …/price-override`; without a price the one that was given is taken back.
pub async fn save(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let written = sent.get("price");
    let price = if written.is_empty() {
        None
    } else {
        let currency: Currency = sent.get("currency").parse().map_err(|error: ottery_kernel::CurrencyError| {
            Refusal::invalid("currency", "currency_invalid", error.to_string())
        })?;
        let exact = Exact::parse(&written.replace(',', "."), currency)
            .map_err(|error| Refusal::invalid("price", "amount_invalid", error.to_string()))?;
        Some(Money { minor: exact.minor, currency: currency.code().to_owned() })
    };
    let asked = billing::OverridePriceRequest {
        subscription_id: desk.id.clone(),
        price,
        until: day(&sent, "until", 1, desk.manner(&state).zone)?,
        reason: sent.text("reason"),
    };
    state.clients.billing(&desk.call()).override_price(asked).await?;
    Ok(go_done(&desk.at(&format!("/subscriptions/{}", desk.id)), "saved"))
}
