//! What matters to the customer now.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::Subscription;
use ottery_proto::billing::v1::subscription::State as Life;
use ottery_proto::common::v1::PageRequest;
use ottery_proto::provisioning::v1 as provisioning;
use ottery_proto::support::v1 as support;

use super::services::stage;
use super::subscriptions::{state_of, title};
use super::{invoices, notices, show as page_of};
use crate::pages::block::{Block, Cell, Link, Stat, Table, Tone};
use crate::pages::frame::{Page, Ui, manner};
use crate::pages::text::Manner;
use crate::problem::Reply;
use crate::session::Customer;
use crate::state::AppState;

/// Open invoices that have a notice each.
const OPEN_MAX: usize = 2;

/// `GET /account`: every part may be away by itself; the rest is shown.
pub async fn show(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    let call = customer.caller.call();
    let manner = manner(&state, &customer.brand);
    let (mut billing, mut other) = (state.clients.billing(&call), state.clients.billing(&call));
    let (mut provisioning, mut support) = (state.clients.provisioning(&call), state.clients.support(&call));
    let account_id = customer.account.id.clone();
    let page = || Some(PageRequest { cursor: String::new(), limit: 10 });
    let (noticed, subscriptions, invoices, services, tickets) = tokio::join!(
        notices::find(&state, &customer),
        billing.list_subscriptions(billing::ListSubscriptionsRequest { page: page(), account_id: account_id.clone() }),
        other.list_invoices(billing::ListInvoicesRequest {
            page: page(),
            account_id: account_id.clone(),
            subscription_id: String::new()
        }),
        provisioning.list_services(provisioning::ListServicesRequest {
            page: page(),
            account_id: account_id.clone(),
            panel_id: String::new()
        }),
        support.list_tickets(support::ListTicketsRequest { page: page(), account_id, state: 0 }),
    );
    let name = if customer.account.display_name.is_empty() {
        customer.account.email.clone()
    } else {
        customer.account.display_name.clone()
    };
    let mut shown = Page::new(format!("Hello, {name}")).intro(format!("Signed in as {}.", customer.account.email));
    if !customer.account.email_verified {
        let text = format!("We sent a link to {}.", customer.account.email);
        let again = ("Send the mail again", "/account/verify/again");
        shown = shown.with(Block::offer(Tone::Warn, "Confirm your e-mail address", text, again));
    }
    let away = |what: &str| {
        Block::note(Tone::Warn, format!("{what} cannot be shown at the moment"), "The rest works; reload in a minute.")
    };
    if let Ok(tickets) = &tickets {
        let answered = tickets
            .get_ref()
            .tickets
            .iter()
            .filter(|ticket| ticket.state() == support::ticket::State::Answered)
            .count();
        if answered > 0 {
            shown = shown.with(Block::advice(Tone::Info, "We answered you", "", Link::new("Read", "/account/tickets")));
        }
    }
    for notice in &noticed {
        shown = shown.with(notices::block(notice, &manner));
    }
    match &invoices {
        Ok(found) => {
            let open: Vec<_> = found
                .get_ref()
                .invoices
                .iter()
                .filter(|invoice| invoice.state() == billing::invoice::State::Open)
                .filter(|invoice| noticed.iter().all(|notice| notice.invoice_id != invoice.id))
                .collect();
            if open.len() > OPEN_MAX {
                let title = format!("{} invoices are open", open.len());
                let link = Link::new("See invoices", "/account/invoices");
                shown = shown.with(Block::advice(Tone::Warn, title, "Pay them to keep your access.", link));
            } else {
                for invoice in open {
                    let (amount, due) = (manner.money(invoice.total.as_ref()), manner.date(invoice.due_at.as_ref()));
                    let title = format!("Invoice {} is open", invoice.number);
                    let link = Link::new("Pay now", format!("/account/invoices/{}", invoice.id));
                    shown = shown.with(Block::advice(Tone::Warn, title, format!("{amount}, due on {due}."), link));
                }
            }
        }
        Err(_) => shown = shown.with(away("Invoices")),
    }
    match &subscriptions {
        Ok(found) => {
            let found = &found.get_ref().subscriptions;
            shown = shown.with_some(next_of(found, &manner));
            let rows = found.iter().map(|one| {
                let (tone, text) = state_of(one);
                vec![
                    Cell::text(&one.plan_name).to(format!("/account/subscriptions/{}", one.id)),
                    Cell::badge(tone, text),
                    Cell::text(manner.date(one.period_end.as_ref())).note(manner.relative(one.period_end.as_ref())),
                    Cell::number(title(one, &manner)),
                ]
            });
            let table =
                Table::new("Subscriptions", &["Plan", "State", "Until", "#Price"], "You have no subscription yet.");
            shown = shown.with(Block::Table(table.rows(rows).first(Link::new("See plans", "/plans"))));
        }
        Err(_) => shown = shown.with(away("Subscriptions")),
    }
    match &services {
        Ok(found) if !found.get_ref().services.is_empty() => {
            let rows = found.get_ref().services.iter().map(|service| {
                let (tone, text, _) = stage(service);
                vec![
                    Cell::text(&service.plan_name).to(format!("/account/services/{}", service.id)),
                    Cell::badge(tone, text),
                    Cell::text("Show access").to(format!("/account/services/{}", service.id)),
                ]
            });
            shown = shown.with(Block::Table(Table::new("Services", &["Service", "State", "Watch"], "").rows(rows)));
        }
        Ok(_) => {}
        Err(_) => shown = shown.with(away("Services")),
    }
    if let Ok(found) = &invoices {
        let table = invoices::table("Latest invoices", &found.get_ref().invoices, &manner);
        shown = shown.with(Block::Table(table));
    }
    page_of(&customer, &ui, shown)
}

/// What happens next, when there is a period that ends.
fn next_of(found: &[Subscription], manner: &Manner) -> Option<Block> {
    let running: Vec<_> = found.iter().filter(|one| one.state() != Life::Ended && one.period_end.is_some()).collect();
    let next = running.iter().min_by_key(|one| one.period_end.as_ref().map_or(i64::MAX, |at| at.seconds))?;
    let here = format!("/account/subscriptions/{}", next.id);
    let label = if next.cancel_at.is_some() { "Access until" } else { "Next renewal" };
    Some(Block::Stats(vec![
        Stat {
            label: "Running subscriptions".into(),
            value: running.len().to_string(),
            note: String::new(),
            href: "/account/subscriptions".into(),
        },
        Stat {
            label: label.into(),
            value: manner.date(next.period_end.as_ref()),
            note: format!("{}, {}", next.plan_name, manner.relative(next.period_end.as_ref())),
            href: here,
        },
    ]))
}
