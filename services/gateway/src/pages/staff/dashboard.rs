//! What matters in a brand now, and what needs a person.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::analytics::v1::GetMrrRequest;
use ottery_proto::billing::v1 as billing;
use ottery_proto::common::v1::PageRequest;
use ottery_proto::provisioning::v1 as provisioning;
use ottery_proto::support::v1 as support;

use super::desk::{Desk, away};
use super::panels::health;
use crate::pages::block::{Block, Cell, Link, Stat, Table, Tone};
use crate::pages::frame::{Page, Ui};
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// `GET /staff/b/{brand}`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let call = desk.call();
    let manner = desk.manner(&state);
    let some = || Some(PageRequest { cursor: String::new(), limit: 20 });
    let (mut analytics, mut billing, mut orders) =
        (state.clients.analytics(&call), state.clients.billing(&call), state.clients.billing(&call));
    let (mut provisioning, mut panels) = (state.clients.provisioning(&call), state.clients.provisioning(&call));
    let mut support = state.clients.support(&call);
    let mut accounts = state.clients.billing(&call);
    let (mrr, money_tasks, latest, panel_tasks, all_panels, tickets, plans, providers) = tokio::join!(
        analytics.get_mrr(GetMrrRequest { at: None }),
        billing.list_tasks(billing::ListTasksRequest { page: some() }),
        orders.list_orders(billing::ListOrdersRequest { page: some(), account_id: String::new() }),
        provisioning.list_tasks(provisioning::ListTasksRequest { page: some() }),
        panels.list_panels(provisioning::ListPanelsRequest { page: some() }),
        support.list_tickets(support::ListTicketsRequest {
            page: some(),
            account_id: String::new(),
            state: support::ticket::State::Open.into()
        }),
        state.catalog.plans(&desk.brand, &ui.request),
        accounts.list_provider_accounts(billing::ListProviderAccountsRequest {}),
    );
    let stat =
        |label: &str, value: String, note: String, href: String| Stat { label: label.to_owned(), value, note, href };
    let mut stats = Vec::new();
    if let Ok(mrr) = &mrr {
        let mrr = mrr.get_ref();
        let sums: Vec<String> = mrr.mrr.iter().map(|amount| manner.money(Some(amount))).collect();
        let value = if sums.is_empty() { "–".to_owned() } else { sums.join(" + ") };
        stats.push(stat(
            "Monthly recurring revenue",
            value,
            format!("as of {}", manner.moment(mrr.as_of.as_ref())),
            String::new(),
        ));
        stats.push(stat("Paying customers", mrr.paying_customers.to_string(), String::new(), desk.at("/customers")));
    }
    if let Ok(tickets) = &tickets {
        stats.push(stat(
            "Tickets waiting",
            tickets.get_ref().tickets.len().to_string(),
            String::new(),
            desk.at("/tickets"),
        ));
    }
    let mut page = Page::new(&desk.brand.name).with(Block::Stats(stats));
    if let Err(status) = mrr {
        page = page.with(away("Revenue", &Refusal::from(status)));
    }
    let has_panel = all_panels.as_ref().is_ok_and(|found| !found.get_ref().panels.is_empty());
    if !has_panel && all_panels.is_ok() {
        page = page.with(Block::advice(
            Tone::Info,
            "Connect a panel",
            "Services are made on it as soon as somebody pays.",
            Link::new("Add panel", desk.at("/panels/new")),
        ));
    }
    if plans.as_ref().is_ok_and(|plans| plans.is_empty()) {
        page = page.with(Block::advice(
            Tone::Info,
            "Put a plan on sale",
            "Until then the shop says that it opens soon.",
            Link::new("Plans", desk.at("/plans")),
        ));
    }
    if providers.is_ok_and(|found| found.get_ref().accounts.is_empty()) {
        page = page.with(Block::advice(
            Tone::Info,
            "Connect a payment provider",
            "Until then nobody can pay.",
            Link::new("Payments", desk.at("/providers")),
        ));
    }
    if !desk.brand.published {
        page = page.with(Block::advice(
            Tone::Info,
            "Open the shop",
            "Search engines are told to stay away until you do.",
            Link::new("Settings", desk.at("/settings")),
        ));
    }
    page = page.with(tasks(&desk, money_tasks, panel_tasks));
    page = match all_panels {
        Ok(found) => {
            let rows = found.get_ref().panels.iter().map(|panel| {
                let (tone, word) = health(panel);
                vec![
                    Cell::text(&panel.name).to(desk.at(&format!("/panels/{}", panel.id))).note(if panel.sandbox {
                        "SANDBOX"
                    } else {
                        ""
                    }),
                    Cell::badge(tone, word).note(panel.problem.clone()),
                    Cell::number(if panel.capacity == 0 {
                        panel.lines.to_string()
                    } else {
                        format!("{} of {}", panel.lines, panel.capacity)
                    }),
                    Cell::text(manner.relative(panel.checked_at.as_ref())),
                ]
            });
            page.with(Block::Table(
                Table::new("Panels", &["Panel", "Health", "#Lines", "Checked"], "No panel yet.").rows(rows),
            ))
        }
        Err(status) => page.with(away("Panels", &status.into())),
    };
    page = match latest {
        Ok(found) => {
            page.with(Block::Table(super::orders::table("Latest orders", &found.get_ref().orders, &desk, &manner)))
        }
        Err(status) => page.with(away("Orders", &status.into())),
    };
    desk.show(&ui, page)
}

type Answer<T> = Result<tonic::Response<T>, tonic::Status>;

fn tasks(desk: &Desk, money: Answer<billing::ListTasksReply>, panel: Answer<provisioning::ListTasksReply>) -> Block {
    let mut rows = Vec::new();
    let mut lost = Vec::new();
    match money {
        Ok(found) => rows.extend(found.into_inner().tasks.into_iter().map(|task| {
            vec![
                Cell::badge(Tone::Warn, task.kind.replace(['_', '.'], " ")),
                Cell::text(task.summary).note(task.reference_id),
                Cell::text(""),
            ]
        })),
        Err(status) => lost.push(Refusal::from(status)),
    }
    match panel {
        Ok(found) => rows.extend(found.into_inner().tasks.into_iter().map(|task| {
            let service = if task.service_id.is_empty() {
                Cell::text(task.remedy)
            } else {
                Cell::text(task.remedy).note(task.service_id)
            };
            vec![Cell::badge(Tone::Warn, task.kind.replace(['_', '.'], " ")), Cell::text(task.summary), service]
        })),
        Err(status) => lost.push(Refusal::from(status)),
    }
    match lost.into_iter().next() {
        Some(refusal) if rows.is_empty() => away("Work for people", &refusal),
        _ => Block::Table(
            Table::new(
                "Needs a person",
                &["Kind", "What", "What to do"],
                format!("Nothing needs you in {}.", desk.brand.name),
            )
            .rows(rows),
        ),
    }
}
