//! The wallet: what is in it, what expires when, and what moved.

use axum::extract::State;
use axum::response::Response;
use ottery_kernel::Currency;
use ottery_kit::grpc::CallContext;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::{PaymentMethod, TopUpLimit, Wallet, WalletStatement};
use ottery_proto::common::v1::Money;

use super::show as page_of;
use crate::api::gifts::redeem_for;
use crate::api::invoices::file;
use crate::api::payments::PROVIDER_TIMEOUT;
use crate::limits::{self, Form as Body};
use crate::links;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Stat, Table, Tone};
use crate::pages::frame::{Page, Ui, go, go_done, manner};
use crate::pages::shop::checkout::leave;
use crate::pages::text::Manner;
use crate::problem::{Refusal, Reply};
use crate::session::Customer;
use crate::state::AppState;

const TOP_UP: &str = "/account/wallet/top-up";
const REDEEM: &str = "/account/wallet/redeem";

/// What a wallet's page is made from.
#[derive(Clone, Debug)]
pub struct Found {
    wallets: Vec<Wallet>,
    limits: Vec<TopUpLimit>,
    statement: Option<WalletStatement>,
    currency: String,
}

impl Found {
    /// The currencies something can be spent in.
    #[must_use]
    pub fn currencies(&self) -> Vec<String> {
        let has = |wallet: &&Wallet| wallet.available.as_ref().is_some_and(|available| available.minor > 0);
        self.wallets.iter().filter(has).map(|wallet| currency_of(wallet).to_owned()).collect()
    }
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
    let reply = state.clients.billing(call).get_wallet(asked).await?.into_inner();
    let (wallets, limits) = (reply.wallets, reply.top_up_limits);
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
    Ok(Found { wallets, limits, statement, currency })
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

/// What can be put into the wallet, and how.
fn form(found: &Found, methods: &[PaymentMethod], manner: &Manner, failed: Option<&Failed>) -> Option<Form> {
    let said = found
        .limits
        .iter()
        .map(|limit| format!("{} to {}", manner.money(limit.min.as_ref()), manner.money(limit.max.as_ref())));
    let said: Vec<String> = said.collect();
    let codes = found.limits.iter().filter_map(|limit| limit.min.as_ref()).map(|min| min.currency.clone());
    let codes: Vec<(String, String)> = codes.map(|code| (code.clone(), code)).collect();
    if codes.is_empty() {
        return None;
    }
    let mut form = Form::new("Top up", TOP_UP, "Top up")
        .intro(format!(
            "{}. It pays your next invoices by itself; tax is charged on what you buy with it.",
            said.join(", ")
        ))
        .keyed()
        .field(Field::text("amount", "Amount").half().required().example("20.00"))
        .field(Field::select("currency", "Currency", codes).half());
    if !methods.is_empty() {
        // The usual one comes first.
        let mut ways: Vec<_> = methods.iter().map(|one| (one.id.clone(), one.label.clone())).collect();
        ways.push((String::new(), "Another one, on the payment page".to_owned()));
        form = form.field(Field::select("payment_method_id", "Pay with", ways));
    }
    let remember = Field::check("save_method", "Remember what I type on the payment page", false)
        .help("It can be chosen here the next time, and renewals can be charged to it.");
    Some(form.field(remember).refused(failed))
}

async fn render(state: &AppState, customer: &Customer, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let found = find(state, &customer.caller.call(), "", ui).await?;
    let asked = billing::ListPaymentMethodsRequest { account_id: customer.account.id.clone() };
    let methods =
        state.clients.billing(&customer.caller.call()).list_payment_methods(asked).await?.into_inner().methods;
    let manner = manner(state, &customer.brand);
    let mut page = parts(Page::new("Wallet").refused(failed), &found, &manner, links::WALLET);
    if let Some(form) = form(&found, &methods, &manner, failed) {
        page = page.with(Block::Form(form));
    }
    let code = Form::new("Redeem a code", REDEEM, "Redeem")
        .intro("Of a gift or voucher: money for the wallet, or a term of a plan.")
        .tone(Tone::Info)
        .field(Field::text("code", "Code").required().example("GIFT-2345-6789-ABCD-EFGH"))
        .refused(failed);
    page_of(customer, ui, page.with(Block::Form(code)))
}

/// `POST /account/wallet/redeem`
pub async fn redeem(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    match redeem_for(&state, &customer.caller, None, sent.text("code")).await {
        Ok(reply) if reply.order_id.is_empty() => Ok(go_done(links::WALLET, "redeemed")),
        Ok(reply) => Ok(go(&format!("/orders/{}", reply.order_id))),
        Err(refusal) => {
            let failed = Failed { action: REDEEM.into(), sent, refusal };
            render(&state, &customer, &ui, Some(&failed)).await
        }
    }
}

/// `GET /account/wallet`
pub async fn show(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    render(&state, &customer, &ui, None).await
}

/// `POST /account/wallet/top-up`
pub async fn top_up(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::order(&state, &ui.request).await?;
    match send(&state, &customer, &ui, &sent).await {
        Ok(url) if url.is_empty() => Ok(go_done(links::WALLET, "charging")),
        Ok(url) => leave(&customer.brand, &ui, &url, links::WALLET),
        Err(refusal) => {
            let failed = Failed { action: TOP_UP.into(), sent, refusal };
            render(&state, &customer, &ui, Some(&failed)).await
        }
    }
}

/// Asks for the top-up; gives the payment page, or nothing when the saved method is charged.
async fn send(state: &AppState, customer: &Customer, ui: &Ui, sent: &Sent) -> Reply<String> {
    let account = &customer.account;
    let back = links::absolute(&ui.request, links::WALLET);
    let asked = billing::TopUpWalletRequest {
        account_id: account.id.clone(),
        email: account.email.clone(),
        display_name: account.display_name.clone(),
        country: account.country.clone(),
        locale: account.locale.clone(),
        amount: Some(amount(sent)?),
        saved_method: false,
        payment_method_id: sent.text("payment_method_id"),
        save_method: sent.is_on("save_method"),
        return_url: back.clone(),
        cancel_url: back,
    };
    let call = customer.caller.call().idempotency_key(sent.key()?.0).timeout(PROVIDER_TIMEOUT);
    Ok(state.clients.billing(&call).top_up_wallet(asked).await?.into_inner().checkout_url)
}

/// The amount of a form with the fields `amount` and `currency`.
///
/// # Errors
/// When either is none.
pub fn amount(sent: &Sent) -> Reply<Money> {
    let currency: Currency = sent.get("currency").parse().map_err(|error: ottery_kernel::CurrencyError| {
        Refusal::invalid("currency", "currency_invalid", error.to_string())
    })?;
    let amount = ottery_kernel::Money::parse(&sent.get("amount").replace(',', "."), currency)
        .map_err(|error| Refusal::invalid("amount", "amount_invalid", error.to_string()))?;
    Ok(Money { minor: amount.minor, currency: currency.to_string() })
}

/// `GET /account/wallet.csv`
pub async fn csv(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    sheet(find(&state, &customer.caller.call(), "", &ui).await?)
}
