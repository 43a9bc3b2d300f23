//! Saved payment methods: seen, added on the provider's page, taken away.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::pay_way::Kind;
use ottery_proto::billing::v1::{PayWay, PaymentMethod};

use super::show as page_of;
use crate::api::payments::PROVIDER_TIMEOUT;
use crate::brand::Brand;
use crate::limits::{self, Form as Body};
use crate::links;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done, manner};
use crate::pages::shop::checkout::leave;
use crate::problem::{Refusal, Reply};
use crate::session::{Caller, Customer};
use crate::state::AppState;

const ADD: &str = "/account/methods/add";
/// The field of a form in which a way to pay is chosen.
pub const WAY: &str = "provider_account_id";
const REMOVE: &str = "/account/methods/remove";

/// By what a customer of the brand may pay in a currency, and that amount of it when it is known; nothing while billing cannot say.
pub async fn ways(
    state: &AppState,
    caller: &Caller,
    currency: &str,
    country: &str,
    amount_minor: Option<i64>,
) -> Vec<PayWay> {
    let asked =
        billing::ListPayWaysRequest { currency: currency.to_owned(), country: country.to_owned(), amount_minor };
    match state.clients.billing(&caller.call()).list_pay_ways(asked).await {
        Ok(found) => found.into_inner().ways,
        Err(_) => Vec::new(),
    }
}

/// How a way to pay is called: as the operator calls it, else by what is paid with.
#[must_use]
pub fn way_name(way: &PayWay) -> &str {
    match (way.name.as_str(), way.kind()) {
        ("", Kind::Card | Kind::Unspecified) => "Card",
        ("", Kind::Sandbox) => "Test card",
        ("", Kind::Paypal) => "PayPal",
        ("", Kind::Bitcoin) => "Bitcoin",
        ("", Kind::Ethereum) => "Ethereum",
        ("", Kind::BankTransfer) => "Bank transfer",
        ("", Kind::Cash) => "Cash",
        (name, _) => name,
    }
}

/// The choice between several ways to pay; nothing where there is nothing to choose. The first is the one that is taken anyway.
#[must_use]
pub fn way_field(ways: &[PayWay]) -> Option<Field> {
    let [first, _, ..] = ways else { return None };
    let options = ways.iter().map(|way| (way.provider_account_id.clone(), way_name(way).to_owned())).collect();
    Some(Field::select(WAY, "Pay by", options).value(&first.provider_account_id))
}

/// The first currency of the brand, in which most is sold.
fn currency(brand: &Brand) -> &str {
    brand.currencies.first().map_or("EUR", String::as_str)
}

async fn draw(state: &AppState, customer: &Customer, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let asked = billing::ListPaymentMethodsRequest { account_id: customer.account.id.clone() };
    let found = state.clients.billing(&customer.caller.call()).list_payment_methods(asked).await?.into_inner().methods;
    let manner = manner(state, &customer.brand);
    let rows = found.iter().map(|one| {
        let label = Cell::text(&one.label);
        vec![
            if one.default_method { label.note("Charged when nothing else is said") } else { label },
            Cell::text(if one.expires_on.is_empty() { "Does not expire".to_owned() } else { one.expires_on.clone() }),
            Cell::text(manner.date(one.created_at.as_ref())),
        ]
    });
    let table = Table::new("", &["Method", "Good until", "Saved"], "No method is saved.").rows(rows);
    let mut page = Page::new("Payment methods").refused(failed).with(Block::Table(table));
    let ways = ways(state, &customer.caller, currency(&customer.brand), &customer.account.country, None).await;
    page = match ways.iter().find(|way| way.saves_without_payment) {
        Some(way) => page.with(Block::Form(
            Form::new("Add a method", ADD, format!("Add: {}", way_name(way)))
                .intro("You type it on the payment provider's page; we never see it. Renewals are charged to it from then on.")
                .refused(failed),
        )),
        None => page.with(Block::note(
            Tone::Info,
            "A method is saved when you pay",
            "Tick the box that remembers it the next time you order or pay an invoice.",
        )),
    };
    if !found.is_empty() {
        page = page.with(Block::Form(remove_form(&found, failed)));
    }
    page_of(customer, ui, page)
}

fn remove_form(methods: &[PaymentMethod], failed: Option<&Failed>) -> Form {
    let options = methods.iter().map(|one| (one.id.clone(), one.label.clone())).collect();
    Form::new("Remove a method", REMOVE, "Remove")
        .intro(
            "Nothing is charged to it any more. Without a saved method you get an invoice to pay before each renewal.",
        )
        .tone(Tone::Bad)
        .field(Field::select("id", "Method", options))
        .refused(failed)
}

/// `GET /account/methods`
pub async fn show(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    draw(&state, &customer, &ui, None).await
}

/// `POST /account/methods/add`
pub async fn add(State(state): State<AppState>, customer: Customer, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    limits::order(&state, &ui.request).await?;
    let url = links::absolute(&ui.request, links::METHODS);
    let asked = billing::BeginPaymentSetupRequest {
        account_id: customer.account.id.clone(),
        currency: currency(&customer.brand).to_owned(),
        return_url: url.clone(),
        cancel_url: url,
    };
    let call = customer.caller.call().timeout(PROVIDER_TIMEOUT);
    match state.clients.billing(&call).begin_payment_setup(asked).await {
        Ok(reply) => leave(&customer.brand, &ui, &reply.into_inner().setup_url, links::METHODS),
        Err(status) => {
            let failed = Failed { action: ADD.into(), sent, refusal: Refusal::from(status) };
            draw(&state, &customer, &ui, Some(&failed)).await
        }
    }
}

/// `POST /account/methods/remove`
pub async fn remove(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    let asked = billing::RemovePaymentMethodRequest { id: sent.text("id") };
    let call = customer.caller.call().timeout(PROVIDER_TIMEOUT);
    match state.clients.billing(&call).remove_payment_method(asked).await {
        Ok(_) => Ok(go_done(links::METHODS, "method-removed")),
        Err(status) => {
            let failed = Failed { action: REMOVE.into(), sent, refusal: Refusal::from(status) };
            draw(&state, &customer, &ui, Some(&failed)).await
        }
    }
}
