//! The page that waits for coins: where to send them, exactly how many, for how long, and what has been seen.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::deposit::State as Standing;

use super::by_link::{NEVER_MADE, anybody, gone, kept_to_oneself};
use crate::api::payments::PROVIDER_TIMEOUT;
use crate::brand::{Brand, BrandHost};
use crate::limits::{self, Form as Body};
use crate::links;
use crate::pages::account::card;
use crate::pages::block::{Block, Cell, Failed, Form, Sent, Tone};
use crate::pages::frame::{Page, Ui, manner};
use crate::pages::qr;
use crate::pages::text::Manner;
use crate::problem::Reply;
use crate::state::AppState;

/// Seconds between two looks of somebody who waits.
const RELOAD_S: u32 = 15;

/// `GET /pay/coin/{token}`
pub async fn show(
    State(state): State<AppState>,
    BrandHost(brand): BrandHost,
    ui: Ui,
    Path(token): Path<String>,
) -> Reply<Response> {
    limits::pay_link(&state, &ui.request).await?;
    draw(&state, &brand, &ui, &token, None).await
}

/// `POST /pay/coin/{token}`: a fresh price.
pub async fn renew(
    State(state): State<AppState>,
    BrandHost(brand): BrandHost,
    ui: Ui,
    Path(token): Path<String>,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::order(&state, &ui.request).await?;
    let asked = billing::RenewDepositRequest { token: token.clone() };
    let context = anybody(&brand, &ui).timeout(PROVIDER_TIMEOUT);
    match state.clients.billing(&context).renew_deposit(asked).await {
        // Asked for by its own address again, so that loading it anew sends no form.
        Ok(_) => Ok(kept_to_oneself(Redirect::to(&place(&token)).into_response())),
        Err(status) => {
            let failed = Failed { action: place(&token), sent, refusal: status.into() };
            draw(&state, &brand, &ui, &token, Some(&failed)).await
        }
    }
}

fn place(token: &str) -> String {
    links::COIN.replace("{token}", token)
}

async fn draw(state: &AppState, brand: &Brand, ui: &Ui, token: &str, failed: Option<&Failed>) -> Reply<Response> {
    let asked = billing::ReadDepositRequest { token: token.to_owned() };
    let deposit = match state.clients.billing(&anybody(brand, ui)).read_deposit(asked).await {
        Ok(deposit) => deposit.into_inner(),
        Err(status) => return gone(brand, ui, status.into(), "deposit_not_found", NEVER_MADE),
    };
    let manner = manner(state, brand);
    let mut page = Page::new(deposit.title.clone()).intro(brand.name.clone()).refused(failed);
    if deposit.test_mode {
        page = page.with(Block::note(Tone::Warn, "Test network", "These coins are worth nothing: send no real ones."));
    }
    page = page.with(standing(&manner, &deposit));
    if !deposit.link.is_empty() {
        page = page.with_some(qr::payment(&deposit.amount, &deposit.link));
        let facts = vec![
            ("Address", Cell::code(&deposit.address).copied()),
            ("Exact amount", Cell::code(format!("{} {}", deposit.amount, deposit.coin))),
            ("For", Cell::text(manner.money(deposit.owed.as_ref()))),
            (
                "This price holds for",
                Cell::text(left(&deposit)).note(format!("Until {}", manner.moment(deposit.until.as_ref()))),
            ),
        ];
        page = page.with(Block::facts("", facts));
        if deposit.coin == "ETH" {
            let text = "Send ether on Ethereum itself. Tokens, and ether on another network, do not arrive here.";
            page = page.with(Block::note(Tone::Warn, "Ether only", text));
        }
    }
    if !deposit.transfers.is_empty() {
        let rows = deposit
            .transfers
            .iter()
            .map(|one| (seen(one), Cell::code(format!("{} {}", one.amount, deposit.coin)).note(one.reference.clone())));
        page = page.with(Block::facts("What has been seen", rows.collect()));
    }
    if deposit.link.is_empty() && matches!(deposit.state(), Standing::Expired | Standing::Short) {
        let form = Form::new("", place(token), "Get the price of now")
            .intro("The address stays the same. What was sent already counts.")
            .refused(failed);
        page = page.with(Block::Form(form));
    }
    page = page.aside("Back to your order", deposit.return_url.clone());
    let is_waiting =
        matches!(deposit.state(), Standing::Waiting | Standing::Expired | Standing::Seen | Standing::Short);
    // A page that answers a form is not loaded again: that would send the form again.
    let reload_s = if is_waiting && failed.is_none() { RELOAD_S } else { 0 };
    card(brand, ui, Page { reload_s, ..page }).map(kept_to_oneself)
}

fn seen(one: &billing::DepositTransfer) -> &'static str {
    match (one.gone, one.mined) {
        (true, _) => "Taken back by its sender",
        (false, true) => "In a block",
        (false, false) => "On its way",
    }
}

/// `12 minutes`
fn left(deposit: &billing::Deposit) -> String {
    let seconds = |at: Option<&prost_types::Timestamp>| at.map_or(0, |at| at.seconds);
    let left = (seconds(deposit.until.as_ref()) - seconds(deposit.now.as_ref())).max(0);
    match left / 60 {
        0 => "less than a minute".to_owned(),
        1 => "1 minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}

/// How it stands, and what is to be done next.
fn standing(manner: &Manner, deposit: &billing::Deposit) -> Block {
    let owed = manner.money(deposit.owed.as_ref());
    let difference = manner.money(deposit.difference.as_ref());
    let coin = &deposit.coin;
    match deposit.state() {
        Standing::Waiting => {
            let looked = deposit
                .looked_at
                .as_ref()
                .map_or_else(String::new, |at| format!(" Looked last at {}.", manner.moment(Some(at))));
            let text =
                format!("Send the exact amount in one payment. This page shows it as soon as it is seen.{looked}");
            Block::note(Tone::Info, "Waiting for your payment", text)
        }
        Standing::Expired => Block::note(
            Tone::Warn,
            "The price has run out",
            "Nothing has been seen. If you have sent it already, wait: it is found, and counts at the price of when it was seen. Otherwise \
             get the price of now.",
        ),
        Standing::Seen => {
            let late =
                if deposit.late { "It came after its price had run out and is enough all the same. " } else { "" };
            let text = match deposit.confirmations_needed {
                0 => format!("{late}It is being booked."),
                needed => format!(
                    "{late}{} of {needed} confirmations. Nothing is left to do; you may close this page.",
                    deposit.confirmations
                ),
            };
            Block::note(Tone::Good, "Your payment was seen", text)
        }
        Standing::Short => {
            let seen = manner.money(deposit.seen.as_ref());
            let late = if deposit.late { " (it came late and counts at the price of when it was seen)" } else { "" };
            let next = if deposit.link.is_empty() {
                "Get the price of now and send the rest to the same address."
            } else {
                "Send the rest to the same address."
            };
            let text = format!(
                "{seen} of {owed} has been seen{late}; {difference} is missing. {next} What came is kept for you if you do not."
            );
            Block::note(Tone::Warn, "Not all of it came", text)
        }
        Standing::Paid if deposit.difference.is_some() => Block::note(
            Tone::Good,
            "Paid, and more than that",
            format!(
                "Thank you. {difference} was too much and is in your wallet here: the next invoice takes it, or ask us to send it back."
            ),
        ),
        Standing::Paid => Block::note(Tone::Good, "Paid", "Thank you. There is nothing more to do."),
        Standing::Kept => Block::note(
            Tone::Warn,
            "Not enough came",
            format!(
                "{difference} came of {owed}, and nobody sent the rest. It is kept for you: write to us, or pay in another way."
            ),
        ),
        Standing::Closed | Standing::Unspecified => Block::note(
            Tone::Info,
            "Nothing is waited for here any more",
            format!("Send no {coin} to this address. Go back and pay from there."),
        ),
    }
}
