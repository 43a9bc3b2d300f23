//! The wallet: what is in it, what expires when, and what moved.

use axum::extract::State;
use axum::response::Response;
use ottery_kit::grpc::CallContext;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::{Wallet, WalletStatement};

use super::show as page_of;
use crate::api::invoices::file;
use crate::pages::block::{Block, Cell, Field, Form, Stat, Table, Tone};
use crate::pages::frame::{Page, Ui, manner};
use crate::pages::text::Manner;
use crate::problem::Reply;
use crate::session::Customer;
use crate::state::AppState;

/// What a wallet's page is made from.
#[derive(Clone, Debug)]
pub struct Found {
    wallets: Vec<Wallet>,
    statement: Option<WalletStatement>,
    currency: String,
}

fn currency_of(wallet: &Wallet) -> &str {
    wallet.available.as_ref().map_or("", |available| available.currency.as_str())
}

/// Reads what the page shows: all currencies, and the statement of the one that was asked for, or of the first.
///
/// # Errors
/// What billing refuses, such as days that are none.
pub async fn find(state: &AppState, call: &CallContext, account_id: &str, ui: &Ui) -> Reply<Found> {
    let asked = billing::GetWalletRequest { account_id: account_id.to_owned() };
    let wallets = state.clients.billing(call).get_wallet(asked).await?.into_inner().wallets;
    let mut currency = ui.query.text("currency");
    if currency.is_empty() {
        currency = wallets.first().map(currency_of).unwrap_or_default().to_owned();
    }
    let statement = if currency.is_empty() {
        None
    } else {
        let asked = billing::GetWalletStatementRequest {
            account_id: account_id.to_owned(),
            currency: currency.clone(),
            from: ui.query.text("from"),
            to: ui.query.text("to"),
        };
        Some(state.clients.billing(call).get_wallet_statement(asked).await?.into_inner())
    };
    Ok(Found { wallets, statement, currency })
}

/// The parts of a wallet's page, for customers and staff; `address` is the page's.
pub fn parts(mut page: Page, found: &Found, manner: &Manner, address: &str) -> Page {
    if found.wallets.is_empty() {
        let text = "Credit and money that was paid too much come here, and pay the next invoice by themselves.";
        return page.with(Block::note(Tone::Neutral, "The wallet is empty", text));
    }
    let stats = found.wallets.iter().map(|wallet| Stat {
        label: format!("Available in {}", currency_of(wallet)),
        value: manner.money(wallet.available.as_ref()),
        note: "It pays the next invoice, what expires soonest first.".into(),
        href: format!("{address}?currency={}", currency_of(wallet)),
    });
    page = page.with(Block::Stats(stats.collect()));
    let credits = found.wallets.iter().flat_map(|wallet| &wallet.credits).map(|credit| {
        let end = credit.expires_at.as_ref();
        vec![
            Cell::text(&credit.reason).note(manner.date(credit.granted_at.as_ref())),
            Cell::text(end.map_or("never".to_owned(), |at| manner.moment(Some(at)))).note(manner.relative(end)),
            Cell::number(manner.money(credit.amount.as_ref())),
            Cell::number(manner.money(credit.left.as_ref())),
        ]
    });
    let credits: Vec<_> = credits.collect();
    if !credits.is_empty() {
        let table = Table::new("Credit", &["For", "Expires", "#Granted", "#Left"], "").rows(credits);
        page = page.with(Block::Table(table));
    }
    match &found.statement {
        Some(statement) => with_statement(page, found, statement, manner, address),
        None => page,
    }
}

fn with_statement(page: Page, found: &Found, statement: &WalletStatement, manner: &Manner, address: &str) -> Page {
    let sum = |text: String, amount| vec![Cell::text(text), Cell::text(""), Cell::number(""), Cell::number(amount)];
    let mut rows = vec![sum(format!("Before {}", statement.from), manner.money(statement.opening.as_ref()))];
    rows.extend(statement.movements.iter().map(|movement| {
        vec![
            Cell::text(&movement.text).note(movement.reference_id.clone()),
            Cell::text(manner.moment(movement.booked_at.as_ref())),
            Cell::number(manner.money(movement.amount.as_ref())),
            Cell::number(manner.money(movement.balance.as_ref())),
        ]
    }));
    rows.push(sum(format!("At the end of {}", statement.to), manner.money(statement.closing.as_ref())));
    let title = format!("Statement in {}", found.currency);
    let mut form = Form::new("Other days", address, "Show")
        .tone(Tone::Info)
        .field(Field::hidden("currency", &found.currency))
        .field(Field::new("date", "from", "First day").half().value(&statement.from).required())
        .field(Field::new("date", "to", "Last day").half().value(&statement.to).required());
    form.is_get = true;
    let sheet = format!("{address}.csv?currency={}&from={}&to={}", found.currency, statement.from, statement.to);
    page.aside("Download as CSV", sheet)
        .with(Block::Table(Table::new(title, &["What", "When", "#Amount", "#Balance"], "").rows(rows)))
        .with(Block::Form(form))
}

/// The statement of the found wallet as a file.
///
/// # Errors
/// Never in practice: a wallet that was never used has an empty sheet.
pub fn sheet(found: Found) -> Reply<Response> {
    let statement = found.statement.unwrap_or_default();
    let name = if statement.file_name.is_empty() { "wallet.csv" } else { &statement.file_name };
    file(name, "text/csv; charset=utf-8; header=present", statement.csv)
}

/// `GET /account/wallet`
pub async fn show(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    let found = find(&state, &customer.caller.call(), "", &ui).await?;
    let page = parts(Page::new("Wallet"), &found, &manner(&state, &customer.brand), "/account/wallet");
    page_of(&customer, &ui, page)
}

/// `GET /account/wallet.csv`
pub async fn csv(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    sheet(find(&state, &customer.caller.call(), "", &ui).await?)
}
