//! The page of a payment that is sent by bank or handed over: where to, exactly how much, under which reference, and how it stands.

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::by_hand::State as Standing;

use super::by_link::{NEVER_MADE, anybody, gone, kept_to_oneself};
use super::proof;
use crate::api::payments::PROVIDER_TIMEOUT;
use crate::brand::{Brand, BrandHost};
use crate::limits;
use crate::links;
use crate::pages::account::card;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Tone};
use crate::pages::frame::{Page, Ui, manner};
use crate::pages::qr;
use crate::pages::text::Manner;
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// Files of one payment.
const FILES_MAX: usize = 4;

/// `GET /pay/by-hand/{token}`
pub async fn show(
    State(state): State<AppState>,
    BrandHost(brand): BrandHost,
    ui: Ui,
    Path(token): Path<String>,
) -> Reply<Response> {
    limits::pay_link(&state, &ui.request).await?;
    draw(&state, &brand, &ui, &token, None).await
}

/// `POST /pay/by-hand/{token}`: a file that shows that it was sent.
pub async fn send(
    State(state): State<AppState>,
    BrandHost(brand): BrandHost,
    ui: Ui,
    Path(token): Path<String>,
    request: Request,
) -> Reply<Response> {
    limits::order(&state, &ui.request).await?;
    let done = match proof::sent(request).await {
        Ok(upload) => {
            let asked =
                billing::AddByHandProofRequest { token: token.clone(), name: upload.name, content: upload.content };
            let context = anybody(&brand, &ui).timeout(PROVIDER_TIMEOUT);
            state.clients.billing(&context).add_by_hand_proof(asked).await.map(|_| ()).map_err(Refusal::from)
        }
        Err(refusal) => Err(refusal),
    };
    match done {
        // Asked for by its own address again, so that loading it anew sends no file.
        Ok(()) => Ok(kept_to_oneself(Redirect::to(&place(&token)).into_response())),
        Err(refusal) => {
            let failed = Failed { action: place(&token), sent: Sent::default(), refusal };
            draw(&state, &brand, &ui, &token, Some(&failed)).await
        }
    }
}

fn place(token: &str) -> String {
    links::BY_HAND.replace("{token}", token)
}

async fn draw(state: &AppState, brand: &Brand, ui: &Ui, token: &str, failed: Option<&Failed>) -> Reply<Response> {
    let asked = billing::ReadByHandRequest { token: token.to_owned() };
    let payment = match state.clients.billing(&anybody(brand, ui)).read_by_hand(asked).await {
        Ok(payment) => payment.into_inner(),
        Err(status) => return gone(brand, ui, status.into(), "by_hand_not_found", NEVER_MADE),
    };
    let manner = manner(state, brand);
    let mut page = Page::new(payment.title.clone()).intro(brand.name.clone()).refused(failed);
    page = page.with(standing(&manner, &payment));
    let is_refused = payment.state() == Standing::Waiting && payment.proofs.iter().any(|one| one.refused_at.is_some());
    if is_refused {
        page = page.with(Block::note(
            Tone::Warn,
            "What you sent us is no proof of payment",
            "The reason is beside the file. If you have paid, write to us or wait until your bank has sent it; nothing is lost.",
        ));
    }
    let is_asked = matches!(payment.state(), Standing::Waiting | Standing::Claimed | Standing::Short);
    if is_asked {
        let amount = manner.money(payment.due.as_ref());
        if !payment.code.is_empty() {
            page = page.with_some(qr::transfer(&amount, &payment.code));
        }
        page = page.with(Block::facts("", facts(&payment, &amount)));
    }
    if is_asked || payment.state() == Standing::Checking {
        if !payment.proofs.is_empty() {
            let rows = payment.proofs.iter().map(|one| {
                let sent = manner.moment(one.sent_at.as_ref());
                let (word, note) = match one.refused_at {
                    Some(_) => ("Not accepted", format!("{sent}: {}", one.refused_reason)),
                    None => ("Sent", sent),
                };
                (word, Cell::text(&one.name).to(format!("/account/proofs/{}", one.id)).note(note))
            });
            page = page.with(Block::facts("What you have sent us", rows.collect()));
        }
        if payment.proofs.len() < FILES_MAX {
            page = page.with(Block::Form(proof_form(token, failed)));
        }
    }
    page = page.aside("Back to your order", payment.return_url.clone());
    card(brand, ui, page).map(kept_to_oneself)
}

fn facts(payment: &billing::ByHand, amount: &str) -> Vec<(&'static str, Cell)> {
    let told = payment.terms.clone().unwrap_or_default();
    let reference = spaced(&payment.reference);
    let mut facts = vec![("Pay to", Cell::text(&told.beneficiary).copied())];
    if !told.iban.is_empty() {
        facts.push(("IBAN", Cell::code(spaced(&told.iban)).copied()));
    }
    if !told.bic.is_empty() {
        facts.push(("BIC", Cell::code(&told.bic).copied()));
    }
    if !told.bank.is_empty() {
        facts.push(("Bank", Cell::text(&told.bank)));
    }
    facts.push(("Exact amount", Cell::text(amount)));
    let note = if payment.provider == "cash" {
        "Say it when you hand the money over."
    } else {
        "Write it as the reference, and nothing else: by it we find your payment."
    };
    facts.push(("Reference", Cell::code(reference).copied().note(note)));
    if !told.note.is_empty() {
        facts.push(("Please note", Cell::text(&told.note)));
    }
    facts
}

/// In groups of four.
fn spaced(text: &str) -> String {
    let signs: Vec<char> = text.chars().collect();
    signs.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

fn proof_form(token: &str, failed: Option<&Failed>) -> Form {
    let mut form = Form::new("Paid already?", place(token), "Send the file")
        .intro("Send us a confirmation of your bank or a picture of the receipt. We then know that your money is on its way.")
        .tone(Tone::Info)
        .field(Field::new("file", proof::FIELD, "File").help("PDF, PNG or JPEG, at most 5 MB.").required())
        .refused(failed);
    form.is_file = true;
    form
}

/// How it stands, and what is to be done next.
fn standing(manner: &Manner, payment: &billing::ByHand) -> Block {
    let due = manner.money(payment.due.as_ref());
    let came = manner.money(payment.came.as_ref());
    let is_cash = payment.provider == "cash";
    let days = payment.terms.as_ref().map_or(0, |told| told.days);
    let wait = match days {
        0 => String::new(),
        1 => " It may take a day until we have seen it.".to_owned(),
        days => format!(" It may take {days} days until we have seen it."),
    };
    match payment.state() {
        Standing::Waiting if is_cash => Block::note(
            Tone::Info,
            "Waiting for your payment",
            format!(
                "Bring {due} and the reference below. Your order waits; you may close this page and come back by the link in your account.{wait}"
            ),
        ),
        Standing::Waiting => Block::note(
            Tone::Info,
            "Waiting for your transfer",
            format!(
                "Send exactly {due} with the reference below. Your order waits; you may close this page and come back by the link in your account.{wait}"
            ),
        ),
        Standing::Claimed => Block::note(
            Tone::Info,
            "Thank you, we look out for it",
            format!("You have shown us that it is on its way. Nothing is left to do.{wait}"),
        ),
        Standing::Checking => Block::note(
            Tone::Good,
            "Your payment has come",
            format!(
                "{} has come and is being checked. Nothing is left to do.",
                manner.money(payment.checking.as_ref())
            ),
        ),
        Standing::Short => Block::note(
            Tone::Warn,
            "Not all of it came",
            format!("{came} has come; {due} is missing. Pay the rest with the same reference."),
        ),
        Standing::Paid => Block::note(Tone::Good, "Paid", "Thank you. There is nothing more to do."),
        Standing::Closed | Standing::Unspecified => Block::note(
            Tone::Info,
            "Nothing is waited for here any more",
            "Send no money with this reference. If you have sent it already, it is not lost: write to us.",
        ),
    }
}
