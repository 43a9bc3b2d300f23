//! Drift: where panels and what is wanted there differ, how far the comparisons got, and what is done about it.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::provisioning::v1 as provisioning;
use ottery_proto::provisioning::v1::{DecideDriftReply, DecideDriftRequest, Drift, DriftRule, DriftScan};

use super::desk::Desk;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Stat, Table, Tone, sentence};
use crate::pages::frame::{Page, Ui, go_done, quoted};
use crate::pages::text::{Manner, counted};
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// Kinds with their names for people.
const KINDS: [(&str, &str); 6] = [
    ("unpaid_served", "Unpaid but served"),
    ("paid_dead", "Paid but dead"),
    ("expiry", "Wrong expiry"),
    ("package", "Wrong package"),
    ("connections", "Wrong connections"),
    ("stranger", "Stranger"),
];
const STATES: [(&str, &str); 5] = [
    ("open", "Open"),
    ("repaired", "Repaired"),
    ("adopted", "Adopted"),
    ("ignored", "Ignored"),
    ("gone", "Gone by itself"),
];
const ACTIONS: [(&str, &str); 4] = [
    ("repair", "Repair: write our truth on the panel"),
    ("adopt", "Adopt: leave it until something moves"),
    ("ignore", "Ignore: never report it again"),
    ("reopen", "Reopen: ask again"),
];
const RULES: [(&str, &str); 4] =
    [("ask", "Ask a person"), ("repair", "Repair"), ("adopt", "Adopt"), ("ignore", "Ignore")];

fn name<'a>(words: &'a [(&str, &str)], code: &'a str) -> &'a str {
    words.iter().find(|(word, _)| *word == code).map_or(code, |(_, name)| name)
}

fn options(first: Option<&str>, words: &[(&str, &str)]) -> Vec<(String, String)> {
    let first = first.map(|label| (String::new(), label.to_owned()));
    first.into_iter().chain(words.iter().map(|(code, name)| ((*code).to_owned(), (*name).to_owned()))).collect()
}

fn panels(scans: &[DriftScan], first: &str) -> Vec<(String, String)> {
    let named = scans.iter().map(|scan| (scan.panel_id.clone(), scan.panel_name.clone()));
    std::iter::once((String::new(), first.to_owned())).chain(named).collect()
}

/// What the list shows.
struct Filter {
    panel: String,
    kind: String,
    state: String,
}

impl Filter {
    fn of(sent: &Sent) -> Self {
        let state = sent.find("state").unwrap_or("open").to_owned();
        Self { panel: sent.text("panel"), kind: sent.text("kind"), state }
    }

    fn query(&self) -> String {
        format!("panel={}&kind={}&state={}", quoted(&self.panel), quoted(&self.kind), quoted(&self.state))
    }
}

/// `GET /staff/b/{brand}/drift`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let filter = Filter::of(&ui.query);
    draw(&state, &desk, &ui, &filter, None).await
}

async fn draw(state: &AppState, desk: &Desk, ui: &Ui, filter: &Filter, failed: Option<&Failed>) -> Reply<Response> {
    let mut client = state.clients.provisioning(&desk.call());
    let scans = client.list_drift_scans(provisioning::ListDriftScansRequest {}).await?.into_inner().scans;
    let asked = provisioning::ListDriftRequest {
        page: ui.page(),
        panel_id: filter.panel.clone(),
        kind: filter.kind.clone(),
        state: filter.state.clone(),
    };
    let found = client.list_drift(asked).await?.into_inner();
    let rules = client.list_drift_rules(provisioning::ListDriftRulesRequest {}).await?.into_inner().rules;
    let manner = desk.manner(state);
    let mut page = Page::new("Drift")
        .intro(
            "Every panel is compared with what is paid for. What differs is here; nothing is written on a panel unless you, or a \
             rule of yours, says so, and a line that nobody here knows is never touched.",
        )
        .refused(failed)
        .with(Block::Stats(stats(desk, &scans)));
    for scan in &scans {
        page = page.with_some(warning(scan)).with_some(trouble(scan));
    }
    let here = desk.at("/drift");
    let base = format!("{here}?{}", filter.query());
    let columns = ["Seen", "Panel", "What", "Wanted", "On the panel", "Line", "State"];
    let table = Table::new("Differences", &columns, empty(filter, &scans))
        .rows(found.drift.iter().map(|one| row(one, desk, &manner)))
        .next(&base, &found.page.unwrap_or_default().next_cursor);
    let mut filters = Form::new("", here, "Show")
        .field(Field::select("panel", "Panel", panels(&scans, "Every panel")).value(&filter.panel).quarter())
        .field(Field::select("kind", "What", options(Some("Everything"), &KINDS)).value(&filter.kind).quarter())
        .field(Field::select("state", "State", options(Some("Any"), &STATES)).value(&filter.state).quarter());
    filters.is_get = true;
    page = page.with(Block::Form(filters)).with(Block::Table(table));
    let may = desk.may("panel.update");
    if may && !found.drift.is_empty() {
        page = page.with(Block::Form(decision(desk, filter, &found.drift, failed)));
    }
    page = page.with(Block::Table(comparisons(&scans, &manner)));
    if may && !scans.is_empty() {
        page = page.with(Block::Form(asking(desk, &scans, failed)));
    }
    page = page.with(Block::Table(ruled(&rules, &scans, &manner)));
    if may {
        page = page.with(Block::Form(ruling(desk, &scans, failed)));
    }
    desk.show(ui, page)
}

fn stats(desk: &Desk, scans: &[DriftScan]) -> Vec<Stat> {
    let open = |kind: &str| -> u64 {
        scans.iter().flat_map(|scan| &scan.open).filter(|count| count.kind == kind).map(|count| count.count).sum()
    };
    KINDS
        .iter()
        .map(|(kind, label)| Stat {
            label: (*label).to_owned(),
            value: open(kind).to_string(),
            note: "open".to_owned(),
            href: desk.at(&format!("/drift?kind={kind}")),
        })
        .collect()
}

/// A panel whose strangers nobody will ever see has to say so.
fn warning(scan: &DriftScan) -> Option<Block> {
    let text = "Its API lists no lines. Our own lines are compared one by one; lines that nobody here knows are never found there.";
    (!scan.lists).then(|| Block::note(Tone::Warn, format!("{} cannot be listed", scan.panel_name), text))
}

fn trouble(scan: &DriftScan) -> Option<Block> {
    match scan.state.as_str() {
        "stopped" => Some(Block::note(
            Tone::Bad,
            format!("The comparison of {} stopped", scan.panel_name),
            format!("{} {} It goes on by itself where it stopped.", sentence(&scan.problem), scan.remedy),
        )),
        "running" => Some(Block::note(
            Tone::Info,
            format!("{} is being compared", scan.panel_name),
            format!("{} so far; reload for more.", counted(scan.lines.into(), "line")),
        )),
        _ => None,
    }
}

fn empty(filter: &Filter, scans: &[DriftScan]) -> &'static str {
    if scans.is_empty() {
        "No panel is connected yet."
    } else if scans.iter().all(|scan| scan.state == "never") {
        "No panel has been compared yet: it is done once a day, or when you ask for it below."
    } else if filter.state == "open" && filter.kind.is_empty() {
        "Panels have what was paid for, and nothing else."
    } else {
        "Nothing fits."
    }
}

fn standing(one: &Drift) -> Cell {
    let (tone, note) = match one.state.as_str() {
        "open" if one.returns > 0 => (Tone::Bad, "It came back after a repair.".to_owned()),
        "open" => (Tone::Bad, String::new()),
        "repaired" if one.closed_at.is_none() => (Tone::Info, "The next comparison proves it.".to_owned()),
        "repaired" => (Tone::Good, String::new()),
        _ => (Tone::Neutral, one.reason.clone()),
    };
    let by = if one.decided_by == "rule" { "By a rule.".to_owned() } else { note };
    Cell::badge(tone, name(&STATES, &one.state)).note(by)
}

fn row(one: &Drift, desk: &Desk, manner: &Manner) -> Vec<Cell> {
    let line = Cell::code(&one.username).copied().note(format!("line {}", one.line_id));
    let line =
        if one.account_id.is_empty() { line } else { line.to(desk.at(&format!("/customers/{}", one.account_id))) };
    vec![
        Cell::text(manner.moment(one.first_seen_at.as_ref()))
            .note(format!("last {}", manner.relative(one.last_seen_at.as_ref()))),
        Cell::text(&one.panel_name).to(desk.at(&format!("/panels/{}", one.panel_id))),
        Cell::text(name(&KINDS, &one.kind)),
        Cell::text(&one.wanted),
        Cell::text(&one.observed),
        line,
        standing(one),
    ]
}

fn decision(desk: &Desk, filter: &Filter, shown: &[Drift], failed: Option<&Failed>) -> Form {
    let one =
        |one: &Drift| (one.id.clone(), format!("{}: {} on {}", name(&KINDS, &one.kind), one.username, one.panel_name));
    let every = (String::new(), "Everything open that the filter shows".to_owned());
    let which = std::iter::once(every).chain(shown.iter().filter(|one| one.closed_at.is_none()).map(one)).collect();
    Form::new("Decide", desk.at("/drift/preview"), "Show how many")
        .intro("Nothing is done yet: you see how many it would be first.")
        .tone(Tone::Info)
        .field(Field::hidden("panel", &filter.panel))
        .field(Field::hidden("kind", &filter.kind))
        .field(Field::select("id", "Which", which))
        .field(Field::select("action", "What to do", options(None, &ACTIONS)))
        .field(
            Field::text("service", "Service that gets the stranger's line")
                .help("Only for adopting one stranger: the id of a service without a line."),
        )
        .field(Field::text("reason", "Why").help("Stays in the audit chain."))
        .refused(failed)
}

fn comparisons(scans: &[DriftScan], manner: &Manner) -> Table {
    let rows = scans.iter().map(|scan| {
        let state = match scan.state.as_str() {
            "done" => Cell::badge(Tone::Good, "Done"),
            "running" => Cell::badge(Tone::Info, "Under way"),
            "stopped" => Cell::badge(Tone::Bad, "Stopped").note(scan.problem.clone()),
            _ => Cell::badge(Tone::Neutral, "Never"),
        };
        vec![
            Cell::text(&scan.panel_name).note(if scan.lists { "" } else { "lists no lines" }),
            state,
            Cell::number(scan.lines.to_string()),
            Cell::number(scan.open.iter().map(|count| count.count).sum::<u64>().to_string()),
            Cell::text(manner.moment(scan.began_at.as_ref())),
            Cell::text(manner.moment(scan.ended_at.as_ref())),
            Cell::text(manner.moment(scan.next_at.as_ref())),
        ]
    });
    let columns = ["Panel", "State", "#Lines", "#Open", "Begun", "Ended", "Next"];
    Table::new("Comparisons", &columns, "No panel is connected yet.").rows(rows)
}

fn asking(desk: &Desk, scans: &[DriftScan], failed: Option<&Failed>) -> Form {
    let named = scans.iter().map(|scan| (scan.panel_id.clone(), scan.panel_name.clone())).collect();
    Form::new("Compare now", desk.at("/drift/scan"), "Compare")
        .intro("In the background, at a fifth of the panel's calls a second, and never before an order.")
        .tone(Tone::Info)
        .field(Field::select("panel", "Panel", named))
        .refused(failed)
}

fn ruled(rules: &[DriftRule], scans: &[DriftScan], manner: &Manner) -> Table {
    let rows = rules.iter().map(|rule| {
        let panel = scans.iter().find(|scan| scan.panel_id == rule.panel_id).map(|scan| scan.panel_name.as_str());
        vec![
            Cell::text(if rule.panel_id.is_empty() { "Every panel" } else { panel.unwrap_or(&rule.panel_id) }),
            Cell::text(name(&KINDS, &rule.kind)),
            Cell::text(name(&RULES, &rule.action)),
            Cell::text(manner.moment(rule.updated_at.as_ref())),
        ]
    });
    Table::new("Rules", &["Panel", "What", "Then", "Since"], "No rules: a person is asked about everything.").rows(rows)
}

fn ruling(desk: &Desk, scans: &[DriftScan], failed: Option<&Failed>) -> Form {
    Form::new("Set a rule", desk.at("/drift/rules"), "Save")
        .intro("Holds for what the next comparisons find. A panel's own rule goes before that of every panel.")
        .tone(Tone::Info)
        .field(Field::select("panel", "Panel", panels(scans, "Every panel")).half())
        .field(Field::select("kind", "What", options(None, &KINDS)).half())
        .field(Field::select("action", "Then", options(None, &RULES)).half())
        .refused(failed)
        .folded("Set a rule")
}

fn asked(sent: &Sent) -> DecideDriftRequest {
    DecideDriftRequest {
        action: sent.text("action"),
        ids: Some(sent.text("id")).filter(|id| !id.is_empty()).into_iter().collect(),
        panel_id: sent.text("panel"),
        kind: sent.text("kind"),
        service_id: sent.text("service"),
        reason: sent.text("reason"),
        dry_run: false,
        expected: 0,
    }
}

async fn refused(state: &AppState, desk: &Desk, ui: &Ui, form: &str, sent: Sent, refusal: Refusal) -> Reply<Response> {
    if refusal.is("reauth_required") {
        return Err(refusal);
    }
    let filter = Filter { panel: String::new(), kind: String::new(), state: "open".to_owned() };
    draw(state, desk, ui, &filter, Some(&Failed { action: desk.at(form), sent, refusal })).await
}

/// `POST /staff/b/{brand}/drift/preview`
pub async fn preview(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let request = DecideDriftRequest { dry_run: true, ..asked(&sent) };
    match state.clients.provisioning(&desk.call()).decide_drift(request).await {
        Ok(reply) => desk.show(&ui, counting(&desk, &sent, reply.get_ref())),
        Err(status) => refused(&state, &desk, &ui, "/drift/preview", sent, status.into()).await,
    }
}

fn counting(desk: &Desk, sent: &Sent, reply: &DecideDriftReply) -> Page {
    let action = sent.text("action");
    let mut page = Page::new(name(&ACTIONS, &action)).up("Drift", desk.at("/drift"));
    if reply.more {
        let text = "There are more than are decided at once; come back for the rest.";
        page = page.with(Block::note(Tone::Info, "Not everything at once", text));
    }
    if !reply.left.is_empty() {
        let rows =
            reply.left.iter().map(|left| vec![Cell::text(sentence(&left.why)), Cell::number(left.count.to_string())]);
        page = page.with(Block::Table(Table::new("These stay as they are", &["Why", "#How many"], "").rows(rows)));
    }
    if reply.changed == 0 {
        return page.with(Block::note(Tone::Neutral, "Nothing would change", "Go back and choose something else."));
    }
    let changed = counted(reply.changed.into(), "difference");
    let kept = ["action", "id", "panel", "kind", "service", "reason"].map(|name| Field::hidden(name, sent.text(name)));
    let form = Form::new(changed.clone(), desk.at("/drift/decide"), format!("Do it for {changed}"))
        .intro("When it would be another number by then, nothing is done.")
        .fields(kept)
        .field(Field::hidden("expected", reply.changed.to_string()));
    page.with(Block::Form(form))
}

/// `POST /staff/b/{brand}/drift/decide`
pub async fn decide(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let request = DecideDriftRequest { expected: sent.number("expected")?, ..asked(&sent) };
    match state.clients.provisioning(&desk.call()).decide_drift(request).await {
        Ok(_) => Ok(go_done(&desk.at("/drift"), "saved")),
        Err(status) => refused(&state, &desk, &ui, "/drift/preview", sent, status.into()).await,
    }
}

/// `POST /staff/b/{brand}/drift/scan`
pub async fn scan(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let request = provisioning::ScanPanelRequest { panel_id: sent.text("panel") };
    match state.clients.provisioning(&desk.call()).scan_panel(request).await {
        Ok(_) => Ok(go_done(&desk.at("/drift"), "saved")),
        Err(status) => refused(&state, &desk, &ui, "/drift/scan", sent, status.into()).await,
    }
}

/// `POST /staff/b/{brand}/drift/rules`
pub async fn rule(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let rule = DriftRule {
        panel_id: sent.text("panel"),
        kind: sent.text("kind"),
        action: sent.text("action"),
        ..DriftRule::default()
    };
    let request = provisioning::PutDriftRuleRequest { rule: Some(rule) };
    match state.clients.provisioning(&desk.call()).put_drift_rule(request).await {
        Ok(_) => Ok(go_done(&desk.at("/drift"), "saved")),
        Err(status) => refused(&state, &desk, &ui, "/drift/rules", sent, status.into()).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(state: &str, lists: bool) -> DriftScan {
        DriftScan { panel_name: "West".into(), state: state.into(), lists, ..DriftScan::default() }
    }

    #[test]
    fn a_panel_that_cannot_be_listed_says_so_loudly() {
        let Some(Block::Note(note)) = warning(&scan("done", false)) else { panic!("nothing is said") };
        assert!(note.title.contains("West") && note.text.contains("never found"), "{note:?}");
        assert!(warning(&scan("done", true)).is_none());
    }

    #[test]
    fn a_comparison_that_stopped_tells_why_and_what_to_do() {
        let stopped = DriftScan {
            problem: "the panel answered with an empty page".into(),
            remedy: "See its error log.".into(),
            ..scan("stopped", true)
        };
        let Some(Block::Note(note)) = trouble(&stopped) else { panic!("nothing is said") };
        assert!(note.text.contains("empty page") && note.text.contains("error log"), "{note:?}");
        assert!(
            matches!(trouble(&scan("running", true)), Some(Block::Note(note)) if note.title.contains("being compared"))
        );
        assert!(trouble(&scan("done", true)).is_none());
    }

    #[test]
    fn an_empty_list_tells_agreement_from_never_compared() {
        let open = Filter { panel: String::new(), kind: String::new(), state: "open".into() };
        assert!(empty(&open, &[]).contains("No panel is connected"));
        assert!(empty(&open, &[scan("never", true)]).contains("has been compared yet"));
        assert!(empty(&open, &[scan("done", true)]).contains("what was paid for"));
    }

    #[test]
    fn a_repair_is_proven_only_when_a_scan_has_closed_it() {
        let repaired = Drift { state: "repaired".into(), ..Drift::default() };
        assert_eq!(standing(&repaired).note, "The next comparison proves it.");
        let proven = Drift { closed_at: Some(prost_types::Timestamp::default()), ..repaired };
        assert_eq!(standing(&proven).note, "");
        let back = Drift { state: "open".into(), returns: 1, ..Drift::default() };
        assert_eq!(standing(&back).note, "It came back after a repair.");
    }
}
