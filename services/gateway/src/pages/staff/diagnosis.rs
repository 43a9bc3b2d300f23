//! The connection test of a panel, step by step: what was seen, what is in the way, what to do, and a retry.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::provisioning::v1 as provisioning;
use ottery_proto::provisioning::v1::{Diagnosis, DiagnosisStep};

use super::desk::Desk;
use crate::api::panels::DIAGNOSIS_TIMEOUT;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Field, Form, Sent, Table, Tone, sentence};
use crate::pages::frame::{Page, Ui};
use crate::pages::text::Manner;
use crate::problem::Reply;
use crate::state::AppState;

/// Steps with their names for people.
const STEPS: [(&str, &str); 15] = [
    ("dns", "Name (DNS)"),
    ("tcp", "Port (TCP)"),
    ("tls", "Encryption (TLS)"),
    ("api", "Panel's API"),
    ("whitelist", "Allowed addresses"),
    ("ban", "Ban"),
    ("credentials", "Key"),
    ("role", "Role of the key"),
    ("version", "Version"),
    ("clock", "Clock"),
    ("credits", "Credits"),
    ("packages", "Packages and bouquets"),
    ("line_create", "Test line: make"),
    ("line_suspend", "Test line: suspend"),
    ("line_delete", "Test line: delete"),
];

fn name(step: &DiagnosisStep) -> &str {
    STEPS.iter().find(|(code, _)| *code == step.name).map_or(step.name.as_str(), |(_, name)| name)
}

fn badge(verdict: &str) -> (Tone, &'static str) {
    match verdict {
        "good" => (Tone::Good, "Good"),
        "warning" => (Tone::Warn, "Look at this"),
        "bad" => (Tone::Bad, "In the way"),
        _ => (Tone::Neutral, "Not tested"),
    }
}

/// `GET /staff/b/{brand}/panels/{id}/diagnosis`
pub async fn ask(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = provisioning::GetPanelRequest { panel_id: desk.id.clone() };
    let panel = state.clients.provisioning(&desk.call()).get_panel(asked).await?.into_inner();
    let page = page(&desk, &panel.name).with(Block::Form(again(&desk, "Test connection")));
    desk.show(&ui, page)
}

/// `POST /staff/b/{brand}/panels/{id}/diagnosis`
pub async fn run(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let request = provisioning::DiagnosePanelRequest { panel_id: desk.id.clone(), test_line: sent.is_on("test_line") };
    let call = desk.call().timeout(DIAGNOSIS_TIMEOUT);
    let found = state.clients.provisioning(&call).diagnose_panel(request).await?.into_inner();
    desk.show(&ui, result(&desk, &found, &desk.manner(&state)))
}

fn page(desk: &Desk, panel: &str) -> Page {
    Page::new("Connection test").up(panel, desk.at(&format!("/panels/{}", desk.id)))
}

fn result(desk: &Desk, found: &Diagnosis, manner: &Manner) -> Page {
    let (tone, word) = badge(&found.verdict);
    let panel = found.panel.as_ref().map(|panel| panel.name.as_str()).unwrap_or_default();
    let word = if found.verdict == "good" { "Everything works" } else { word };
    let mut page = page(desk, panel).badge(tone, word);
    for step in found.steps.iter().filter(|step| !step.cause.is_empty()) {
        let (tone, _) = badge(&step.verdict);
        let remedy = if step.remedy.is_empty() { String::new() } else { format!("What to do: {}", step.remedy) };
        page = page.with(Block::note(tone, format!("{}: {}", name(step), sentence(&step.cause)), remedy));
    }
    let rows = found.steps.iter().map(|step| {
        let (tone, word) = badge(&step.verdict);
        let took = if step.duration_ms == 0 { String::new() } else { format!("{} ms", step.duration_ms) };
        vec![
            Cell::text(name(step)),
            Cell::badge(tone, word),
            Cell::text(&step.seen),
            Cell::code(&step.cause_code),
            Cell::number(took),
        ]
    });
    let columns = ["Step", "Verdict", "Seen", "Cause", "#Took"];
    let ours = match found.egress_address.as_str() {
        "" => Cell::text("not known")
            .note("Set egress_address of provisioning, and this page tells panels' people which address to allow."),
        address => Cell::code(address).copied(),
    };
    page.with(Block::Table(Table::new("Steps", &columns, "").rows(rows)))
        .with(Block::facts("", vec![("Our address", ours), ("Tested", Cell::text(manner.moment(found.at.as_ref())))]))
        .with(Block::Form(again(desk, "Test again")))
}

fn again(desk: &Desk, submit: &str) -> Form {
    Form::new("", desk.at(&format!("/panels/{}/diagnosis", desk.id)), submit).field(
        Field::check("test_line", "With a test line", false)
            .help("Makes a line on the panel, suspends it and deletes it, and shows each step. A reseller's key pays for a trial."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_a_word_and_a_colour_of_its_own() {
        let words: std::collections::BTreeSet<_> =
            ["good", "warning", "bad", "skipped"].iter().map(|verdict| badge(verdict).1).collect();
        assert_eq!(words.len(), 4);
    }
}
