//! Who may have a trial: what the brand goes by, and one customer.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::TrialSign;
use ottery_proto::billing::v1::trial_rules::ReusedCard;

use super::desk::Desk;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table};
use crate::pages::frame::{Page, Ui, go_done};
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// `GET /staff/b/{brand}/trials`
pub async fn rules(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    show_rules(&state, &desk, &ui, None).await
}

async fn show_rules(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let asked = billing::GetTrialRulesRequest {};
    let rules = state.clients.screening(&desk.call()).get_trial_rules(asked).await?.into_inner();
    let chosen = if rules.reused_card() == ReusedCard::Keep { "keep" } else { "end" };
    let policies = vec![
        ("end".to_owned(), "ends, with a task for you".to_owned()),
        ("keep".to_owned(), "goes on, with a task for you".to_owned()),
    ];
    let mut page = Page::new("Trials")
        .intro(
            "One trial per person. Whoever is refused reads by what; one more can be allowed on the customer's page.",
        )
        .refused(failed);
    let card =
        Field::select("reused_card", "A running trial whose card paid in another person's", policies).value(chosen);
    page = if desk.may("brand.update") {
        let form = Form::new("", desk.at("/trials"), "Save")
            .field(
                Field::check("by_email", "One per mailbox", rules.by_email)
                    .help("However its address is written: with a plus, in capitals, at Gmail with dots."),
            )
            .field(
                Field::check("by_device", "One per browser", rules.by_device)
                    .help("By a cookie of the checkout. Families at one computer are refused as well."),
            )
            .field(
                Field::check("by_card", "One per means of payment", rules.by_card)
                    .help("As far as the payment provider tells, and from the moment it is known."),
            )
            .field(card)
            .field(Field::hidden("version", rules.version.to_string()))
            .refused(failed);
        page.with(Block::Form(form))
    } else {
        let label = card.options.iter().find(|(word, _)| word == chosen).map(|(_, label)| label.clone());
        let yes = |is_on: bool| Cell::text(if is_on { "yes" } else { "no" });
        page.with(Block::facts(
            "",
            vec![
                ("One per mailbox", yes(rules.by_email)),
                ("One per browser", yes(rules.by_device)),
                ("One per means of payment", yes(rules.by_card)),
                ("A running trial with a reused card", Cell::text(label.unwrap_or_default())),
            ],
        ))
    };
    desk.show(ui, page)
}

/// `POST /staff/b/{brand}/trials`
pub async fn put_rules(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let reused_card = if sent.get("reused_card") == "keep" { ReusedCard::Keep } else { ReusedCard::End };
    let result = async {
        let request = billing::PutTrialRulesRequest {
            by_email: sent.is_on("by_email"),
            by_device: sent.is_on("by_device"),
            by_card: sent.is_on("by_card"),
            reused_card: reused_card.into(),
            expected_version: sent.number("version")?,
        };
        state.clients.screening(&desk.call()).put_trial_rules(request).await?;
        Ok::<_, Refusal>(())
    };
    match result.await {
        Ok(()) => Ok(go_done(&desk.at("/trials"), "saved")),
        Err(refusal) => show_rules(&state, &desk, &ui, Some(&Failed { action: String::new(), sent, refusal })).await,
    }
}

const fn words(sign: TrialSign) -> &'static str {
    match sign {
        TrialSign::Email => "The mailbox",
        TrialSign::Device => "The browser",
        TrialSign::Card => "The means of payment",
        TrialSign::Unspecified => "",
    }
}

/// `GET /staff/b/{brand}/customers/{id}/trials`
pub async fn customer(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    show_customer(&state, &desk, &ui, None).await
}

async fn show_customer(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let asked = billing::GetTrialGuardRequest { account_id: desk.id.clone() };
    let guard = state.clients.screening(&desk.call()).get_trial_guard(asked).await?.into_inner();
    let manner = desk.manner(state);
    let here = desk.at(&format!("/customers/{}/trials", desk.id));
    let mut facts = vec![("Had a trial", Cell::text(if guard.used { "yes" } else { "no" }))];
    if let Some(pass) = &guard.pass {
        let since = manner.moment(pass.granted_at.as_ref());
        facts.push(("One more", Cell::text(format!("Allowed {since}")).note(pass.reason.clone())));
    }
    let rows = guard.claims.iter().map(|claim| {
        vec![
            Cell::text(words(claim.sign())),
            Cell::text("Subscription").to(desk.at(&format!("/subscriptions/{}", claim.subscription_id))),
            Cell::text(manner.moment(claim.taken_at.as_ref())),
        ]
    });
    let columns = ["Known by", "Trial", "Since"];
    let empty = "Nothing: no trial of theirs keeps anybody from another one.";
    let mut page = Page::new("Trials")
        .up("Customer", desk.at(&format!("/customers/{}", desk.id)))
        .refused(failed)
        .with(Block::facts("", facts))
        .with(Block::Table(Table::new("Whoever else is known by this gets no trial", &columns, empty).rows(rows)));
    if desk.may("order.manage") {
        let form = Form::new("", here, "Allow one more trial")
            .intro("Whatever was used before: a family at one computer, a card that two people share.")
            .field(Field::text("reason", "Reason").required())
            .folded("Allow one more trial")
            .refused(failed);
        page = page.with(Block::Form(form));
    }
    desk.show(ui, page)
}

/// `POST /staff/b/{brand}/customers/{id}/trials`
pub async fn allow(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::LiftTrialGuardRequest { account_id: desk.id.clone(), reason: sent.text("reason") };
    match state.clients.screening(&desk.call()).lift_trial_guard(asked).await {
        Ok(_) => Ok(go_done(&desk.at(&format!("/customers/{}/trials", desk.id)), "trial-allowed")),
        Err(status) => {
            let failed = Failed { action: String::new(), sent, refusal: status.into() };
            show_customer(&state, &desk, &ui, Some(&failed)).await
        }
    }
}
