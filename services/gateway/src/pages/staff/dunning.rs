//! Invoices nobody pays: the campaign and what it would do, and suspensions that were stopped.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use ottery_kernel::instant_of;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::simulate_reply::{Moment, What};
use ottery_proto::billing::v1::simulate_request::{Decline, Sample};
use ottery_proto::billing::v1::subscription::State as Life;
use ottery_proto::billing::v1::{Campaign, SavedCampaign, Subscription};
use ottery_proto::catalog::v1 as catalog;
use ottery_proto::catalog::v1::Plan;
use prost_types::Timestamp;

use super::desk::{Desk, away};
use super::dunning_form::{fields, read, renamed};
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Link, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::pages::text::{self, Manner};
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// Plans that may have a patience of their own.
const PLANS_MAX: u32 = 100;
/// Held suspensions of a page.
const HELD_MAX: u32 = 100;
/// What is assumed of charges, one timeline each.
const DECLINES: [(Decline, &str); 3] = [
    (Decline::Soft, "When every charge is declined for the moment"),
    (Decline::Hard, "When the saved method is stolen or closed"),
    (Decline::Authentication, "When the bank wants the customer to confirm"),
];

async fn plans(state: &AppState, desk: &Desk) -> Reply<Vec<Plan>> {
    let page = Some(ottery_proto::common::v1::PageRequest { cursor: String::new(), limit: PLANS_MAX });
    let asked = catalog::ListPlansRequest { page, on_sale_only: false };
    Ok(state.clients.catalog(&desk.call()).list_plans(asked).await?.into_inner().plans)
}

async fn current(state: &AppState, desk: &Desk) -> Reply<SavedCampaign> {
    Ok(state.clients.dunning(&desk.call()).get_campaign(billing::GetCampaignRequest {}).await?.into_inner())
}

/// `3 days before`, `when due`, `5 hours after`.
fn offset(hours: i64) -> String {
    let size = hours.unsigned_abs();
    let length = if size.is_multiple_of(24) { text::counted(size / 24, "day") } else { text::counted(size, "hour") };
    match hours {
        0 => "when due".to_owned(),
        1.. => format!("{length} after"),
        ..0 => format!("{length} before"),
    }
}

fn words(moment: &Moment, manner: &Manner) -> (String, String) {
    let until = || manner.moment(moment.until.as_ref());
    let told = if moment.told { "The customer gets a mail" } else { "" };
    match moment.what() {
        What::Charge => ("The saved method is charged".to_owned(), String::new()),
        What::ChargeOtherMethod => ("Another saved method is charged".to_owned(), String::new()),
        What::Declined if moment.pause_hours > 0 => {
            let pause = text::counted(u64::from(moment.pause_hours), "hour");
            ("Declined".to_owned(), format!("{told}; everything else waits {pause}"))
        }
        What::Declined => ("Declined".to_owned(), told.to_owned()),
        What::Remind => {
            let is_shown = moment.channels().any(|channel| channel == billing::campaign::Channel::InApp);
            let told = match (moment.told, is_shown) {
                (true, true) => "The customer gets a mail, and a notice in their account",
                (false, true) => "The customer reads a notice in their account",
                (_, false) => told,
            };
            (format!("Reminder {}", moment.step), told.to_owned())
        }
        What::PastDue => ("Past due".to_owned(), format!("Still served until {}", until())),
        What::GraceProlonged => ("The grace is prolonged".to_owned(), format!("Until {}", until())),
        What::Suspend => ("Suspended".to_owned(), told.to_owned()),
        What::End => ("Over".to_owned(), told.to_owned()),
        What::Unspecified => (String::new(), String::new()),
    }
}

fn timeline(title: &str, reply: &billing::SimulateReply, manner: &Manner) -> Block {
    let due = reply.due_at.map_or(0, |at| at.seconds);
    let rows = reply.moments.iter().map(|moment| {
        let (what, note) = words(moment, manner);
        let hours = (moment.at.map_or(0, |at| at.seconds) - due).div_euclid(3600);
        vec![Cell::text(manner.moment(moment.at.as_ref())).note(offset(hours)), Cell::text(what).note(note)]
    });
    Block::Table(Table::new(title, &["When", "What happens"], "Nothing happens.").rows(rows))
}

/// Timelines of a campaign for what the form names: an invoice, or one of a plan with so many saved methods.
async fn timelines(
    state: &AppState,
    desk: &Desk,
    campaign: Option<&Campaign>,
    about: &Sent,
    mut page: Page,
) -> Reply<Page> {
    let manner = desk.manner(state);
    let methods: u32 = if about.find("methods").is_some() { about.number("methods")? } else { 1 };
    let sample = Sample { due_at: None, plan_id: about.text("plan"), methods };
    for (decline, title) in DECLINES {
        let asked = billing::SimulateRequest {
            invoice_id: about.text("invoice"),
            sample: Some(sample.clone()),
            campaign: campaign.cloned(),
            decline: decline.into(),
        };
        let reply = state.clients.dunning(&desk.call()).simulate(asked).await?.into_inner();
        page = page.with(timeline(title, &reply, &manner));
        if methods == 0 {
            break;
        }
    }
    Ok(page)
}

/// What a timeline is of.
fn about(plans: &[Plan], held: &Sent) -> Vec<Field> {
    let name = |plan: &Plan| plan.current.as_ref().map_or_else(|| plan.slug.clone(), |version| version.name.clone());
    let mut options = vec![(String::new(), "Any plan".to_owned())];
    options.extend(plans.iter().map(|plan| (plan.id.clone(), name(plan))));
    let methods = held.find("methods").unwrap_or("1");
    vec![
        Field::new("heading", "", "Show it for"),
        Field::select("plan", "An invoice of", options).value(held.get("plan")).half(),
        Field::new("number", "methods", "A customer with so many saved methods").value(methods).half(),
        Field::text("invoice", "Or a real open invoice").value(held.get("invoice")).example("inv_…"),
    ]
}

/// `GET /staff/b/{brand}/dunning`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let saved = current(&state, &desk).await?;
    let campaign = saved.campaign.clone().unwrap_or_default();
    let manner = desk.manner(&state);
    let plans = plans(&state, &desk).await?;
    let mut page = Page::new("Dunning").intro("What happens to renewal invoices that nobody pays.");
    if desk.may("brand.update") {
        page = page.action("Change", desk.at("/dunning/preview"));
    }
    if desk.may("subscription.manage") {
        page = page.with_some(halted(&state, &desk).await).aside("Stopped suspensions", desk.at("/dunning/held"));
    }
    let since = match saved.version {
        0 => "The brand's settings; nothing of its own was saved".to_owned(),
        version => format!("Version {version} of {}", manner.moment(saved.created_at.as_ref())),
    };
    let list = |hours: Vec<i64>| match hours.len() {
        0 => "Never".to_owned(),
        _ => hours.into_iter().map(offset).collect::<Vec<_>>().join(", "),
    };
    let hours = campaign.window.map_or_else(
        || "At any hour".to_owned(),
        |window| format!("{}:00 to {}:00, by the customer's clock", window.from_hour, window.to_hour),
    );
    let facts = vec![
        ("Campaign", Cell::text(since)),
        ("Reminders", Cell::text(list(campaign.contacts.iter().map(|contact| contact.hours.into()).collect()))),
        ("Charges", Cell::text(list(campaign.charge_hours.iter().copied().map(i64::from).collect()))),
        ("Hours", Cell::text(hours)),
        ("Suspended", Cell::text(offset(i64::from(campaign.grace_days) * 24))),
        ("Over", Cell::text(format!("{} later", text::counted(u64::from(campaign.terminate_after_days), "day")))),
    ];
    page = page.with(Block::facts("", facts));
    page = timelines(&state, &desk, None, &ui.query, page).await?;
    let mut again =
        Form::new("", desk.at("/dunning"), "Show").fields(about(&plans, &ui.query)).folded("Show another case");
    again.is_get = true;
    desk.show(&ui, page.with(Block::Form(again)))
}

/// Says that suspensions are stopped, when they are.
async fn halted(state: &AppState, desk: &Desk) -> Option<Block> {
    let asked = billing::ListHeldSuspensionsRequest { cursor: String::new(), limit: 1 };
    match state.clients.dunning(&desk.call()).list_held_suspensions(asked).await {
        Ok(list) => list.get_ref().halted_at.as_ref().map(|_| {
            Block::advice(
                Tone::Bad,
                "Suspensions are stopped",
                "So many were due within an hour that something may be wrong. Nobody is suspended until you decide.",
                Link::new("See who it is about", desk.at("/dunning/held")),
            )
        }),
        Err(status) => Some(away("Stopped suspensions", &status.into())),
    }
}

fn form(desk: &Desk, campaign: &Campaign, version: u32, plans: &[Plan], sent: &Sent) -> Form {
    Form::new("", desk.at("/dunning/preview"), "Show what it does")
        .intro("Nothing is saved yet: you see the days first.")
        .fields(fields(campaign, version, plans))
        .fields(about(plans, sent))
}

/// `GET /staff/b/{brand}/dunning/preview`
pub async fn edit(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let saved = current(&state, &desk).await?;
    let plans = plans(&state, &desk).await?;
    let campaign = saved.campaign.unwrap_or_default();
    let form = form(&desk, &campaign, saved.version, &plans, &ui.query);
    desk.show(&ui, Page::new("Change dunning").up("Dunning", desk.at("/dunning")).with(Block::Form(form)))
}

/// `POST /staff/b/{brand}/dunning/preview`: what was typed, played through before it is saved.
pub async fn preview(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let plans = plans(&state, &desk).await?;
    let version: u32 = sent.number("version")?;
    let page = || Page::new("What it does").up("Dunning", desk.at("/dunning"));
    let shown = async {
        let campaign = read(&sent, &plans)?;
        let page = page().intro("Nothing is saved yet. This is what happens to an invoice nobody pays.");
        let page = timelines(&state, &desk, Some(&campaign), &sent, page).await?;
        Ok::<_, Refusal>((campaign, page))
    };
    match shown.await {
        Ok((campaign, page)) => {
            let kept = fields(&campaign, version, &plans).into_iter().filter(|field| !field.name.is_empty());
            let kept = kept.map(|field| Field::hidden(field.name, field.value));
            let save = Form::new("", desk.at("/dunning"), "Save this campaign")
                .intro("For invoices issued from now on; what is being dunned keeps its campaign.")
                .fields(kept);
            let again = form(&desk, &campaign, version, &plans, &sent).folded("Change it again");
            desk.show(&ui, page.with(Block::Form(save)).with(Block::Form(again)))
        }
        Err(refusal) => refused(&desk, &ui, &plans, version, sent, refusal),
    }
}

fn refused(desk: &Desk, ui: &Ui, plans: &[Plan], version: u32, sent: Sent, refusal: Refusal) -> Reply<Response> {
    let failed = Failed { action: String::new(), sent, refusal: renamed(refusal) };
    let form = form(desk, &Campaign::default(), version, plans, &failed.sent).refused(Some(&failed));
    let page = Page::new("Change dunning").up("Dunning", desk.at("/dunning")).refused(Some(&failed));
    desk.show(ui, page.with(Block::Form(form)))
}

/// `POST /staff/b/{brand}/dunning`
pub async fn save(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let plans = plans(&state, &desk).await?;
    let version: u32 = sent.number("version")?;
    let made = async {
        let campaign = Some(read(&sent, &plans)?);
        let asked = billing::PutCampaignRequest { campaign, expected_version: version, dry_run: false };
        Ok::<_, Refusal>(state.clients.dunning(&desk.call()).put_campaign(asked).await?)
    };
    match made.await {
        Ok(_) => Ok(go_done(&desk.at("/dunning"), "dunning-saved")),
        Err(refusal) => refused(&desk, &ui, &plans, version, sent, refusal),
    }
}

/// Where a day of the brand begins.
fn day(sent: &Sent, name: &str, manner: &Manner) -> Reply<Timestamp> {
    let written = sent.get(name);
    let begins = |date: NaiveDate| instant_of(manner.zone, date.and_time(NaiveTime::MIN));
    let at: Option<DateTime<Utc>> = written.parse::<NaiveDate>().ok().and_then(begins);
    at.map(|at| Timestamp { seconds: at.timestamp(), nanos: 0 }).ok_or_else(|| {
        Refusal::invalid(name, "date_invalid", format!("`{written}` is no day; write for example 2027-01-31"))
    })
}

/// `GET /staff/b/{brand}/dunning/held`
pub async fn held(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    show_held(&state, &desk, &ui, None).await
}

async fn show_held(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let asked = billing::ListHeldSuspensionsRequest { cursor: ui.query.text("cursor"), limit: HELD_MAX };
    let list = state.clients.dunning(&desk.call()).list_held_suspensions(asked).await?.into_inner();
    let manner = desk.manner(state);
    let rows = list.rows.iter().map(|row| {
        vec![
            Cell::text(&row.plan_name).to(desk.at(&format!("/subscriptions/{}", row.subscription_id))),
            Cell::text(if row.would_end { "Would end" } else { "Would be suspended" }),
            Cell::text("Customer").to(desk.at(&format!("/customers/{}", row.account_id))),
            Cell::text(manner.date(row.due_at.as_ref())).note(manner.relative(row.due_at.as_ref())),
            Cell::number(manner.money(row.owed.as_ref())).to(desk.at(&format!("/invoices/{}", row.invoice_id))),
        ]
    });
    let here = desk.at("/dunning/held");
    let columns = ["Subscription", "What", "Customer", "Due", "#Owed"];
    let table = Table::new("", &columns, "Nobody is held.").rows(rows).next(&here, &list.next_cursor);
    let mut page = Page::new("Stopped suspensions").up("Dunning", desk.at("/dunning")).refused(failed);
    if let Some(halted_at) = &list.halted_at {
        let as_of = list.as_of.unwrap_or_default();
        let decide = |decision: &str, label: &str| {
            Form::new("", here.clone(), label)
                .field(Field::hidden("as_of", format!("{}.{:09}", as_of.seconds, as_of.nanos)))
                .field(Field::hidden("decision", decision))
        };
        let reason = || Field::text("reason", "Reason").required();
        let spare = decide("spare", "Let them be")
            .field(Field::new("date", "until", "Until").required().half())
            .field(reason())
            .folded("Let them be until a day");
        let suspend = decide("suspend", "Suspend them all")
            .intro("Everybody on this list, also on its other pages. Who has paid meanwhile is left alone.")
            .field(reason())
            .tone(Tone::Bad)
            .folded("Suspend them all");
        let since = format!("Since {} nobody is suspended", manner.moment(Some(halted_at)));
        page = page
            .with(Block::note(
                Tone::Bad,
                since,
                "So many were due within an hour that something may be wrong: a clock, or the payment provider. Payments and coming back go on.",
            ))
            .with(Block::Actions(vec![spare.refused(failed), suspend.refused(failed)]));
    }
    desk.show(ui, page.with(Block::Table(table)))
}

/// `POST /staff/b/{brand}/dunning/held`
pub async fn decide(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    use billing::decide_held_suspensions_request::Decision;
    let made = async {
        let stale = || Refusal::invalid("as_of", "as_of_invalid", "load the list again and decide about that one");
        let (seconds, nanos) = sent.get("as_of").split_once('.').ok_or_else(stale)?;
        let as_of =
            Timestamp { seconds: seconds.parse().map_err(|_| stale())?, nanos: nanos.parse().map_err(|_| stale())? };
        let (decision, until) = if sent.get("decision") == "suspend" {
            (Decision::Suspend, None)
        } else {
            (Decision::Spare, Some(day(&sent, "until", &desk.manner(&state))?))
        };
        let asked = billing::DecideHeldSuspensionsRequest {
            as_of: Some(as_of),
            decision: decision.into(),
            until,
            reason: sent.text("reason"),
        };
        Ok::<_, Refusal>(state.clients.dunning(&desk.call()).decide_held_suspensions(asked).await?)
    };
    match made.await {
        Ok(_) => Ok(go_done(&desk.at("/dunning/held"), "held-decided")),
        Err(refusal) => {
            let failed = Failed { action: String::new(), sent, refusal };
            show_held(&state, &desk, &ui, Some(&failed)).await
        }
    }
}

/// What staff may do about a subscription's suspension: never before a day, or lift that again.
pub async fn hold_forms(state: &AppState, desk: &Desk, one: &Subscription) -> Vec<Form> {
    if !matches!(one.state(), Life::Trialing | Life::Active | Life::PastDue | Life::Suspended) {
        return Vec::new();
    }
    let here = desk.at(&format!("/subscriptions/{}", one.id));
    let asked = billing::GetSuspensionHoldRequest { subscription_id: one.id.clone() };
    let hold = state.clients.dunning(&desk.call()).get_suspension_hold(asked).await.ok();
    let mut forms = Vec::new();
    if let Some(hold) = hold {
        let hold = hold.into_inner();
        let until = desk.manner(state).moment(hold.until.as_ref());
        let text = format!("Not suspended for not paying before {until}: {}", hold.reason);
        forms.push(Form::new("", format!("{here}/lift-hold"), "Lift the hold").intro(text));
    }
    forms.push(
        Form::new("", format!("{here}/hold"), "Hold")
            .intro("Neither suspended nor ended for not paying before that day. Reminders and charges go on.")
            .field(Field::new("date", "until", "Never before").required().half())
            .field(Field::text("reason", "Reason").required())
            .folded("Never suspend before a day"),
    );
    forms
}

/// `POST …/subscriptions/{id}/hold`
pub async fn hold(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::HoldSuspensionRequest {
        subscription_id: desk.id.clone(),
        until: Some(day(&sent, "until", &desk.manner(&state))?),
        reason: sent.text("reason"),
    };
    state.clients.dunning(&desk.call()).hold_suspension(asked).await?;
    Ok(go_done(&desk.at(&format!("/subscriptions/{}", desk.id)), "held"))
}

/// `POST …/subscriptions/{id}/lift-hold`
pub async fn lift(State(state): State<AppState>, desk: Desk) -> Reply<Response> {
    let asked = billing::LiftSuspensionHoldRequest { subscription_id: desk.id.clone() };
    state.clients.dunning(&desk.call()).lift_suspension_hold(asked).await?;
    Ok(go_done(&desk.at(&format!("/subscriptions/{}", desk.id)), "hold-lifted"))
}
