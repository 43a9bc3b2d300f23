//! Subscriptions, and what staff may do with them by hand.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::Subscription;
use ottery_proto::billing::v1::subscription::{State as Life, SuspendCause};

use super::desk::Desk;
use super::price_override;
use crate::api::subscriptions::transfer_request;
use crate::limits::Form as Body;
use crate::pages::account::{afterwards_of, anchor_facts, listed, paused, subscription_price, subscription_state};
use crate::pages::addons;
use crate::pages::block::{Block, Cell, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::pages::text::{self, Manner};
use crate::problem::Reply;
use crate::state::AppState;

/// Subscriptions as a table.
pub fn table(title: &str, found: &[Subscription], desk: &Desk, manner: &Manner) -> Table {
    let rows = found.iter().map(|one| {
        let (tone, word) = subscription_state(one);
        vec![
            Cell::text(&one.plan_name).to(desk.at(&format!("/subscriptions/{}", one.id))),
            Cell::badge(tone, word),
            Cell::text("Customer").to(desk.at(&format!("/customers/{}", one.account_id))),
            Cell::text(manner.date(one.period_end.as_ref())).note(manner.relative(one.period_end.as_ref())),
            Cell::number(subscription_price(one, manner)),
        ]
    });
    Table::new(title, &["Plan", "State", "Customer", "Until", "#Price"], "No subscriptions yet.").rows(rows)
}

/// `GET /staff/b/{brand}/subscriptions`
pub async fn list(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = billing::ListSubscriptionsRequest { page: ui.page(), account_id: String::new() };
    let found = state.clients.billing(&desk.call()).list_subscriptions(asked).await?.into_inner();
    let table = table("", &found.subscriptions, &desk, &desk.manner(&state))
        .next(&desk.at("/subscriptions"), &found.page.unwrap_or_default().next_cursor);
    desk.show(&ui, Page::new("Subscriptions").with(Block::Table(table)))
}

/// `GET /staff/b/{brand}/subscriptions/{id}`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let call = desk.call();
    let one = state
        .clients
        .billing(&call)
        .get_subscription(billing::GetSubscriptionRequest { subscription_id: desk.id.clone() })
        .await?
        .into_inner();
    let manner = desk.manner(&state);
    let (tone, word) = subscription_state(&one);
    let here = desk.at(&format!("/subscriptions/{}", one.id));
    let mut page = Page::new(&one.plan_name)
        .badge(tone, word)
        .up("Subscriptions", desk.at("/subscriptions"))
        .aside("How is the next charge computed?", format!("{here}/explain"))
        .with(Block::facts(
            "",
            vec![
                ("Price", Cell::text(subscription_price(&one, &manner))),
                ("Given price", Cell::text(price_override::told(&one, &manner))),
                (
                    "Period",
                    Cell::text(match (&one.period_start, &one.period_end) {
                        (Some(from), Some(to)) => {
                            format!("{} to {}", manner.moment(Some(from)), manner.moment(Some(to)))
                        }
                        _ => String::new(),
                    }),
                ),
                ("Renews on", Cell::text(renewal_day(&one))),
                ("Options", Cell::text(listed(&one.options))),
                ("Add-ons", Cell::text(addons::listed(&one.addons))),
                ("From the renewal on", Cell::text(afterwards_of(&one))),
                ("Pause", Cell::text(if one.state() == Life::Paused { paused(&one, &manner) } else { String::new() })),
                (
                    "Suspended because",
                    Cell::text(match one.suspend_cause() {
                        SuspendCause::Unpaid => "its invoice is not paid",
                        SuspendCause::Staff => "staff did it",
                        SuspendCause::Reseller => "its reseller has not paid",
                        SuspendCause::Unspecified => "",
                    }),
                ),
                (
                    "Grace until",
                    Cell::text(one.grace_until.as_ref().map(|at| manner.moment(Some(at))).unwrap_or_default()),
                ),
                ("Ends", Cell::text(one.cancel_at.as_ref().map(|at| manner.moment(Some(at))).unwrap_or_default())),
                ("Ended", Cell::text(one.ended_at.as_ref().map(|at| manner.moment(Some(at))).unwrap_or_default())),
                (
                    "Renewal",
                    Cell::text(if one.auto_renew {
                        format!("by itself, with {}", one.payment_method_label)
                    } else {
                        "by invoice".into()
                    }),
                ),
                (
                    "Open invoice",
                    Cell::code(&one.open_invoice_id).to(desk.at(&format!("/invoices/{}", one.open_invoice_id))),
                ),
                ("Customer", Cell::code(&one.account_id).to(desk.at(&format!("/customers/{}", one.account_id)))),
                ("Id", Cell::code(&one.id).copied()),
            ],
        ));
    if desk.may("subscription.manage") && one.state() != Life::Ended {
        let reason = || Field::text("reason", "Reason").required();
        let mut actions = calendar_forms(&one, &here);
        actions.extend(price_override::forms(&one, &here));
        // What its reseller's debt stopped would be stopped again at once; the hold below is the way.
        if one.state() == Life::Suspended && one.suspend_cause() != SuspendCause::Reseller {
            actions.push(Form::new("", format!("{here}/unsuspend"), "Lift suspension"));
        } else {
            actions.push(
                Form::new("", format!("{here}/suspend"), "Suspend")
                    .intro("Access is switched off on the panel until the suspension is lifted.")
                    .field(reason())
                    .tone(Tone::Bad)
                    .folded("Suspend"),
            );
        }
        actions.extend(super::dunning::hold_forms(&state, &desk, &one).await);
        actions.push(Form::new("", format!("{here}/terminate"), "Terminate now").intro("Access is removed at once. This cannot be undone; money is given back separately, on the order's page.").field(reason()).tone(Tone::Bad).folded("Terminate"));
        page = page.with(Block::Actions(actions));
    }
    let asked = billing::ListInvoicesRequest { page: None, account_id: String::new(), subscription_id: one.id.clone() };
    page = match state.clients.billing(&call).list_invoices(asked).await {
        Ok(found) => {
            page.with(Block::Table(super::invoices::table("Invoices", &found.get_ref().invoices, &desk, &manner)))
        }
        Err(status) => page.with(super::desk::away("Invoices", &status.into())),
    };
    desk.show(&ui, page)
}

fn renewal_day(one: &Subscription) -> String {
    let day = |day: u32| format!("{} of the month", text::day_of_month(day));
    match (one.anchor_day, one.next_anchor_day) {
        (0, _) => String::new(),
        (now, 0) => day(now),
        (now, next) => format!("{}; {} from the next renewal on", day(now), day(next)),
    }
}

/// Pausing, moving, giving to somebody else.
fn calendar_forms(one: &Subscription, here: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    if one.state() == Life::Paused {
        forms.push(Form::new("", format!("{here}/unpause"), "End the pause"));
    }
    if one.state() == Life::Active {
        forms.push(
            Form::new("", format!("{here}/pause"), "Pause")
                .intro("Neither served nor billed; what is left of the paid time is kept.")
                .field(Field::new("number", "days", "Days").value("0").help("0: until somebody ends it."))
                .folded("Pause"),
        );
    }
    if matches!(one.state(), Life::Active | Life::Trialing) && one.anchor_day > 0 {
        let mut form = Form::new("", format!("{here}/anchor"), "See what it costs")
            .field(Field::new("number", "day", "Day of the month").value(one.anchor_day.to_string()).required())
            .folded("Renew on another day");
        form.is_get = true;
        forms.push(form);
    }
    if one.state() != Life::Pending {
        forms.push(
            Form::new("", format!("{here}/transfer"), "Transfer")
                .intro("What was paid stays paid. Invoices, wallet and saved methods stay with the customer of now.")
                .field(Field::text("account_id", "To the customer").example("acc_…").required())
                .folded("Transfer to another customer"),
        );
    }
    forms
}

/// `GET …/anchor?day=…`
pub async fn preview_anchor(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let day: u32 = ui.query.number("day")?;
    let mut client = state.clients.billing(&desk.call());
    let asked = billing::MoveAnchorRequest { subscription_id: desk.id.clone(), day, time_zone: String::new() };
    let quote = client.quote_anchor(asked).await?.into_inner();
    let one = client
        .get_subscription(billing::GetSubscriptionRequest { subscription_id: desk.id.clone() })
        .await?
        .into_inner();
    let here = desk.at(&format!("/subscriptions/{}", desk.id));
    let form = Form::new("", format!("{here}/anchor"), format!("Renew on {} of the month", text::day_of_month(day)))
        .field(Field::hidden("day", day.to_string()));
    let page = Page::new("Renew on another day")
        .up("Subscription", here)
        .with(anchor_facts(&one, &quote, &desk.manner(&state)))
        .with(Block::Form(form));
    desk.show(&ui, page)
}

/// `POST …/anchor`
pub async fn move_anchor(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let day = sent.number("day")?;
    let asked = billing::MoveAnchorRequest { subscription_id: desk.id.clone(), day, time_zone: String::new() };
    state.clients.billing(&desk.call()).move_anchor(asked).await?;
    Ok(go_done(&desk.at(&format!("/subscriptions/{}", desk.id)), "moved"))
}

/// `POST …/pause`
pub async fn pause(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::PauseSubscriptionRequest { subscription_id: desk.id.clone(), days: sent.number("days")? };
    state.clients.billing(&desk.call()).pause_subscription(asked).await?;
    Ok(go_done(&desk.at(&format!("/subscriptions/{}", desk.id)), "paused"))
}

/// `POST …/unpause`
pub async fn unpause(State(state): State<AppState>, desk: Desk) -> Reply<Response> {
    let asked = billing::UnpauseSubscriptionRequest { subscription_id: desk.id.clone() };
    state.clients.billing(&desk.call()).unpause_subscription(asked).await?;
    Ok(go_done(&desk.at(&format!("/subscriptions/{}", desk.id)), "unpaused"))
}

/// `POST …/transfer`
pub async fn transfer(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let request = transfer_request(&state, &desk.caller, desk.id.clone(), sent.text("account_id")).await?;
    state.clients.billing(&desk.call()).transfer_subscription(request).await?;
    Ok(go_done(&desk.at(&format!("/subscriptions/{}", desk.id)), "transferred"))
}

/// `POST …/suspend`
pub async fn suspend(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::SuspendSubscriptionRequest { subscription_id: desk.id.clone(), reason: sent.text("reason") };
    state.clients.billing(&desk.call()).suspend_subscription(asked).await?;
    Ok(go_done(&desk.at(&format!("/subscriptions/{}", desk.id)), "suspended"))
}

/// `POST …/unsuspend`
pub async fn unsuspend(State(state): State<AppState>, desk: Desk) -> Reply<Response> {
    let asked = billing::UnsuspendSubscriptionRequest { subscription_id: desk.id.clone() };
    state.clients.billing(&desk.call()).unsuspend_subscription(asked).await?;
    Ok(go_done(&desk.at(&format!("/subscriptions/{}", desk.id)), "unsuspended"))
}

/// `POST …/terminate`
pub async fn terminate(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::TerminateSubscriptionRequest { subscription_id: desk.id.clone(), reason: sent.text("reason") };
    state.clients.billing(&desk.call()).terminate_subscription(asked).await?;
    Ok(go_done(&desk.at(&format!("/subscriptions/{}", desk.id)), "terminated"))
}
