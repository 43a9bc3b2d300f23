//! Subscriptions, and what staff may do with them by hand.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::Subscription;
use ottery_proto::billing::v1::subscription::State as Life;

use super::desk::Desk;
use crate::limits::Form as Body;
use crate::pages::account::{subscription_price, subscription_state};
use crate::pages::block::{Block, Cell, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::pages::text::Manner;
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
    let mut page =
        Page::new(&one.plan_name).badge(tone, word).up("Subscriptions", desk.at("/subscriptions")).with(Block::facts(
            "",
            vec![
                ("Price", Cell::text(subscription_price(&one, &manner))),
                (
                    "Period",
                    Cell::text(match (&one.period_start, &one.period_end) {
                        (Some(from), Some(to)) => {
                            format!("{} to {}", manner.moment(Some(from)), manner.moment(Some(to)))
                        }
                        _ => String::new(),
                    }),
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
        let mut actions = Vec::new();
        if one.state() == Life::Suspended {
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
