//! Texts about a brand: made from what its operator entered, never promising what nobody entered.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::offer::{HomeTax, Offer};
use crate::brand::{Brand, BrandHost};
use crate::pages::frame::{Frame, Ui, draw};
use crate::pages::text::{counted, day_of_month};
use crate::problem::Reply;
use crate::state::AppState;

/// A question people have, and its answer.
#[derive(Clone, Debug)]
pub struct Question {
    /// The question.
    pub title: String,
    /// The answer.
    pub text: String,
}

fn question(title: &str, text: impl Into<String>) -> Question {
    Question { title: title.to_owned(), text: text.into() }
}

/// What prices contain.
#[must_use]
pub fn tax(brand: &Brand) -> String {
    let home = HomeTax::of(brand);
    match (home.is_added, home.rate_bp) {
        (true, 0) => format!("Prices are without {}, which is added at checkout where it is due.", home.name),
        (true, _) => {
            format!("Prices are without {}: {} is added, or the rate of your country.", home.name, home.label())
        }
        (false, 0) => "Prices are final; no tax is added.".to_owned(),
        (false, _) => format!("All prices include {}.", home.label()),
    }
}

/// What visitors ask before they buy.
#[must_use]
pub fn questions(brand: &Brand, trial_days: u32) -> Vec<Question> {
    let mut all = vec![
        question(
            "How long does it take after I paid?",
            "Usually a few seconds. You see every step on the page after the payment, and a mail with your access follows. \
             You may close the page; nothing is lost.",
        ),
        question(
            "Which devices work?",
            "Any player that opens an M3U playlist or signs in with server, user name and password: smart TVs, TV boxes and sticks, \
             phones, tablets and computers. Your account shows the steps for each.",
        ),
        question(
            "How do I cancel?",
            "In your account, with two clicks, at any time. You keep access until the end of the period you paid for, and \
             you can undo it until then.",
        ),
        question(
            "What happens when a renewal fails?",
            format!(
                "We tell you by mail. You have {} to pay before access is paused; paying later switches it on again.",
                counted(u64::from(brand.grace_days.max(1)), "day")
            ),
        ),
        question("Is there anything on top of the price?", tax(brand)),
    ];
    if trial_days > 0 {
        let text = format!(
            "Yes, {} on plans that say so. You see before you start when and what is charged afterwards.",
            counted(u64::from(trial_days), "day")
        );
        all.insert(1, question("Can I try it first?", text));
    }
    all
}

/// The conditions of renewal in plain words.
#[must_use]
pub fn renewal(brand: &Brand, offer: &Offer) -> Vec<String> {
    let mut terms = Vec::new();
    if offer.trial_days > 0 {
        terms.push(format!(
            "The trial is free for {}. It becomes a paid subscription afterwards unless you cancel before.",
            counted(u64::from(offer.trial_days), "day")
        ));
    }
    terms.push(match offer.anchor_day {
        0 => "Your subscription renews at the same price and on the same day each term, until you cancel.".to_owned(),
        day => format!(
            "Terms of months and years renew on {} of the month, at the same price, until you cancel. The first payment is \
             only for the time until then.",
            day_of_month(day)
        ),
    });
    terms.push(
        "Cancel in your account with two clicks; access stays until the end of the period you paid for.".to_owned(),
    );
    terms.push(format!(
        "If a renewal is not paid, access is paused after {}. Paid later, {}.",
        counted(u64::from(brand.grace_days.max(1)), "day"),
        if offer.is_late_from_payment {
            "a new term begins with your payment"
        } else {
            "the term keeps its dates; once it is over, a new one begins with your payment"
        }
    ));
    terms.push(tax(brand));
    terms
}

/// A section of a longer text.
struct Part {
    title: String,
    paragraphs: Vec<String>,
}

fn part(title: &str, paragraphs: &[String]) -> Part {
    Part { title: title.to_owned(), paragraphs: paragraphs.to_vec() }
}

#[derive(Template)]
#[template(path = "words.html")]
struct Words {
    frame: Frame,
    title: String,
    lead: String,
    parts: Vec<Part>,
    contact: String,
}

fn seller(brand: &Brand) -> String {
    let entity = brand.entity.clone().unwrap_or_default();
    let name = if entity.name.is_empty() { brand.name.clone() } else { entity.name };
    let mut lines = vec![name];
    lines.extend(entity.address_lines);
    lines.push(entity.country);
    lines.retain(|line| !line.is_empty());
    lines.join(", ")
}

fn page(brand: &Brand, ui: &Ui, title: &str, lead: String, parts: Vec<Part>) -> Reply<Response> {
    let frame = Frame::shop(brand, ui, title).public(ui, lead.clone());
    draw(&Words { frame, title: title.to_owned(), lead, parts, contact: brand.support_email.clone() })
}

/// `/help`
pub async fn help(State(state): State<AppState>, BrandHost(brand): BrandHost, ui: Ui) -> Reply<Response> {
    let plans = state.catalog.plans(&brand, &ui.request).await?;
    let trial =
        plans.iter().filter_map(|plan| plan.current.as_ref()).map(|version| version.trial_days).max().unwrap_or(0);
    let mut parts = vec![
        part("Start watching", &[
            "After you bought a plan, open Account, then Services, and press “Show access”. You find a server, a user name and a password, \
             and a playlist address (M3U) that works in most players.".to_owned(),
            "On a TV or box: install a player that accepts “Xtream” or “M3U”, choose the first when it is offered, and type in server, \
             user name and password.".to_owned(),
            "On a phone, tablet or computer: copy the playlist address and open it in your player as a network stream or playlist.".to_owned(),
        ]),
        part("It does not play", &[
            "Check in your account that the service says “Ready” and that you do not watch on more devices than your plan allows.".to_owned(),
            "Turn the player off and on once; then open a ticket in your account. Tell us the channel, the device and the time.".to_owned(),
        ]),
    ];
    parts.extend(
        questions(&brand, trial)
            .into_iter()
            .map(|question| Part { title: question.title, paragraphs: vec![question.text] }),
    );
    page(&brand, &ui, "Help", "Answers to what is asked most.".to_owned(), parts)
}

/// `/legal/terms`
pub async fn terms(BrandHost(brand): BrandHost, ui: Ui) -> Reply<Response> {
    let parts = vec![
        part("Who sells", &[format!("The seller is {}.", seller(&brand))]),
        part("What is sold", &["Access to the service for the plan and the term you choose, for as many streams at a time as the plan says.".to_owned()]),
        part("Price and renewal", &[
            tax(&brand),
            "The price you agreed to stays the same for your subscription. It renews at the end of each term until you cancel.".to_owned(),
            format!("When a renewal is not paid within {}, access is paused; {} later the subscription ends.",
                counted(u64::from(brand.grace_days.max(1)), "day"), counted(u64::from(brand.terminate_after_days.max(1)), "day")),
        ]),
        part("Cancelling", &["At any time in your account, effective at the end of the period you paid for.".to_owned()]),
        part("Your account", &["Access is for you and your household. Do not resell it or pass it on.".to_owned()]),
    ];
    page(&brand, &ui, "Terms", format!("The conditions of {} in plain words.", brand.name), parts)
}

/// `/legal/privacy`
pub async fn privacy(BrandHost(brand): BrandHost, ui: Ui) -> Reply<Response> {
    let parts = vec![
        part("Who is responsible", &[format!("Responsible for your data is {}.", seller(&brand))]),
        part("What we keep", &[
            "Your e-mail address, name and country, your orders, invoices and payments, your messages to us, and when and from which address you signed in.".to_owned(),
            "Card numbers never reach us; the payment provider keeps them.".to_owned(),
        ]),
        part("Why", &["To give you access, to bill you correctly, to answer you, and to keep strangers out of your account. Invoices are kept as long as tax law demands.".to_owned()]),
        part("Cookies", &["One cookie keeps you signed in, one remembers the colours you chose, and one remembers who recommended us to you. None of them follows you to other sites.".to_owned()]),
        part("Your rights", &["Ask us for a copy of your data, for its correction or its deletion; write to the address below.".to_owned()]),
    ];
    page(&brand, &ui, "Privacy", format!("What {} knows about you, and why.", brand.name), parts)
}
