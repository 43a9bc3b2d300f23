//! Invoices as staff sees them.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::Invoice;
use ottery_proto::billing::v1::invoice::State as Life;

use super::desk::{Desk, away};
use super::invoice_form::{draft_forms, issued_forms, part_field};
use super::orders::payments;
use crate::api::invoices::e_invoice;
use crate::pages::account::{invoice_document, invoice_parts, invoice_state, invoice_title};
use crate::pages::block::{Block, Cell, Failed, Table};
use crate::pages::frame::{Page, Ui};
use crate::pages::text::Manner;
use crate::problem::Reply;
use crate::state::AppState;

/// Invoices as a table.
pub fn table(title: &str, invoices: &[Invoice], desk: &Desk, manner: &Manner) -> Table {
    let rows = invoices.iter().map(|invoice| {
        let (tone, word) = invoice_state(invoice);
        let number = if invoice.number.is_empty() { "Draft" } else { &invoice.number };
        vec![
            Cell::text(number).to(desk.at(&format!("/invoices/{}", invoice.id))),
            Cell::badge(tone, word),
            Cell::text(&invoice.buyer_email),
            Cell::text(manner.date(invoice.issued_at.as_ref())),
            Cell::number(manner.money(invoice.total.as_ref())),
        ]
    });
    Table::new(title, &["Number", "State", "Customer", "Date", "#Total"], "No invoices yet.").rows(rows)
}

/// `GET /staff/b/{brand}/invoices`
pub async fn list(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = billing::ListInvoicesRequest { page: ui.page(), ..Default::default() };
    let found = state.clients.billing(&desk.call()).list_invoices(asked).await?.into_inner();
    let table = table("", &found.invoices, &desk, &desk.manner(&state))
        .next(&desk.at("/invoices"), &found.page.unwrap_or_default().next_cursor);
    let mut page = Page::new("Invoices");
    if desk.may("brand.read") {
        page = page.aside("Rules", desk.at("/invoices/rules"));
    }
    desk.show(&ui, page.with(Block::Table(table)))
}

/// `GET /staff/b/{brand}/invoices/{id}`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    render(&state, &desk, &ui, None).await
}

/// The invoice's page, with what was refused on it.
pub(super) async fn render(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let invoice = super::invoicing::read(state, desk).await?;
    let (tone, word) = invoice_state(&invoice);
    let address = desk.at(&format!("/invoices/{}", invoice.id));
    let is_draft = invoice.state() == Life::Draft;
    let mut page = Page::new(invoice_title(&invoice))
        .badge(tone, word)
        .up("Invoices", desk.at("/invoices"))
        .refused(failed)
        .action(if is_draft { "Preview as PDF" } else { "Download PDF" }, format!("{address}/pdf"));
    if !is_draft {
        if !invoice.proforma {
            page = page.action("Download e-invoice (XML)", format!("{address}/ubl"));
        }
        page = page.aside("How was this computed?", format!("{address}/explain"));
    }
    let rights = (desk.may("invoice.manage"), desk.may("invoice.refund"));
    if is_draft && rights.0 {
        page = draft_forms(page, &invoice, &address, desk.brand.tax_rate_bp, failed);
    }
    page = invoice_parts(page, &invoice, &desk.manner(state), &address);
    if !is_draft {
        page = issued_forms(page, &invoice, &address, rights, failed);
        let asked =
            billing::ListPaymentsRequest { page: None, account_id: String::new(), invoice_id: invoice.id.clone() };
        page = match state.clients.billing(&desk.call()).list_payments(asked).await {
            Ok(found) => {
                let to = (format!("{address}/refund"), part_field(&invoice));
                payments(page, desk, &desk.manner(state), found.get_ref(), to, failed)
            }
            Err(status) => page.with(away("Payments", &status.into())),
        };
    }
    page = page.with(Block::facts(
        "Belongs to",
        vec![
            ("Customer", Cell::code(&invoice.account_id).to(desk.at(&format!("/customers/{}", invoice.account_id)))),
            (
                "Subscription",
                Cell::code(&invoice.subscription_id)
                    .to(desk.at(&format!("/subscriptions/{}", invoice.subscription_id))),
            ),
            ("Id", Cell::code(&invoice.id).copied()),
        ],
    ));
    desk.show(ui, page)
}

/// `GET /staff/b/{brand}/invoices/{id}/pdf`
pub async fn pdf(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    invoice_document(&state, &desk.caller, desk.id.clone(), ui.query.text("credit_note")).await
}

/// `GET /staff/b/{brand}/invoices/{id}/ubl`
pub async fn ubl(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    e_invoice(&state, &desk.caller, desk.id.clone(), ui.query.text("credit_note")).await
}
