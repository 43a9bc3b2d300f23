//! Paying one invoice by the link in a mail: no account, no script, nothing personal.

use axum::extract::{Path, State};
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::pay_link::State as Life;

use super::by_link::{NOT_GOOD, anybody, gone, kept_to_oneself};
use super::checkout::leave;
use crate::api::payments::PROVIDER_TIMEOUT;
use crate::brand::BrandHost;
use crate::limits::{self, Form as Body};
use crate::links;
use crate::pages::account::card;
use crate::pages::block::{Block, Cell, Form, Sent, Tone};
use crate::pages::frame::{Page, Ui, manner};
use crate::problem::Reply;
use crate::state::AppState;

/// `GET /pay/{token}`
pub async fn show(
    State(state): State<AppState>,
    BrandHost(brand): BrandHost,
    ui: Ui,
    Path(token): Path<String>,
) -> Reply<Response> {
    limits::pay_link(&state, &ui.request).await?;
    let asked = billing::ReadPayLinkRequest { token: token.clone() };
    let link = match state.clients.dunning(&anybody(&brand, &ui)).read_pay_link(asked).await {
        Ok(link) => link.into_inner(),
        Err(status) => return gone(&brand, &ui, status.into(), "pay_link_invalid", NOT_GOOD),
    };
    let manner = manner(&state, &brand);
    let amount = manner.money(link.amount.as_ref());
    let mut page = Page::new(format!("Invoice {}", link.invoice_number)).intro(brand.name.clone());
    page = match link.state() {
        Life::Open => {
            let came_back = ui.query.get("back") == "1";
            let form = Form::new(
                if came_back { "Not paid yet" } else { "" },
                links::PAY.replace("{token}", &token),
                format!("Pay {amount}"),
            )
            .intro("You pay on the secure page of our payment provider; you need not sign in.")
            .keyed();
            let facts = vec![("To pay", Cell::text(amount)), ("Due", Cell::text(manner.date(link.due_at.as_ref())))];
            page.with(Block::facts("", facts)).with(Block::Form(form))
        }
        Life::Processing => page.with(Block::note(
            Tone::Info,
            "Your payment is on its way",
            "We are waiting for the payment provider. You will not be charged twice; load this page again in a moment.",
        )),
        Life::Paid => {
            page.with(Block::note(Tone::Good, "This invoice is paid", "Thank you. There is nothing more to do."))
        }
        Life::Closed | Life::Unspecified => {
            page.with(Block::note(Tone::Info, "Nothing is to be paid", "This invoice was taken back."))
        }
    };
    card(&brand, &ui, page).map(kept_to_oneself)
}

/// `POST /pay/{token}`
pub async fn pay(
    State(state): State<AppState>,
    BrandHost(brand): BrandHost,
    ui: Ui,
    Path(token): Path<String>,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::order(&state, &ui.request).await?;
    let key = sent.key()?.0;
    let page = links::PAY.replace("{token}", &token);
    let back = links::absolute(&ui.request, &page);
    let asked = billing::PayByLinkRequest { token, return_url: back.clone(), cancel_url: format!("{back}?back=1") };
    let context = anybody(&brand, &ui).idempotency_key(key).timeout(PROVIDER_TIMEOUT);
    match state.clients.dunning(&context).pay_by_link(asked).await {
        Ok(reply) => leave(&brand, &ui, &reply.get_ref().checkout_url, &page).map(kept_to_oneself),
        Err(status) => gone(&brand, &ui, status.into(), "pay_link_invalid", NOT_GOOD),
    }
}
