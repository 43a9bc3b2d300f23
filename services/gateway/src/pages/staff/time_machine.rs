//! The time machine: asking what would happen, waiting for it, and what comes of it.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::charge_assumption::Charges;
use ottery_proto::billing::v1::simulate_request::Decline;
use ottery_proto::billing::v1::time_machine_run::State as Standing;
use ottery_proto::billing::v1::{
    ChargeAssumption, TimeMachineEntry, TimeMachineKind, TimeMachineRun, TimeMachineScenario, TimeMachineSide,
};

use super::coupon_form::day;
use super::desk::Desk;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go};
use crate::pages::text::{self, Manner};
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// How often a page about a run that is not over loads itself again where there is no script.
const REFRESH_S: u32 = 3;

/// Ways to assume how charges end, as the form offers them.
const ASSUMPTIONS: [(&str, &str, Charges, Decline); 5] = [
    ("as_before", "Each card does what it did last", Charges::AsBefore, Decline::Unspecified),
    ("succeed", "Every charge succeeds", Charges::Succeed, Decline::Unspecified),
    ("soft", "Every charge is declined for the moment", Charges::Decline, Decline::Soft),
    ("hard", "Every card is stolen or closed", Charges::Decline, Decline::Hard),
    ("share", "A share of the cards is declined for the moment", Charges::Share, Decline::Soft),
];

fn assumed(assumption: Option<&ChargeAssumption>) -> String {
    let Some(given) = assumption else { return String::new() };
    let known = ASSUMPTIONS.iter().find(|(_, _, charges, decline)| {
        *charges == given.charges() && (*decline == given.decline() || *decline == Decline::Unspecified)
    });
    let words = known.map_or("Other outcomes of charges", |(_, words, ..)| *words);
    match given.charges() {
        Charges::Share => format!("{words}: {}", text::percent(given.declined_bp)),
        _ => words.to_owned(),
    }
}

/// What the second settings of the form change.
fn changed(scenario: &TimeMachineScenario) -> String {
    let mut said = Vec::new();
    if let Some(days) = scenario.grace_days {
        said.push(format!("a grace of {}", text::counted(days.into(), "day")));
    }
    if let Some(days) = scenario.terminate_after_days {
        said.push(format!("ended {} after suspension", text::counted(days.into(), "day")));
    }
    if let Some(hours) = scenario.renewal_lead_hours {
        said.push(format!("renewals issued {} ahead", text::counted(hours.into(), "hour")));
    }
    if scenario.campaign.is_some() {
        said.push("another dunning campaign".to_owned());
    }
    if scenario.reminder_hours.is_some() {
        said.push("other reminders".to_owned());
    }
    if scenario.unpaid_at_end != 0 {
        said.push("another end of unpaid invoices".to_owned());
    }
    if !scenario.prices.is_empty() {
        said.push(text::counted(scenario.prices.len() as u64, "new price"));
    }
    if said.is_empty() { "everything as it is".to_owned() } else { said.join(", ") }
}

fn settings(scenario: &TimeMachineScenario) -> String {
    format!("{}; {}", assumed(scenario.assumption.as_ref()), changed(scenario))
}

fn badge(run: &TimeMachineRun) -> Cell {
    match run.state() {
        Standing::Queued => Cell::badge(Tone::Neutral, "Waits for its turn"),
        Standing::Running => Cell::badge(Tone::Info, "Running"),
        Standing::Done => Cell::badge(Tone::Good, "Done"),
        Standing::Failed => Cell::badge(Tone::Bad, "Failed"),
        Standing::Unspecified => Cell::text(""),
    }
}

/// What is listed under one heading.
const fn noun(kind: TimeMachineKind) -> &'static str {
    match kind {
        TimeMachineKind::Invoice => "Invoice",
        TimeMachineKind::Charge => "Charge",
        TimeMachineKind::Suspension => "Suspension",
        TimeMachineKind::End => "End",
        TimeMachineKind::Mail => "Mail",
        TimeMachineKind::Task => "Task for staff",
        TimeMachineKind::Unspecified => "",
    }
}

/// `GET /staff/b/{brand}/time-machine`
pub async fn list(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    show_list(&state, &desk, &ui, None).await
}

async fn show_list(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let here = desk.at("/time-machine");
    let asked = billing::ListTimeMachineRunsRequest { page: ui.page() };
    let found = state.clients.time_machine(&desk.call()).list_time_machine_runs(asked).await?.into_inner();
    let manner = desk.manner(state);
    let rows = found.runs.iter().map(|run| {
        let until = Cell::text(manner.moment(run.to.as_ref())).to(format!("{here}/{}", run.id));
        let base = run.base.as_ref().map(settings).unwrap_or_default();
        let compared = run.other.as_ref().map(|other| format!("compared with: {}", settings(other)));
        let asked = Cell::text(manner.moment(run.requested_at.as_ref())).note(run.requested_by.clone());
        vec![until, Cell::text(base).note(compared.unwrap_or_default()), asked, badge(run)]
    });
    let table = Table::new("Runs", &["Until", "Under", "Asked", "State"], "Nobody has asked yet.")
        .rows(rows)
        .next(&here, &found.page.unwrap_or_default().next_cursor);
    let mut page = Page::new("Time machine")
        .intro("What would happen until some day: the scheduler works on a copy of the book whose clock is moved. Nobody is charged, told or suspended.")
        .refused(failed);
    if desk.may("brand.update") {
        page = page.with(Block::Form(form(&here).refused(failed)));
    }
    desk.show(ui, page.with(Block::Table(table)))
}

fn form(here: &str) -> Form {
    let options = ASSUMPTIONS.iter().map(|(value, words, ..)| ((*value).to_owned(), (*words).to_owned())).collect();
    Form::new("Ask", here, "Start")
        .keyed()
        .field(Field::new("date", "to", "Until the end of").half().required().help("At most 400 days ahead."))
        .field(Field::select("charges", "Assume that", options).half())
        .field(
            Field::new("number", "declined_percent", "Share of declined cards")
                .half()
                .example("10")
                .help("In percent; only for the share."),
        )
        .field(Field::new("heading", "", "Compare with other settings"))
        .field(Field::new("number", "grace_days", "Days of grace").half().example("7"))
        .field(Field::new("number", "terminate_after_days", "Days from suspension to the end").half().example("14"))
        .field(Field::new("number", "renewal_lead_hours", "Hours a renewal is issued ahead").half().example("72"))
        .field(
            Field::text("price_id", "Price that changes")
                .half()
                .example("prc_…")
                .help("One that somebody has. Everybody with that plan, term and currency gets the new one."),
        )
        .field(Field::new("number", "amount_minor", "New price, in minor units").half().example("1490"))
        .field(Field::new("number", "notice_days", "Days of notice").half().example("30"))
}

/// `POST /staff/b/{brand}/time-machine`
pub async fn ask(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let here = desk.at("/time-machine");
    match start(&state, &desk, &sent).await {
        Ok(id) => Ok(go(&format!("{here}/{id}"))),
        Err(refusal) => {
            let failed = Failed { action: here, sent, refusal: renamed(refusal) };
            show_list(&state, &desk, &ui, Some(&failed)).await
        }
    }
}

async fn start(state: &AppState, desk: &Desk, sent: &Sent) -> Reply<String> {
    let (_, _, charges, decline) = ASSUMPTIONS
        .iter()
        .find(|(value, ..)| *value == sent.get("charges"))
        .ok_or_else(|| Refusal::invalid("charges", "charges_invalid", "choose how charges end"))?;
    let percent: u32 = sent.number("declined_percent")?;
    let assumption = ChargeAssumption {
        charges: (*charges).into(),
        decline: (*decline).into(),
        declined_bp: percent.saturating_mul(100),
        seed: 1,
    };
    let given = |name: &str| -> Reply<Option<u32>> {
        if sent.get(name).is_empty() { Ok(None) } else { sent.number(name).map(Some) }
    };
    let mut other = TimeMachineScenario {
        assumption: Some(assumption),
        grace_days: given("grace_days")?,
        terminate_after_days: given("terminate_after_days")?,
        renewal_lead_hours: given("renewal_lead_hours")?,
        ..TimeMachineScenario::default()
    };
    if !sent.get("price_id").is_empty() {
        other.prices.push(billing::time_machine_scenario::NewPrice {
            price_id: sent.text("price_id"),
            amount_minor: sent.number("amount_minor")?,
            notice_days: sent.number("notice_days")?,
        });
    }
    let base = TimeMachineScenario { assumption: Some(assumption), ..TimeMachineScenario::default() };
    let asked = billing::AskTimeMachineRequest {
        // The day counts.
        to: day(sent, "to", 1, desk.manner(state).zone)?,
        step_minutes: 0,
        other: (other != base).then_some(other),
        base: Some(base),
    };
    let call = desk.call().idempotency_key(sent.key()?.0);
    Ok(state.clients.time_machine(&call).ask_time_machine(asked).await?.into_inner().id)
}

/// The fields of the API under the names of the form.
fn renamed(mut refusal: Refusal) -> Refusal {
    let field = refusal.field.as_deref().unwrap_or_default().to_owned();
    let last = field.rsplit('.').next().unwrap_or_default();
    let name = match last {
        "declined_bp" => "declined_percent",
        other => other,
    };
    if !name.is_empty() {
        refusal.field = Some(name.to_owned());
    }
    refusal
}

/// `GET /staff/b/{brand}/time-machine/{id}`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = billing::GetTimeMachineRunRequest { run_id: desk.id.clone() };
    let run = state.clients.time_machine(&desk.call()).get_time_machine_run(asked).await?.into_inner();
    let manner = desk.manner(&state);
    let mut page =
        Page::new(format!("Until {}", manner.moment(run.to.as_ref()))).up("Time machine", desk.at("/time-machine"));
    let facts = vec![
        ("Copied at", Cell::text(manner.moment(run.begins.as_ref()))),
        ("Settings", Cell::text(run.base.as_ref().map(settings).unwrap_or_default())),
        ("Compared with", Cell::text(run.other.as_ref().map(settings).unwrap_or_default())),
        ("Clock moves by", Cell::text(text::counted(run.step_minutes.into(), "minute"))),
        ("Asked by", Cell::text(run.requested_by.clone())),
    ];
    page = page.with(Block::facts("", facts));
    let here = desk.at(&format!("/time-machine/{}", run.id));
    match run.state() {
        Standing::Done => page = results(&state, &desk, &ui, &run, &manner, page).await?,
        Standing::Failed => page = page.with(Block::note(Tone::Bad, "It came to nothing", run.failure.clone())),
        Standing::Queued | Standing::Unspecified => {
            page = page.with(Block::note(Tone::Info, "Waits for its turn", "One run at a time is worked off."));
            page = watched(page, here);
        }
        Standing::Running => {
            let which = if run.side() == TimeMachineSide::Other {
                "The settings it is compared with"
            } else {
                "The first settings"
            };
            let reached = run
                .reached
                .as_ref()
                .map_or_else(String::new, |at| format!("; it is {} there", manner.moment(Some(at))));
            page = page.with(Block::note(Tone::Info, "Running", format!("{which}{reached}.")));
            page = watched(page, here);
        }
    }
    desk.show(&ui, page)
}

/// A page about something that is not over.
fn watched(page: Page, here: String) -> Page {
    Page { refresh_s: REFRESH_S, ..page.action("Look again", here) }
}

async fn results(
    state: &AppState,
    desk: &Desk,
    ui: &Ui,
    run: &TimeMachineRun,
    manner: &Manner,
    mut page: Page,
) -> Reply<Page> {
    let here = desk.at(&format!("/time-machine/{}", run.id));
    page = page.with(Block::Table(totals(run, manner)));
    let mut client = state.clients.time_machine(&desk.call());
    let is_difference = ui.query.text("of") == "difference";
    if run.other.is_some() {
        let asked = billing::ListTimeMachineDifferencesRequest {
            run_id: run.id.clone(),
            kind: 0,
            page: if is_difference { ui.page() } else { None },
        };
        let found = client.list_time_machine_differences(asked).await?.into_inner();
        let rows = found.differences.iter().map(|one| {
            let either = one.base.as_ref().or(one.other.as_ref());
            vec![
                either.map_or_else(|| Cell::text(""), |entry| subject(desk, entry)),
                happening(one.base.as_ref(), manner),
                happening(one.other.as_ref(), manner),
            ]
        });
        let empty = "Both settings come to the same.";
        let table = Table::new("Difference", &["What", "First settings", "Compared with"], empty)
            .rows(rows)
            .next(&format!("{here}?of=difference"), &found.page.unwrap_or_default().next_cursor);
        page = page.with(Block::Table(table));
    }
    let asked = billing::ListTimeMachineEntriesRequest {
        run_id: run.id.clone(),
        side: TimeMachineSide::Base.into(),
        kind: 0,
        page: if is_difference { None } else { ui.page() },
    };
    let found = client.list_time_machine_entries(asked).await?.into_inner();
    let rows = found.entries.iter().map(|entry| {
        vec![
            Cell::text(manner.moment(entry.at.as_ref())),
            subject(desk, entry),
            Cell::text(words(&entry.outcome)),
            Cell::number(manner.money(entry.amount.as_ref())),
        ]
    });
    let table = Table::new(
        "What happens under the first settings",
        &["When", "What", "Outcome", "#Amount"],
        "Nothing happens.",
    )
    .rows(rows)
    .next(&here, &found.page.unwrap_or_default().next_cursor);
    Ok(page.with(Block::Table(table)))
}

fn totals(run: &TimeMachineRun, manner: &Manner) -> Table {
    let rows = run.totals.iter().map(|total| {
        let side = if total.side() == TimeMachineSide::Other { "Compared with" } else { "First settings" };
        vec![
            Cell::text(noun(total.kind())).note(words(&total.outcome)),
            Cell::text(side),
            Cell::number(total.count.to_string()),
            Cell::number(manner.money(total.amount.as_ref())),
        ]
    });
    Table::new("Totals", &["What", "Under", "#Number", "#Sum"], "Nothing happens until then.").rows(rows)
}

fn subject(desk: &Desk, entry: &TimeMachineEntry) -> Cell {
    let cell = Cell::text(noun(entry.kind())).note(entry.label.clone());
    if entry.subscription_id.is_empty() {
        return cell;
    }
    cell.to(desk.at(&format!("/subscriptions/{}", entry.subscription_id)))
}

fn happening(entry: Option<&TimeMachineEntry>, manner: &Manner) -> Cell {
    let Some(entry) = entry else { return Cell::text("Does not happen") };
    let sum = if entry.amount.is_some() { format!(" {}", manner.money(entry.amount.as_ref())) } else { String::new() };
    Cell::text(format!("{}{sum}", words(&entry.outcome))).note(manner.moment(entry.at.as_ref()))
}

/// `declined_soft` as words.
fn words(outcome: &str) -> String {
    outcome.replace(['_', '.'], " ")
}
