//! Invoices, their PDFs and e-invoices.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::Invoice;
use ottery_proto::billing::v1::invoice::{Purpose, State as Life};
use ottery_proto::common::v1::Money;

use super::{methods, notices, show as page_of};
use crate::api::invoices::e_invoice;
use crate::limits::{self, Form as Body};
use crate::pages::block::{Block, Cell, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, manner};
use crate::pages::shop::order::{pay_invoice, pay_invoices};
use crate::pages::text::Manner;
use crate::problem::Reply;
use crate::session::{Caller, Customer};
use crate::state::AppState;

/// How an invoice stands; what is paid and given back is derived.
#[must_use]
pub fn state_of(invoice: &Invoice) -> (Tone, &'static str) {
    let minor = |money: Option<&ottery_proto::common::v1::Money>| money.map_or(0, |money| money.minor);
    let (total, paid, refunded) =
        (minor(invoice.total.as_ref()), minor(invoice.paid.as_ref()), minor(invoice.refunded.as_ref()));
    match invoice.state() {
        Life::Draft | Life::Unspecified => (Tone::Neutral, "Draft"),
        Life::Open if invoice.carried_at.is_some() => (Tone::Neutral, "Carried forward"),
        Life::Open if paid > 0 => (Tone::Warn, "Partly paid"),
        Life::Open => (Tone::Warn, "Open"),
        Life::Void => (Tone::Neutral, "Void"),
        Life::Uncollectible => (Tone::Bad, "Given up"),
        Life::Closed if refunded > 0 && refunded >= total => (Tone::Neutral, "Refunded"),
        Life::Closed if refunded > 0 => (Tone::Info, "Partly refunded"),
        Life::Closed => (Tone::Good, "Paid"),
    }
}

/// What the page of an invoice is called; a pro forma is none yet.
#[must_use]
pub fn title_of(invoice: &Invoice) -> String {
    let kind = if invoice.proforma { "Pro forma invoice" } else { "Invoice" };
    let number = if invoice.number.is_empty() { "Draft" } else { &invoice.number };
    format!("{kind} {number}")
}

/// Invoices as a table of the account.
pub fn table(title: &str, invoices: &[Invoice], manner: &Manner) -> Table {
    let rows = invoices.iter().map(|invoice| {
        let (tone, word) = state_of(invoice);
        let number = if invoice.number.is_empty() { "Draft" } else { &invoice.number };
        vec![
            Cell::text(number).to(format!("/account/invoices/{}", invoice.id)),
            Cell::badge(tone, word),
            Cell::text(manner.date(invoice.issued_at.as_ref().or(invoice.proforma_at.as_ref()))),
            Cell::number(manner.money(invoice.total.as_ref())),
            Cell::text("PDF").to(format!("/account/invoices/{}/pdf", invoice.id)),
        ]
    });
    Table::new(title, &["Number", "State", "Date", "#Total", "Document"], "No invoices yet.").rows(rows)
}

/// `GET /account/invoices`
pub async fn list(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    let asked = billing::ListInvoicesRequest {
        page: ui.page(),
        account_id: customer.account.id.clone(),
        subscription_id: String::new(),
    };
    let found = state.clients.billing(&customer.caller.call()).list_invoices(asked).await?.into_inner();
    let manner = manner(&state, &customer.brand);
    let table =
        table("", &found.invoices, &manner).next("/account/invoices", &found.page.unwrap_or_default().next_cursor);
    let mut page = Page::new("Invoices");
    if let Some(form) = together(&found.invoices, &manner) {
        page = page.with(Block::Form(form));
    }
    let page = notices::on_top(&state, &customer, page.with(Block::Table(table))).await;
    page_of(&customer, &ui, page)
}

/// What is still owed.
fn left(invoice: &Invoice) -> Money {
    let paid = invoice.paid.as_ref().map_or(0, |paid| paid.minor);
    let total = invoice.total.clone().unwrap_or_default();
    Money { minor: total.minor - paid, ..total }
}

/// Whether it is too little to be paid by itself.
fn is_carried(invoice: &Invoice) -> bool {
    invoice.state() == Life::Open && invoice.carried_at.is_some()
}

/// Whether money for it settles it: what was served and given up can still be paid.
fn is_payable(invoice: &Invoice) -> bool {
    if is_carried(invoice) {
        return false;
    }
    let is_claim = matches!(invoice.purpose(), Purpose::Renewal | Purpose::Manual);
    invoice.state() == Life::Open || (invoice.state() == Life::Uncollectible && is_claim)
}

/// Paying several open invoices at once; nothing when fewer than two of one currency are open.
fn together(invoices: &[Invoice], manner: &Manner) -> Option<Form> {
    let is_owed = |invoice: &&Invoice| invoice.state() == Life::Open && invoice.purpose() != Purpose::TopUp;
    let open: Vec<&Invoice> = invoices.iter().filter(is_owed).collect();
    let currency = &open.first()?.total.as_ref()?.currency;
    let open: Vec<&Invoice> = open
        .iter()
        .copied()
        .filter(|invoice| invoice.total.as_ref().is_some_and(|total| total.currency == *currency))
        .collect();
    if open.len() < 2 {
        return None;
    }
    let sum = Money { minor: open.iter().map(|invoice| left(invoice).minor).sum(), currency: currency.clone() };
    let boxes = open.iter().map(|invoice| {
        let label = format!("{}, {}", invoice.number, manner.money(Some(&left(invoice))));
        Field::check(format!("pay_{}", invoice.id), label, true)
    });
    Some(
        Form::new("Pay together", "/account/invoices/pay", "Pay what is ticked")
            .intro(format!(
                "{} invoices are open, {} in all. One payment settles them.",
                open.len(),
                manner.money(Some(&sum))
            ))
            .fields(boxes)
            .keyed(),
    )
}

/// `POST /account/invoices/pay`
pub async fn pay_many(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::order(&state, &ui.request).await?;
    let invoice_ids: Vec<String> =
        sent.pairs().filter_map(|(name, _)| name.strip_prefix("pay_").map(str::to_owned)).collect();
    pay_invoices(&state, &customer, &ui, invoice_ids, sent.key()?.0).await
}

/// What each subscription pays of a consolidated invoice.
fn consolidated(invoice: &Invoice, manner: &Manner) -> Table {
    let rows = invoice.parts.iter().map(|part| {
        let (tone, word) = match part.state() {
            Life::Draft | Life::Unspecified => (Tone::Neutral, "Draft"),
            Life::Open => (Tone::Warn, "Open"),
            Life::Void => (Tone::Neutral, "Taken back"),
            Life::Uncollectible => (Tone::Bad, "Given up"),
            Life::Closed => (Tone::Good, "Paid"),
        };
        let period = match (&part.period_start, &part.period_end) {
            (Some(from), Some(to)) => format!("{} to {}", manner.date(Some(from)), manner.date(Some(to))),
            _ => String::new(),
        };
        vec![
            Cell::text(format!("{} ({})", part.plan_name, part.subscription_name)).note(period),
            Cell::badge(tone, word),
            Cell::number(manner.money(part.paid.as_ref())),
            Cell::number(manner.money(part.total.as_ref())),
        ]
    });
    Table::new("Subscriptions", &["Subscription", "State", "#Paid", "#Amount"], "").rows(rows)
}

/// An invoice's parts, for customers and staff; `address` is its page's.
pub fn parts(page: Page, invoice: &Invoice, manner: &Manner, address: &str) -> Page {
    let (pdf, ubl) = (format!("{address}/pdf"), format!("{address}/ubl"));
    let mut rows: Vec<Vec<Cell>> = invoice
        .lines
        .iter()
        .map(|line| {
            let period = match (&line.period_start, &line.period_end) {
                (Some(from), Some(to)) => format!("{} to {}", manner.date(Some(from)), manner.date(Some(to))),
                _ => String::new(),
            };
            vec![
                Cell::text(&line.description).note(period),
                Cell::number(line.quantity.max(1).to_string()),
                Cell::number(manner.money(line.tax.as_ref())),
                Cell::number(manner.money(line.amount.as_ref())),
            ]
        })
        .collect();
    rows.push(vec![
        Cell::text("Total"),
        Cell::text(""),
        Cell::number(manner.money(invoice.tax.as_ref())),
        Cell::number(manner.money(invoice.total.as_ref())),
    ]);
    let tax = if invoice.tax_name.is_empty() {
        "#Tax contained".to_owned()
    } else {
        format!("#{} contained", invoice.tax_name)
    };
    let mut page = page
        .with(Block::facts(
            "",
            vec![
                ("Issued", Cell::text(manner.date(invoice.issued_at.as_ref().or(invoice.proforma_at.as_ref())))),
                ("Due", Cell::text(manner.date(invoice.due_at.as_ref()))),
                ("Paid", Cell::text(manner.money(invoice.paid.as_ref()))),
                (
                    "Given back",
                    Cell::text(
                        invoice
                            .refunded
                            .as_ref()
                            .filter(|money| money.minor > 0)
                            .map(|money| manner.money(Some(money)))
                            .unwrap_or_default(),
                    ),
                ),
                ("To", Cell::text(&invoice.buyer_name).note(invoice.buyer_email.clone())),
                ("Company", Cell::text(&invoice.buyer_company).note(invoice.buyer_address_lines.join(", "))),
                ("VAT number", Cell::code(&invoice.buyer_vat_number)),
                ("Tax", Cell::text(&invoice.tax_note)),
                ("From", Cell::text(invoice.seller.as_ref().map(|seller| seller.name.clone()).unwrap_or_default())),
            ],
        ))
        .with(Block::Table(Table::new("Lines", &["Description", "#Quantity", tax.as_str(), "#Amount"], "").rows(rows)));
    if !invoice.parts.is_empty() {
        page = page.with(Block::Table(consolidated(invoice, manner)));
    }
    if !invoice.credit_notes.is_empty() {
        let rows = invoice.credit_notes.iter().map(|note| {
            vec![
                Cell::text(&note.number),
                Cell::text(manner.date(note.issued_at.as_ref())),
                Cell::text(&note.reason),
                Cell::number(manner.money(note.amount.as_ref())),
                Cell::text("PDF").to(format!("{pdf}?credit_note={}", note.id)),
                Cell::text("XML").to(format!("{ubl}?credit_note={}", note.id)),
            ]
        });
        page = page.with(Block::Table(
            Table::new("Credit notes", &["Number", "Date", "Reason", "#Amount", "Document", "E-invoice"], "")
                .rows(rows),
        ));
    }
    page
}

/// `GET /account/invoices/{id}`
pub async fn show(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(id): Path<String>,
) -> Reply<Response> {
    let asked = billing::GetInvoiceRequest { invoice_id: id.clone() };
    let invoice = state.clients.billing(&customer.caller.call()).get_invoice(asked).await?.into_inner();
    let manner = manner(&state, &customer.brand);
    let (tone, word) = state_of(&invoice);
    let address = format!("/account/invoices/{id}");
    let mut page = Page::new(title_of(&invoice))
        .badge(tone, word)
        .up("Invoices", "/account/invoices")
        .aside("How was this computed?", format!("{address}/explain"))
        .aside("Download PDF", format!("{address}/pdf"));
    if !invoice.proforma {
        page = page.aside("Download e-invoice (XML)", format!("{address}/ubl"));
    }
    if is_payable(&invoice) {
        let due = left(&invoice);
        let ways =
            methods::ways(&state, &customer.caller, &due.currency, &invoice.buyer_country, Some(due.minor)).await;
        let title = if ui.query.get("back") == "1" { "Not paid yet" } else { "This invoice is open" };
        let form = Form::new(title, format!("/account/invoices/{id}/pay"), format!("Pay {}", manner.money(Some(&due))))
            .intro(format!(
                "Due on {}. You pay on the secure page of our payment provider.",
                manner.date(invoice.due_at.as_ref())
            ))
            .keyed()
            .fields(methods::way_field(&ways));
        page = page.with(Block::Form(form));
    }
    if is_carried(&invoice) {
        let text =
            "It is too little for a payment of its own, so it is asked for with your next invoice. Nothing to do.";
        page = page.with(Block::note(Tone::Neutral, "Carried forward", text));
    }
    page = parts(page, &invoice, &manner, &address);
    if !invoice.subscription_id.is_empty() {
        page = page.aside("See the subscription", format!("/account/subscriptions/{}", invoice.subscription_id));
    }
    page_of(&customer, &ui, page)
}

/// `POST /account/invoices/{id}/pay`
pub async fn pay(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(id): Path<String>,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::order(&state, &ui.request).await?;
    let key = sent.key()?.0;
    let page = format!("/account/invoices/{id}");
    let asked = billing::PayInvoiceRequest {
        invoice_id: id,
        provider_account_id: sent.text(methods::WAY),
        ..billing::PayInvoiceRequest::default()
    };
    pay_invoice(&state, &customer, &ui, asked, &page, key).await
}

/// `GET /account/invoices/{id}/pdf`
pub async fn pdf(State(state): State<AppState>, customer: Customer, ui: Ui, Path(id): Path<String>) -> Reply<Response> {
    document(&state, &customer.caller, id, ui.query.text("credit_note")).await
}

/// `GET /account/invoices/{id}/ubl`
pub async fn ubl(State(state): State<AppState>, customer: Customer, ui: Ui, Path(id): Path<String>) -> Reply<Response> {
    e_invoice(&state, &customer.caller, id, ui.query.text("credit_note")).await
}

/// The PDF of an invoice, or of one of its credit notes.
pub async fn document(
    state: &AppState,
    caller: &Caller,
    invoice_id: String,
    credit_note_id: String,
) -> Reply<Response> {
    let asked = billing::GetInvoiceDocumentRequest { invoice_id, credit_note_id };
    let document = state.clients.billing(&caller.call()).get_invoice_document(asked).await?.into_inner();
    let pdf = state.documents.draw(&document.document_json).await?;
    let name: String =
        document.file_name.chars().filter(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(*letter)).collect();
    let headers = [
        (header::CONTENT_TYPE, "application/pdf".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("inline; filename=\"{}\"", if name.is_empty() { "invoice.pdf" } else { &name }),
        ),
    ];
    Ok((headers, pdf).into_response())
}
