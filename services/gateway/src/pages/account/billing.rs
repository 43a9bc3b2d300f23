//! Where invoices go, and the VAT number.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::billing_address::VatState;

use super::show;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Tone};
use crate::pages::frame::{Page, Ui, go_done, manner};
use crate::pages::text::Manner;
use crate::pages::words::COUNTRIES;
use crate::problem::{Refusal, Reply};
use crate::session::{Caller, Customer};
use crate::state::AppState;

const HERE: &str = "/account/billing";

/// The billing address of a customer; nothing when there is none yet.
///
/// # Errors
/// When billing is away.
pub async fn of(state: &AppState, caller: &Caller, account: &str) -> Reply<Option<billing::BillingAddress>> {
    let asked = billing::GetBillingAddressRequest { account_id: account.to_owned() };
    match state.clients.billing(&caller.call()).get_billing_address(asked).await {
        Ok(found) => Ok(Some(found.into_inner())),
        Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}

/// What is known of the VAT number, as a badge with an explanation; nothing without one.
#[must_use]
pub fn vat_fact(address: &billing::BillingAddress, manner: &Manner) -> Option<Cell> {
    let (tone, word, note) = match address.vat_state() {
        VatState::None | VatState::Unspecified => return None,
        VatState::Pending => {
            let until = manner.moment(address.vat_pending_until.as_ref());
            (Tone::Info, "Being checked", format!("Invoices wait for the answer until {until}; then tax is charged."))
        }
        VatState::Valid => {
            let proof = address.vat_proof.clone().unwrap_or_default();
            let reference = if proof.reference.is_empty() { String::new() } else { format!(", {}", proof.reference) };
            let checked = manner.moment(proof.checked_at.as_ref());
            (Tone::Good, "Valid", format!("Checked {checked}, {}{reference}", proof.validator))
        }
        VatState::Invalid => (Tone::Bad, "Not valid", "The register does not know it, so tax is charged.".to_owned()),
    };
    Some(Cell::badge(tone, word).note(note))
}

fn form(address: &billing::BillingAddress, failed: Option<&Failed>) -> Form {
    let countries = COUNTRIES.iter().map(|(code, name)| ((*code).to_owned(), (*name).to_owned())).collect();
    let line = |name: &str, label: &str, autocomplete: &'static str, value: &str| {
        Field { autocomplete, ..Field::text(name, label) }.value(value)
    };
    let street =
        Field { autocomplete: "street-address", rows: 3, ..Field::new("textarea", "lines", "Street and house") };
    Form::new("Address", HERE, "Save")
        .intro("For invoices from now on. The country decides on the tax; invoices you have stay as they are.")
        .field(Field::hidden("version", address.version.to_string()))
        .field(line("company", "Company", "organization", &address.company))
        .field(street.value(address.lines.join("\n")))
        .field(line("postal_code", "Postal code", "postal-code", &address.postal_code).half())
        .field(line("city", "Town", "address-level2", &address.city).half())
        .field(
            line("region", "State or province", "address-level1", &address.region)
                .help("Its short form, such as CA, where your tax depends on it.")
                .half(),
        )
        .field(
            Field { autocomplete: "country", ..Field::select("country", "Country", countries) }
                .value(&address.country)
                .half(),
        )
        .field(
            line("vat_number", "VAT number", "off", &address.vat_number)
                .help("Of a business, with the letters of its country. We check it before we leave out any tax."),
        )
        .refused(failed)
}

async fn draw(state: &AppState, customer: &Customer, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let found = of(state, &customer.caller, &customer.account.id).await?;
    let address = found.unwrap_or_else(|| billing::BillingAddress {
        country: customer.account.country.clone(),
        ..billing::BillingAddress::default()
    });
    let manner = manner(state, &customer.brand);
    let mut page = Page::new("Billing address").refused(failed);
    if let Some(known) = vat_fact(&address, &manner) {
        page = page.with(Block::facts("", vec![("VAT number", Cell::code(&address.vat_number)), ("State", known)]));
    }
    show(customer, ui, page.with(Block::Form(form(&address, failed))))
}

/// `GET /account/billing`
pub async fn page(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    draw(&state, &customer, &ui, None).await
}

/// `POST /account/billing`
pub async fn save(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    let saved = async {
        let address = billing::BillingAddress {
            account_id: customer.account.id.clone(),
            company: sent.text("company"),
            lines: sent.lines("lines"),
            postal_code: sent.text("postal_code"),
            city: sent.text("city"),
            region: sent.text("region"),
            country: sent.text("country"),
            vat_number: sent.text("vat_number"),
            ..billing::BillingAddress::default()
        };
        let expected_version = sent.number("version")?;
        let asked = billing::PutBillingAddressRequest { address: Some(address), expected_version };
        Ok::<_, Refusal>(state.clients.billing(&customer.caller.call()).put_billing_address(asked).await?)
    };
    match saved.await {
        Ok(_) => Ok(go_done(HERE, "saved")),
        Err(refusal) => draw(&state, &customer, &ui, Some(&Failed { action: HERE.into(), sent, refusal })).await,
    }
}
